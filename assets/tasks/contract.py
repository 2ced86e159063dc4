"""What every task brings, loaded with torch: `load_task` joins its modules into a `Task`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from assets.evaluation.intervals import Weighted
from assets.line.training import TrainingPolicy
from edge.contracts import AnswerSpec, Metric
from edge.contracts.evidence import VerdictKind

Objective = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(inputs, targets, the network's outputs) to the loss of one batch, a mean over its records. Targets are (records,)
int64 classes or float32 numbers; of classes also (records, classes) float32 shares, as mixup makes them."""


@runtime_checkable
class Attending(Protocol):
    """An objective that also looks into the network it teaches, as the distillation of features does."""

    def attend(self, network: nn.Module) -> AbstractContextManager[None]:
        """Look into this network as long as the context lasts."""
        ...


Outputs = NDArray[np.float32]
Split = Literal["validation", "test"]
Truth = NDArray[Any]
"""(records,) int64 classes, or float64 numbers."""
MOST_PICTURES = 2_000
"""Of generated pictures so many are looked at."""


class LossModule(Protocol):
    """`loss.py` of a task's folder, or the module that its `spec.py` names instead."""

    def learns_from(self, y: Truth) -> NDArray[np.bool_]:
        """(records,) which training records the network is shown: all, but for anomalies the normal ones only."""
        ...

    def objective(self, policy: TrainingPolicy, y: Truth, classes: int) -> Objective:
        """The loss that the policy asks for (`loss`, `label_smoothing`, `imbalance: weights`).

        Args:
            y: labels of the training records, which class weights are taken from.
            classes: 0 where a number is predicted.
        """
        ...


class MetricsModule(Protocol):
    """`metrics.py` of a task's folder, or the module that its `spec.py` names instead."""

    def metrics(
        self,
        split: Split,
        outputs: Outputs,
        y: Truth,
        classes: Sequence[str],
        kind: VerdictKind = "measured",
        threshold: float | None = None,
    ) -> tuple[Metric, ...]:
        """Everything reported about a model on one split, with 95 % intervals where there are any.

        The user's own metrics are added by `assets.tasks.user_metrics.user_metrics_on`.

        Args:
            threshold: of `AnswerSpec`, for anomalies: the hits at it are reported too.
        """
        ...

    def weighted(self, outputs: Outputs, y: Truth, names: Sequence[str]) -> Weighted:
        """What computes these metrics by how often each record counts, see `assets.evaluation.intervals`.

        They are finite, also where a kind of record is missing. Raises ValueError for an unknown name.
        """
        ...

    def merits(self, outputs: Outputs, y: Truth) -> NDArray[np.float64]:
        """(records,) how good each answer is, more is better (1 for a hit, minus the squared error): paired tests."""
        ...

    def baseline(self, train_y: Truth, y: Truth, classes: Sequence[str]) -> Outputs:
        """What a model that has seen labels only would answer on `y`'s records: the most common class, the mean."""
        ...

    def answer(self, outputs: Outputs, y: Truth) -> AnswerSpec:
        """What the outputs stand for, given them on validation records, which an anomaly's threshold is chosen on."""
        ...


class GoldenModule(Protocol):
    """`golden.py` of a task's folder, or the module that its `spec.py` names instead."""

    def pick(self, ids: Sequence[str], sizes: Sequence[int], y: Truth, classes: Sequence[str], count: int) -> list[int]:
        """Positions of the test records that devices prove themselves on; the same whatever their order."""
        ...

    def agrees(self, expected: Outputs, outputs: Outputs) -> NDArray[np.bool_]:
        """(records,) whether each answer says the same as the float parent's."""
        ...
