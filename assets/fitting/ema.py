"""Averaged weights: what a training moves about, rather than where its last step left it."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn


class AveragedWeights:
    """An exponential moving average of a network's weights (Polyak & Juditsky 1992; warm-up as in Tarvainen &
    Valpola 2017, arXiv:1703.01780).

    The average covers parameters. Buffers (BatchNorm's running statistics, counters) are copied as they are after each
    update: they are averages themselves, and averaging a counter means nothing. What never trains costs nothing.

    Attributes:
        network: holds the average; in evaluation mode, and on the device of the network that is averaged.
        updates: how many there were.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        """Start at the network's own weights. Raises ValueError unless 0 <= decay < 1."""
        if not 0 <= decay < 1:
            raise ValueError(f"decay {decay} is not at least 0 and below 1")
        self.decay = decay
        self.updates = 0
        self.network = copy.deepcopy(network).eval().requires_grad_(False)

    @property
    def momentum(self) -> float:
        """What the next update keeps: less at first, so that the untrained weights are soon forgotten."""
        return min(self.decay, (1 + self.updates) / (10 + self.updates))

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Take in the weights after an optimizer step."""
        pairs = zip(self.network.parameters(), network.parameters(), strict=True)
        moving = [(mine.detach(), its.detach()) for mine, its in pairs if its.requires_grad]
        if moving:
            # One call for all: hundreds of small ones would cost more than their arithmetic.
            torch._foreach_lerp_([mine for mine, _ in moving], [its for _, its in moving], 1 - self.momentum)
        for mine, its in zip(self.network.buffers(), network.buffers(), strict=True):
            mine.copy_(its)
        self.updates += 1

    @torch.no_grad()
    def copy_to(self, network: nn.Module) -> None:
        """Give `network` the averaged weights, in place."""
        network.load_state_dict(self.network.state_dict())

    def state_dict(self) -> dict[str, Tensor]:
        """For a checkpoint: tensors only, the average's own under `network.`."""
        state = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        return {"updates": torch.tensor(self.updates), **state}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on where `state_dict` was taken. Raises KeyError or RuntimeError where it is another network's."""
        self.updates = int(state["updates"])
        prefix = "network."
        weights = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
        self.network.load_state_dict(weights)
