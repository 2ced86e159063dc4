"""What is said about models that answer with a class: of every classification task.

Outputs are logits, (records, classes). Metrics of two classes are of the last one, which by custom is the one looked
for; of more classes they are averages in which each class counts the same.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.evaluation.hits import Labels, Outputs, hits
from assets.evaluation.intervals import Interval, Weighted, bootstrap, bounded, wilson
from assets.tasks.ranking import ranking
from assets.tasks.user_metrics import Split, checked
from edge.contracts import CLASS_ANSWER, AnswerSpec, Metric
from edge.contracts.evidence import VerdictKind

__all__ = [
    "answer",
    "baseline",
    "confusion",
    "merits",
    "metrics",
    "probabilities",
    "weighted",
]

BINS = 15
"""Of confidence, as in Guo et al. 2017."""
MOST_RANKED = 20
"""Of more classes the areas are given without an interval, which would take a pass per class and resample."""
MOST_LISTED = 100
"""Of more classes the recall of each is not listed."""
COUNTED = ("accuracy", "macro_f1", "precision", "recall", "f1")
RANKED = ("roc_auc", "pr_auc")
SURE = ("log_loss", "ece")
NAMES = COUNTED + RANKED + SURE
Numbers = NDArray[np.float64]


def probabilities(outputs: Outputs) -> Numbers:
    """(records, classes) the softmax of logits, float64."""
    shares: Numbers = np.exp(_log_softmax(outputs))
    return shares


def confusion(outputs: Outputs, y: Labels) -> Labels:
    """(classes, classes) counts: of the records that are of the row's class, how many got the column's."""
    classes = outputs.shape[1]
    cells = y * classes + outputs.argmax(axis=1)
    return np.bincount(cells, minlength=classes**2).reshape(classes, classes)


def weighted(outputs: Outputs, y: Labels, names: Sequence[str]) -> Weighted:
    """What computes the named metrics by how often each record counts. Raises ValueError for an unknown name."""
    if unknown := [name for name in names if name not in NAMES]:
        raise ValueError(f"no metric {unknown[0]!r}; there are {', '.join(NAMES)}")
    parts: dict[str, Callable[[Numbers], Numbers]] = {}
    if wanted := [name for name in COUNTED if name in names]:
        parts |= _counted(outputs, y, wanted)
    if wanted := [name for name in RANKED if name in names]:
        parts |= _ranked(outputs, y, wanted)
    if "log_loss" in names:
        surprise = -_log_softmax(outputs)[np.arange(len(y)), y]
        parts["log_loss"] = lambda weights: surprise @ weights / weights.sum(axis=0)
    if "ece" in names:
        sure = probabilities(outputs).max(axis=1)
        gaps = _indicator(_bin(sure), BINS, hits(outputs, y) - sure)
        parts["ece"] = lambda weights: np.abs(gaps @ weights).sum(axis=0) / weights.sum(axis=0)
    return lambda weights: np.stack([parts[name](weights) for name in names])


def metrics(
    split: Split,
    outputs: Outputs,
    y: Labels,
    classes: Sequence[str],
    kind: VerdictKind = "measured",
    threshold: float | None = None,
) -> tuple[Metric, ...]:
    """All of `NAMES`, and `recall[<class>]` for each class that has records. `threshold` is for anomalies only.

    Shares of records have Wilson's interval, the others a bootstrap's. Where no resample differs from the records,
    because a model makes no error, Wilson's interval for as many records as the rarest class has stands in.
    """
    del threshold
    outputs = checked(outputs)
    names = [name for name in NAMES if name not in RANKED or len(classes) <= MOST_RANKED]
    cost = 1 + (len(classes) if len(classes) > 2 else 1) * any(name in RANKED for name in names)
    found = dict(zip(names, bootstrap(lambda r: weighted(outputs[r], y[r], names), len(y), cost=cost), strict=True))
    right, of_class = hits(outputs, y), np.bincount(y, minlength=len(classes))
    found["accuracy"] = wilson(int(right.sum()), len(y))
    rarest = int(of_class[of_class > 0].min())
    listed = []
    for name in NAMES:
        if name not in found:
            listed.append(
                _metric(name, split, len(y), kind, float(weighted(outputs, y, (name,))(np.ones((len(y), 1)))[0, 0]))
            )
            continue
        one = found[name] if name == "log_loss" else bounded(found[name], rarest)
        listed.append(_metric(name, split, len(y), kind, one))
    if len(classes) <= MOST_LISTED:
        correct = np.bincount(y[right], minlength=len(classes))
        listed += [
            _metric(f"recall[{label}]", split, int(count), kind, wilson(int(good), int(count)))
            for label, good, count in zip(classes, correct, of_class, strict=True)
            if count
        ]
    return tuple(listed)


def merits(outputs: Outputs, y: Labels) -> Numbers:
    """(records,) 1 for a hit, else 0."""
    return hits(outputs, y).astype(np.float64)


def baseline(train_y: Labels, y: Labels, classes: Sequence[str]) -> Outputs:
    """(records, classes) the logarithm of each class's share of training labels: the most common one is answered."""
    counts = (
        np.bincount(train_y, minlength=len(classes)) + 1.0
    )  # one more of each: a class without any is not ruled out
    return np.tile(np.log(counts / counts.sum()).astype(np.float32), (len(y), 1))


