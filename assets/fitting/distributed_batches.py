"""Which records each step is made of, dealt to parts and processes.

That is a function of (seed, epoch, step, part, process) alone.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from assets.errors import RejectedError
from assets.fitting.augment import augment
from assets.fitting.contract import TrainingSet
from assets.fitting.prefetch import Batch
from assets.fitting.state import State
from assets.fitting.validation import targets
from assets.line.training import TrainingPolicy

Rows = NDArray[np.int64]
Place = tuple[Rows, int, int]
"""(rows of a batch, optimizer step, part of the batch)."""


def step_seed(seed: int, *place: int) -> int:
    """A seed of 63 bits for one place of a training, e.g. (step, part, process); neighbours have nothing in common."""
    text = ",".join(map(str, (seed, *place)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


@dataclass(frozen=True, eq=False)
class Sampling:
    """How the records of one training are dealt out.

    Attributes:
        y: (records,) labels or numbers; only resampling reads them.
        parts: a batch is computed in so many parts, one after the other (gradient accumulation).
        processes: each part is dealt to so many processes.
    """

    y: NDArray[Any]
    seed: int
    batch_size: int
    resample: bool
    parts: int
    processes: int

    @functools.cached_property
    def batches(self) -> int:
        """Steps per epoch. A batch has at least `batch_size` records: a rest of one would break BatchNorm."""
        return max(1, len(self.y) // self.batch_size)

    def epoch(self, epoch: int) -> list[Rows]:
        """The rows of each batch of an epoch, shuffled anew in each."""
        generator = np.random.default_rng((self.seed, epoch))
        order = _balanced(self.y, generator) if self.resample else generator.permutation(len(self.y))
        return np.array_split(order.astype(np.int64), self.batches)

    def part(self, batch: Rows, part: int, process: int) -> Rows:
        """The rows of a batch that one process computes in one part."""
        return np.array_split(batch, self.parts * self.processes)[part * self.processes + process]


def sampling_of(policy: TrainingPolicy, y: NDArray[Any], processes: int) -> Sampling:
    """How a line's `training` section deals out the records.

    Raises:
        RejectedError: fewer than two records (BatchNorm needs two) for each process.
    """
    if len(y) < 2:
        raise RejectedError("training needs at least 2 records in the train split; land more records")
    least = min(policy.batch_size, len(y))
    if least < 2 * processes:
        raise RejectedError(
            f"{len(y)} training records are too few for {processes} processes, which need 2 each; "
            "lower `training.processes` or land more records"
        )
    parts = min(policy.accumulate, least // (2 * processes))
    return Sampling(y, policy.seed, policy.batch_size, policy.imbalance == "resample", parts, processes)


@dataclass(frozen=True, eq=False)
class Batches:
    """The batches of one training, as one of its processes computes them.

    Attributes:
        classes: how many there are; 0 where a number is predicted.
        rank: of this process, of `sampling.processes`.
    """

    policy: TrainingPolicy
    train: TrainingSet
    classes: int
    sampling: Sampling
    rank: int

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


def _balanced(y: NDArray[Any], generator: np.random.Generator) -> Rows:
    """As many rows as there are records, each class with the same share.

    A class with fewer records than its share gives each of them equally often, but for one; one with more gives some of
    them once. So no record is missed by chance, as it would be if each were drawn by itself.
    """
    classes = np.unique(y)
    shares = np.full(len(classes), len(y) // len(classes))
    shares[generator.permutation(len(classes))[: len(y) % len(classes)]] += 1
    drawn = []
    for label, share in zip(classes, shares, strict=True):
        rows = np.flatnonzero(y == label)
        whole, rest = divmod(int(share), len(rows))
        drawn += [np.tile(rows, whole), generator.permutation(rows)[:rest]]
    return generator.permutation(np.concatenate(drawn))
