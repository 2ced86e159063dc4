"""What one training is made of, and what each of its steps is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from assets.fitting.augment import augment
from assets.fitting.batches import Sampling, step_seed
from assets.fitting.contract import TrainingSet, Watch
from assets.fitting.prefetch import Batch
from assets.fitting.resume import Keeper
from assets.fitting.state import State
from assets.fitting.validation import Judge, targets
from assets.line.training import TrainingPolicy
from assets.tasks.contract import Objective

if TYPE_CHECKING:
    from assets.fitting.differential_privacy import Private  # Opacus takes 2 s to import, and few trainings are private

Place = tuple[NDArray[Any], int, int]
"""(rows of a batch, optimizer step, part of the batch)."""


@dataclass(frozen=True, eq=False)
class Work:
    """What one training is made of.

    Attributes:
        objective: the loss of a batch.
        judge: decides which epoch is best.
        seconds: the longest training; None for no limit.
        rank: of this process, of `sampling.processes`.
        private: bounds what one record can change; None where nobody asked for it.
    """

    policy: TrainingPolicy
    train: TrainingSet
    classes: int
    sampling: Sampling
    objective: Objective
    judge: Judge
    watch: Watch
    keeper: Keeper
    seconds: float | None
    rank: int
    private: Private | None = None

    def places(self, state: State) -> list[Place]:
        """What is left of the epoch that `state` is in."""
        batches = self.sampling.epoch(state.epoch)[state.batch :]
        return [(rows, state.step + i, part) for i, rows in enumerate(batches) for part in range(self.sampling.parts)]

    def make(self, place: Place, device: torch.device) -> Batch:
        """What this process computes at one place. For a GPU it is made ready to be copied, and changed there."""
        batch, step, part = place
        sampling = self.sampling
        rows = sampling.part(batch, part, self.rank)
        seed = step_seed(self.policy.seed, step, part, self.rank)
        x, y = self.train.batch(rows), targets(self.train.y[rows])
        if device.type == "cpu":
            x, y = self.augmented(x, y, seed)
        else:
            x, y = x.pin_memory(), y.pin_memory()
        weight = len(rows) * sampling.parts * sampling.processes / len(batch)
        return Batch(x, y, weight, seed, part == sampling.parts - 1)

    def augmented(self, x: Tensor, y: Tensor, seed: int) -> tuple[Tensor, Tensor]:
        """Records as the line's `augment` changes them, in the memory order that it asks for."""
        policy = self.policy.augment
        if policy.spatial or policy.mixup:
            x, y = augment(x, y, policy, self.classes, torch.Generator().manual_seed(seed))
        if self.policy.channels_last and x.dim() == 4:
            x = x.contiguous(memory_format=torch.channels_last)
        return x, y
