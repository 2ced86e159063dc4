"""Judging a model without labels: how close its answers are to the float model's on the same records.

A task of the same protocol as a line's (`assets.tasks.contract`), which no line can name: its truth is what the float
model answers, so the float model itself has a fidelity of 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assets.errors import RejectedError
from assets.evaluation.intervals import Weighted, bootstrap
from assets.evaluation.parity import Outputs
from assets.line.tasks import TaskSpec
from assets.line.training import TrainingPolicy
from assets.tasks.contract import Objective, Truth
from assets.tasks.task import Task
from assets.tasks.user_metrics import Split
from edge.contracts import AnswerSpec, Metric
from edge.contracts.evidence import VerdictKind

FIDELITY, AGREEMENT = "fidelity", "agreement"
DEFINITION = (
    "fidelity is 1 minus the relative root mean square error against the float model: of each output the error's root "
    "mean square over that of the output itself, and of several outputs the root of the mean square of these; 1 for "
    "the float model"
)
AGREEMENT_DEFINITION = "agreement is the share of records whose largest number is where the float model has it"
MOST_DIFFERENT = 0.05
"""Relative error up to which one record's answer says the same."""
_CHUNK = 256
Numbers = NDArray[np.float64]


def fidelity_task(widths: Sequence[int], ranked: bool = False) -> Task:
    """The task of answering as the float model does.

    Args:
        widths: how many numbers of a record each output has, in the order of the outputs.
        ranked: whether the largest number of the one output counts, as of scores of classes: then there is `agreement`.
    """
    spec = TaskSpec(
        name=FIDELITY,
        sections={},
        answer="tensor",
        regression=True,
        metric=FIDELITY,
        metrics={FIDELITY: "higher", **({AGREEMENT: "higher"} if ranked else {})},
        losses=("mse",),
        note=f"{DEFINITION}{f'; {AGREEMENT_DEFINITION}' if ranked else ''}.",
        default=False,
    )
    return Task(spec, FidelityLoss(), FidelityMetrics(tuple(widths), tuple(spec.metrics)), FidelityGolden())


@dataclass(frozen=True)
class FidelityLoss:
    """See `assets.tasks.contract.LossModule`."""

    def learns_from(self, y: Truth) -> NDArray[np.bool_]:
        """All records."""
        return np.ones(len(y), dtype=np.bool_)

    def objective(self, policy: TrainingPolicy, y: Truth, classes: int) -> Objective:
        """The mean square of the difference from the float model's answers."""
        del policy, y, classes
        return lambda inputs, targets, outputs: (outputs.flatten(1) - targets.flatten(1)).square().mean()


