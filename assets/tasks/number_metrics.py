"""What is said about models that answer with a number: of every regression task.

Outputs are (records, 1) in the target's own unit.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from assets.evaluation.intervals import Weighted, bootstrap
from assets.tasks.user_metrics import Split, checked
from edge.contracts import AnswerSpec, Metric
from edge.contracts.evidence import VerdictKind

__all__ = ["answer", "baseline", "merits", "metrics", "residuals", "weighted"]

NAMES = ("rmse", "mae", "r2", "bias")
Numbers = NDArray[np.float64]
Outputs = NDArray[np.float32]


def residuals(outputs: Outputs, y: Numbers) -> Numbers:
    """(records,) answer minus truth, in the target's own unit."""
    return outputs.reshape(len(y)).astype(np.float64) - y


def weighted(outputs: Outputs, y: Numbers, names: Sequence[str]) -> Weighted:
    """What computes the named metrics by how often each record counts. Raises ValueError for an unknown name."""
    if unknown := [name for name in names if name not in NAMES]:
        raise ValueError(f"no metric {unknown[0]!r}; there are {', '.join(NAMES)}")
    errors = residuals(outputs, y)
    squares, sizes = errors**2, np.abs(errors)
    centred = y - y.mean()  # the sums of squares below would cancel out for labels far from 0

    def metric(name: str, weights: Numbers) -> Numbers:
        many = weights.sum(axis=0)
        if name == "rmse":
            return np.asarray(np.sqrt(squares @ weights / many))
        if name == "r2":
            lost, spread = squares @ weights, centred**2 @ weights - (centred @ weights) ** 2 / many
            even = spread <= 1e-12 * np.maximum(centred**2 @ weights, 1e-300)
            return np.where(even, np.where(lost == 0, 1.0, 0.0), 1 - lost / np.where(even, 1.0, spread))
        return np.asarray((sizes if name == "mae" else errors) @ weights / many)

    return lambda weights: np.stack([metric(name, weights) for name in names])


def metrics(
    split: Split,
    outputs: Outputs,
    y: Numbers,
    classes: Sequence[str],
    kind: VerdictKind = "measured",
    threshold: float | None = None,
) -> tuple[Metric, ...]:
    """RMSE, MAE and bias (mean of answer minus truth) in the target's unit, and R2, each with a bootstrap interval."""
    del classes, threshold
    outputs = checked(outputs)
    found = bootstrap(lambda rows: weighted(outputs[rows], y[rows], NAMES), len(y))
    return tuple(
        Metric(
            name,
            one.value,
            split,
            len(y),
            max(0.0, one.low) if name in {"rmse", "mae"} else one.low,
            min(1.0, one.high) if name == "r2" else one.high,
            kind,
        )
        for name, one in zip(NAMES, found, strict=True)
    )


def merits(outputs: Outputs, y: Numbers) -> Numbers:
    """(records,) minus the squared error, in the square of the target's unit."""
    squares: Numbers = -(residuals(outputs, y) ** 2)
    return squares


def baseline(train_y: Numbers, y: Numbers, classes: Sequence[str]) -> Outputs:
    """(records, 1) the mean of the training labels."""
    del classes
    return np.full((len(y), 1), np.mean(train_y), dtype=np.float32)


def answer(outputs: Outputs, y: Numbers) -> AnswerSpec:
    """What the outputs stand for."""
    del outputs, y
    return AnswerSpec("number")
