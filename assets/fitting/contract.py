"""What training is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


class TrainingSet(Protocol):
    """Records by their position: in memory, in a cache file, or decoded as they are asked for."""

    @property
    def y(self) -> NDArray[Any]:
        """(records,) int64 classes, or float64 numbers."""
        ...

    def __len__(self) -> int:
        """How many records there are."""
        ...

    def batch(self, rows: NDArray[np.int64]) -> Tensor:
        """(rows, *shape) of these records: float32, normalized; int64 token numbers for text."""
        ...


class CheckpointPlace(Protocol):
    """Where the last checkpoint of one training is kept; a write replaces it in one step or not at all."""

    def read(self) -> bytes | None:
        """The last one; None where there is none."""
        ...

    def write(self, data: bytes) -> None:
        """Replace it. Raises OSError; the old one then still stands."""
        ...

    def remove(self) -> None:
        """Take it away: the training is done."""
        ...


@dataclass(frozen=True)
class Progress:
    """How far a training is. `eta_seconds` is None before it can be told."""

    epoch: int
    epochs: int
    step: int
    steps: int
    records_per_second: float
    eta_seconds: float | None


class Watch(Protocol):
    """Who looks on: the run's page, the live curves, TensorBoard."""

    def progress(self, progress: Progress, loss: float) -> None:
        """Called at most about once a second."""
        ...

    def epoch(self, row: Mapping[str, float], progress: Progress) -> None:
        """Called after each epoch with its row of the curve (see `TrainedModel.curve`)."""
        ...

    def note(self, text: str) -> None:
        """One sentence for people: a checkpoint that was taken up, or that was of no use."""
        ...


class Quiet:
    """Nobody looks on."""

    def progress(self, progress: Progress, loss: float) -> None:
        """Say nothing."""

    def epoch(self, row: Mapping[str, float], progress: Progress) -> None:
        """Say nothing."""

    def note(self, text: str) -> None:
        """Say nothing."""


@dataclass(frozen=True)
class FitControl:
    """What a training goes by besides its records and settings.

    Attributes:
        watch: looks on.
        place: where checkpoints are kept; a later call with the same arguments goes on from the last one. It stays when
            training is done, as what comes next may crash too: the caller removes it. None: none are kept.
        minutes: the longest training, those before a crash included; then the best weights so far are kept.
    """

    watch: Watch = field(default_factory=Quiet)
    place: CheckpointPlace | None = None
    minutes: float | None = None


@dataclass(frozen=True)
class Fitted:
    """How a training went. The network holds the weights of its best epoch by the validation metric.

    Attributes:
        curve: one row per epoch, those before a crash included.
        best_epoch: from 1.
        resumed_at: the step that a checkpoint was taken up at; 0 for a training in one go.
        data_wait: share of the training time that steps waited for their records, 0 to 1.
    """

    curve: tuple[Mapping[str, float], ...]
    best_epoch: int
    best_score: float
    steps: int
    resumed_at: int
    ended: Literal["epochs", "patience", "time limit"]
    records_per_second: float
    epsilon: float | None = None
    data_wait: float = 0.0