@dataclass(frozen=True)
class FidelityMetrics:
    """See `assets.tasks.contract.MetricsModule`. Truth is (records, …) float32, the float model's answers.

    Attributes:
        widths: numbers of a record that each output has.
        names: of the metrics there are.
    """

    widths: tuple[int, ...]
    names: tuple[str, ...]

    def metrics(
        self,
        split: Split,
        outputs: Outputs,
        y: Truth,
        classes: Sequence[str],
        kind: VerdictKind = "measured",
        threshold: float | None = None,
    ) -> tuple[Metric, ...]:
        """All of `names`, each with its bootstrap interval."""
        del classes, threshold
        _check(outputs)
        found = bootstrap(lambda rows: self.weighted(outputs[rows], y[rows], self.names), len(y))
        return tuple(
            Metric(name, one.value, split, len(y), one.low, min(1.0, one.high), kind)
            for name, one in zip(self.names, found, strict=True)
        )

    def weighted(self, outputs: Outputs, y: Truth, names: Sequence[str]) -> Weighted:
        """What computes these metrics by how often each record counts."""
        if unknown := [name for name in names if name not in self.names]:
            raise ValueError(f"no metric {unknown[0]!r}; there are {', '.join(self.names)}")
        errors, powers = self._squares(outputs, y) if FIDELITY in names else (np.empty(0), np.empty(0))
        same = _same(outputs, y) if AGREEMENT in names else np.empty(0)

        def metric(name: str, weights: Numbers) -> Numbers:
            if name == AGREEMENT:
                return np.asarray(same @ weights / weights.sum(axis=0))
            return np.asarray(1 - np.sqrt(_ratio(errors.T @ weights, powers.T @ weights).mean(axis=0)))

        return lambda weights: np.stack([metric(name, weights) for name in names])

    def merits(self, outputs: Outputs, y: Truth) -> Numbers:
        """(records,) minus the squared error, as a share of the mean square of the float model's answers."""
        errors, powers = self._squares(outputs, y)
        merits: Numbers = -_ratio(errors, np.broadcast_to(powers.mean(axis=0), errors.shape)).mean(axis=1)
        return merits

    def baseline(self, train_y: Truth, y: Truth, classes: Sequence[str]) -> Outputs:
        """(records, …) the mean of the float model's answers."""
        del classes
        mean: Outputs = np.broadcast_to(train_y.mean(axis=0, dtype=np.float64).astype(np.float32), y.shape)
        return mean

    def answer(self, outputs: Outputs, y: Truth) -> AnswerSpec:
        """Numbers whose meaning only the model's owner knows."""
        del outputs, y
        return AnswerSpec("tensor")

    def _squares(self, outputs: Outputs, y: Truth) -> tuple[Numbers, Numbers]:
        """(records, outputs) each: sums of squares of the errors, and of the float model's answers."""
        if outputs.shape != y.shape:
            raise ValueError(f"{outputs.shape} and {y.shape} are not answers to the same records")
        errors, powers = (np.empty((len(y), len(self.widths))) for _ in range(2))
        starts = np.cumsum((0, *self.widths))[:-1]
        for start in range(0, len(y), _CHUNK):
            here = slice(start, start + _CHUNK)
            truth = y[here].reshape(len(y[here]), -1).astype(np.float64)
            off = outputs[here].reshape(truth.shape) - truth
            errors[here] = np.add.reduceat(off**2, starts, axis=1)
            powers[here] = np.add.reduceat(truth**2, starts, axis=1)
        return errors, powers


@dataclass(frozen=True)
class FidelityGolden:
    """See `assets.tasks.contract.GoldenModule`."""

    def pick(self, ids: Sequence[str], sizes: Sequence[int], y: Truth, classes: Sequence[str], count: int) -> list[int]:
        """Those with the smallest ids, which are digests."""
        del sizes, y, classes
        return sorted(range(len(ids)), key=lambda at: ids[at])[:count]

    def agrees(self, expected: Outputs, outputs: Outputs) -> NDArray[np.bool_]:
        """(records,) whether a record's answer differs by at most `MOST_DIFFERENT` of its own root mean square."""
        before = expected.reshape(len(expected), -1).astype(np.float64)
        off = ((outputs.reshape(before.shape) - before) ** 2).sum(axis=1)
        close: NDArray[np.bool_] = np.sqrt(_ratio(off, (before**2).sum(axis=1))) <= MOST_DIFFERENT
        return close


def _same(outputs: Outputs, y: Truth) -> Numbers:
    same: Numbers = (outputs.argmax(axis=1) == y.argmax(axis=1)).astype(np.float64)
    return same


def _ratio(above: Numbers, below: Numbers) -> Numbers:
    """Of an output that is 0 throughout any error is a whole one."""
    ratio: Numbers = np.where(below > 0, above / np.where(below > 0, below, 1.0), (above > 0).astype(np.float64))
    return ratio


def _check(outputs: Outputs) -> None:
    if not np.isfinite(outputs).all():
        wrong = int((~np.isfinite(outputs.reshape(len(outputs), -1)).all(axis=1)).sum())
        raise RejectedError(f"the model answers {wrong} of {len(outputs)} records with NaN or infinity")
