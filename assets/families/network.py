"""What every network of ours is: blocks that find features, and one linear layer that answers from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import Tensor, nn

from assets.errors import RejectedError

TARGET_MEAN, TARGET_STD = "target_mean", "target_std"
"""Of an architecture whose answers are numbers: the training targets' mean and standard deviation."""
FREEZE = "freeze"
DROPOUT = "dropout"
HALVINGS = "halvings"
"""Of an architecture: how often the first layer halves the picture beyond what its family does."""


def without(architecture: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """An architecture less some of its numbers."""
    return {name: value for name, value in architecture.items() if name not in names}


class Scale(nn.Module):
    """From standardized numbers to the target's own unit. The two numbers travel with the weights."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: float, std: float) -> None:
        super().__init__()
        if not std > 0:
            raise RejectedError(f"target_std {std} is not above 0; numbers to predict that never differ teach nothing")
        self.register_buffer("mean", torch.tensor(float(mean)))
        self.register_buffer("std", torch.tensor(float(std)))

    def forward(self, x: Tensor) -> Tensor:
        """Any shape, to the same."""
        return x * self.std + self.mean


def scale_of(architecture: Mapping[str, Any]) -> nn.Module:
    """`Scale` where the architecture has a target's mean and deviation, else nothing."""
    if TARGET_MEAN not in architecture:
        return nn.Identity()
    return Scale(architecture[TARGET_MEAN], architecture[TARGET_STD])


class Network(nn.Module):
    """Blocks, then for pictures the mean over all places, dropout, and one linear layer.

    Attributes:
        family, architecture: what builds it again.
        frozen: only the head is trained; the blocks keep even their BatchNorm statistics.
    """

    def __init__(self, blocks: nn.Module, features: int, outputs: int, architecture: Mapping[str, Any]) -> None:
        super().__init__()
        self.family = ""
        self.architecture: dict[str, Any] = {}
        self.frozen = False
        self.blocks = blocks
        self.dropout = nn.Dropout(architecture.get(DROPOUT, 0.0))
        self.head: nn.Module = nn.Linear(features, outputs)
        self.scale = scale_of(architecture)

    def features(self, x: Tensor) -> Tensor:
        """(records, *shape) to (records, features)."""
        x = self.blocks(x)
        return x.mean((2, 3)) if x.dim() == 4 else x

    def forward(self, x: Tensor) -> Tensor:
        """(records, *shape) to (records, outputs)."""
        answers: Tensor = self.scale(self.head(self.dropout(self.features(x))))
        return answers

    def freeze(self) -> None:
        """Train the head only from now on."""
        self.frozen = True
        self.blocks.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """As torch's, but frozen blocks stay in evaluation mode."""
        super().train(mode)
        if self.frozen:
            self.blocks.eval()
        return self
