"""Writes a training's checkpoints, and takes the last one up."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from assets.errors import of_the_machine
from assets.fitting.checkpoints import DamagedError, from_checkpoint, to_checkpoint
from assets.fitting.contract import CheckpointPlace, Watch
from assets.fitting.state import State


def fingerprint(network: nn.Module, facts: Mapping[str, Any]) -> str:
    """Names what a checkpoint fits: the network's tensors and everything that decides what a step does."""
    shapes = {name: [str(value.dtype), *value.shape] for name, value in network.state_dict().items()}
    body = json.dumps([shapes, dict(facts)], sort_keys=True, default=str)
    return hashlib.sha256(body.encode()).hexdigest()


class Keeper:
    """The checkpoints of one training. Without a place, none are kept."""

    def __init__(self, place: CheckpointPlace | None, seconds: float, fits: str) -> None:
        self.place, self.seconds, self.fits = place, seconds, fits
        self._last = time.monotonic()
        self._optimizer: dict[str, Any] | None = None

    def due(self) -> bool:
        """Whether the last one is old enough."""
        return self.place is not None and time.monotonic() - self._last >= self.seconds

    def take_up(self, network: nn.Module, state: State, watch: Watch, rank: int) -> None:
        """Bring network and state to where the last checkpoint was written; without a useful one they stay."""
        try:
            data = self.place.read() if self.place is not None else None
            if data is None:
                return
            body = from_checkpoint(data)
            if body.get("fits") != self.fits:
                watch.note("the checkpoint found is of another training; training starts afresh")
                return
        except DamagedError as error:
            watch.note(f"the checkpoint found is damaged: {error}; training starts afresh")
            return
        except OSError as error:
            watch.note(f"the checkpoint found cannot be read ({error}); training starts afresh")
            return
        network.load_state_dict(body["network"])
        state.unpack(body["state"])
        if rank:  # the first process has the sum of all
            state.loss_sum, state.loss_records = 0.0, 0
        state.best_weights = body["best"]
        self._optimizer = body["optimizer"]
        watch.note(f"training goes on at step {state.step}, epoch {state.epoch}, from its last checkpoint")

    def restore(self, optimizer: torch.optim.Optimizer) -> None:
        """Give a fresh optimizer the state that was taken up."""
        if self._optimizer is not None:
            optimizer.load_state_dict(self._optimizer)
            self._optimizer = None

    def write(
        self, network: nn.Module, optimizer: torch.optim.Optimizer, state: Mapping[str, Any], best: Mapping[str, Tensor]
    ) -> None:
        """Replace the last checkpoint.

        Raises:
            TransientError: the disk is full; the last checkpoint still stands.
            RejectedError: the place may not be written.
        """
        if self.place is None:
            return
        body = {
            "fits": self.fits,
            "network": network.state_dict(),
            "optimizer": optimizer.state_dict(),
            "state": dict(state),
            "best": dict(best),
        }
        try:
            self.place.write(to_checkpoint(body))
        except OSError as error:
            raise of_the_machine(error, "the training's checkpoint", "see that it may be written") from error
        self._last = time.monotonic()

    def remove(self) -> None:
        """The training is done."""
        if self.place is not None:
            self.place.remove()