def answer(outputs: Outputs, y: Labels) -> AnswerSpec:
    """What the outputs stand for."""
    del outputs, y
    return CLASS_ANSWER


def _log_softmax(outputs: Outputs) -> Numbers:
    logits = outputs.astype(np.float64)
    logits -= logits.max(axis=1, keepdims=True)
    logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return logits


def _bin(sure: Numbers) -> Labels:
    return np.minimum((sure * BINS).astype(np.int64), BINS - 1)


def _indicator(at: Labels, rows: int, values: NDArray[Any]) -> Any:
    """(rows, records), sparse, with each record's value in its row."""
    from scipy import sparse

    return sparse.csr_array((values.astype(np.float64), (at, np.arange(len(at)))), shape=(rows, len(at)))


def _counted(outputs: Outputs, y: Labels, names: Sequence[str]) -> dict[str, Callable[[Numbers], Numbers]]:
    classes, answers = outputs.shape[1], outputs.argmax(axis=1)
    right = answers == y
    if list(names) == ["accuracy"]:
        return {"accuracy": lambda weights: right @ weights / weights.sum(axis=0)}
    true, answered = (_indicator(at, classes, np.ones(len(y))) for at in (y, answers))
    good = _indicator(y, classes, right)

    def metric(name: str, weights: Numbers) -> Numbers:
        counts, given, found = true @ weights, answered @ weights, good @ weights
        if name == "accuracy":
            return np.asarray(found.sum(axis=0) / weights.sum(axis=0))
        above, below = {"precision": (found, given), "recall": (found, counts)}.get(name, (2 * found, counts + given))
        shares = above / np.maximum(below, 1e-12)
        if classes == 2 and name != "macro_f1":
            return np.asarray(shares[-1])
        return _mean(shares, counts > 0 if name == "recall" else counts + given > 0, 0.0)

    return {name: functools.partial(metric, name) for name in names}


def _ranked(outputs: Outputs, y: Labels, names: Sequence[str]) -> dict[str, Callable[[Numbers], Numbers]]:
    classes = outputs.shape[1]
    if classes == 2:  # the margin, which tells apart what a softmax rounds to 1
        margin = outputs[:, 1].astype(np.float64) - outputs[:, 0]
        parts = [ranking(margin, y == 1)]
    else:
        shares = probabilities(outputs)
        parts = [ranking(shares[:, label], y == label) for label in range(classes)]
    seen: list[tuple[Numbers, Numbers]] = []

    def metric(which: int, empty: float, weights: Numbers) -> Numbers:
        if not seen or seen[0][0] is not weights:  # both areas come of one pass
            both = np.array([part(weights) for part in parts])
            seen[:] = [(weights, both)]
        areas = seen[0][1][:, which]
        return _mean(np.nan_to_num(areas), np.isfinite(areas), empty)

    every: dict[str, Callable[[Numbers], Numbers]] = {
        "roc_auc": lambda weights: metric(0, 0.5, weights),
        "pr_auc": lambda weights: metric(1, 0.0, weights),
    }
    return {name: every[name] for name in names}


def _mean(values: Numbers, counts: NDArray[np.bool_], empty: float) -> Numbers:
    """(resamples,) mean over the classes that count; `empty` where none does."""
    many = counts.sum(axis=0)
    return np.where(many > 0, (values * counts).sum(axis=0) / np.maximum(many, 1), empty)


def _metric(name: str, split: Split, records: int, kind: VerdictKind, found: Interval | float) -> Metric:
    if isinstance(found, Interval):
        return Metric(name, found.value, split, records, found.low, found.high, kind)
    return Metric(name, found, split, records, kind=kind)
