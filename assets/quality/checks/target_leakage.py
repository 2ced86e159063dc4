"""Columns that give the label away: a copy of the target, what is known only afterwards, an id of sorted rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from assets.line.data import DataContract
from assets.quality.checks.columns import class_codes, codes, numbers, surest
from assets.quality.checks.derived import Derived
from assets.quality.redaction import LABELS, hidden_columns
from assets.quality.spool import Spool
from assets.records.verdict import Finding

SAMPLE = 20_000
LEAST_RECORDS = 50
"""With fewer records a column predicts the label by luck."""
ALONE = 0.98
"""Balanced accuracy on records it was not fitted on, from which one column predicts the class alone. Strong honest
columns stay below: the best of breast cancer 0.89, of wine 0.76, of iris 0.96."""
ALONE_NUMBER = 0.995
"""The same for a number to predict: R squared."""
EASY = 0.5
"""Where more than this share of at least four columns predicts the label alone, the task is easy, not leaking."""
PURE, LIFT, SUPPORT, PART = 0.95, 5.0, 10, 0.05
"""One value of a column with few values: so many of its records, at least `SUPPORT`, are of one class, which is `LIFT`
times rarer in all records, and they are so large a part of the class. Finds AI4I's TWF, HDF, PWF and OSF, each a kind
of failure (0.1 to 0.4 of all failures), and nothing in digits, whose rare border pixels are at most 0.03 of a class."""
_FEW = 8
_PREFILTER = 0.85
_AT_ONCE = 100  # columns in memory
_BINS = 64


def find_target_leakage(spool: Spool, data: DataContract) -> Derived:
    """Ask of each input column of a table or series whether it predicts the label alone.

    A column is fitted with a small tree on one half of at most `SAMPLE` records, and scored on the other half, and the
    other way round. That is the same for every run: the sample is drawn with a fixed seed.

    Returns:
        No columns. Findings "target_leakage" with row -1 and the column as `other`; `score` from 0 to 1.
    """
    if data.inputs is None or spool.rows < LEAST_RECORDS:
        return Derived()
    rows = _sample(spool.rows)
    target = _target(spool, data, rows)
    usable = np.isfinite(target)
    if usable.sum() < LEAST_RECORDS or np.unique(target[usable]).size < 2:
        return Derived()
    rows, target = rows[usable], target[usable]
    found = []
    names = data.inputs.columns
    for start in range(0, len(names), _AT_ONCE):
        table = spool.take(rows, names[start : start + _AT_ONCE])
        for name in table.column_names:
            values = _values(table.column(name), data.inputs.categories.get(name, ()))
            pure = None if data.regression else _pure(values, target)
            found.append(_Scored(name, _score(values, target, data.regression), _in_order(values, rows), pure))
    alone = [column for column in found if column.score >= (ALONE_NUMBER if data.regression else ALONE)]
    if len(found) >= 4 and len(alone) > EASY * len(found):
        alone = []
    return Derived(findings=surest(_findings(alone, found, data)))


@dataclass(frozen=True)
class _Scored:
    """What was found out about a column; `pure`: one value, its records, and the place of their class."""

    name: str
    score: float
    in_order: bool
    pure: tuple[float, int, int, float] | None


def _findings(alone: Sequence[_Scored], found: Sequence[_Scored], data: DataContract) -> Iterator[Finding]:
    hidden = hidden_columns(data)
    for column in alone:
        how = "R squared" if data.regression else "balanced accuracy"
        if column.in_order:
            detail = f"it numbers the rows, and the rows are sorted by label ({how} {column.score:.3f} by itself)"
        else:
            detail = f"by itself it predicts the label with a {how} of {column.score:.3f}"
        yield Finding("target_leakage", -1, column.name, -1, column.score, f"column {column.name}: {detail}")
    for column in found:
        if column.pure is not None and column not in alone:
            value, count, place, share = column.pure
            inputs = data.inputs
            assert inputs is not None
            words = inputs.categories.get(column.name)
            shown = repr(words[int(value)]) if words else f"{value:g}"
            if column.name in hidden:
                shown = "one certain value"
            label = repr(data.classes[place]) if hidden.isdisjoint(LABELS) else "of one class"
            detail = f"{share:.0%} of the {count:,} records where it is {shown} are {label}"
            yield Finding("target_leakage", -1, column.name, -1, share, f"column {column.name}: {detail}")


def _sample(rows: int) -> NDArray[np.int64]:
    if rows <= SAMPLE:
        return np.arange(rows)
    return np.sort(np.random.default_rng(0).choice(rows, SAMPLE, replace=False))


def _target(spool: Spool, data: DataContract, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """(rows,) the class's position or the number; NaN where there is none."""
    labels = spool.take(rows, ["_label"]).column("_label")
    if not data.regression:
        found = class_codes(labels, data.classes).astype(np.float64)
        found[found < 0] = np.nan
        return found
    values = np.full(len(rows), np.nan)
    for place, text in enumerate(labels.to_pylist()):
        try:
            values[place] = float(text or "nan")
        except ValueError:
            continue
    return np.where(np.abs(values) < 1e150, values, np.nan)


def _values(column: pa.ChunkedArray, known: Sequence[str]) -> NDArray[np.float64]:
    """(rows,) a column's values, a category as its place among the `known` words; NaN where there is none."""
    if pa.types.is_string(column.type):
        places, words = codes(column)
        place_of = {word: float(place) for place, word in enumerate(known)}
        return np.array([place_of.get(word, np.nan) for word in words] or [np.nan])[places]
    values = numbers(column)
    return np.where(np.abs(values) < 1e30, values, np.nan)  # trees count in float32


def _score(values: NDArray[np.float64], target: NDArray[np.float64], regression: bool) -> float:
    """Balanced accuracy or R squared (at least 0) on records that the column's model was not fitted on."""
    known = np.isfinite(values)
    if not known.any() or (np.ptp(values[known]) == 0 and known.all()):
        return 0.0
    filled = np.where(known, values, (values[known].min() if known.any() else 0.0) - 1.0)
    if regression:
        return _score_number(filled, target)
    if _quick(filled, target) < _PREFILTER:
        return 0.0
    predicted = np.empty_like(target)
    for fit, ask in _halves(target.size):
        predicted[ask] = _tree(regression)().fit(filled[fit, None], target[fit]).predict(filled[ask, None])
    return _balanced(predicted, target)


def _score_number(values: NDArray[np.float64], target: NDArray[np.float64]) -> float:
    straight = np.empty_like(target)
    for fit, ask in _halves(target.size):
        center, middle = values[fit].mean(), target[fit].mean()
        spread = float(((values[fit] - center) ** 2).sum())
        slope = float(((values[fit] - center) * (target[fit] - middle)).sum()) / spread if spread else 0.0
        straight[ask] = middle + slope * (values[ask] - center)
    best = _explained(straight, target)
    places = _bins(values)
    counts = np.maximum(np.bincount(places), 1)
    if best < ALONE_NUMBER and _explained((np.bincount(places, weights=target) / counts)[places], target) > _PREFILTER:
        predicted = np.empty_like(target)
        for fit, ask in _halves(target.size):
            predicted[ask] = _tree(True)().fit(values[fit, None], target[fit]).predict(values[ask, None])
        best = max(best, _explained(predicted, target))
    return best


def _explained(predicted: NDArray[np.float64], target: NDArray[np.float64]) -> float:
    """R squared, at least 0."""
    total = float(((target - target.mean()) ** 2).sum())
    return max(0.0, 1 - float(((predicted - target) ** 2).sum()) / total) if total else 0.0


def _bins(values: NDArray[np.float64]) -> NDArray[np.int64]:
    edges = np.unique(np.quantile(values, np.arange(1, _BINS) / _BINS))
    return np.searchsorted(edges, values).astype(np.int64)


def _tree(regression: bool) -> Callable[[], Any]:
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    if regression:
        return partial(DecisionTreeRegressor, min_samples_leaf=5, random_state=0)
    return partial(
        DecisionTreeClassifier, min_samples_leaf=2, max_leaf_nodes=256, class_weight="balanced", random_state=0
    )


def _halves(rows: int) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    first = np.random.default_rng(1).random(rows) < 0.5
    yield first, ~first
    yield ~first, first


def _quick(values: NDArray[np.float64], target: NDArray[np.float64]) -> float:
    """Balanced accuracy of equal bins on the records themselves: at least about what a tree can reach, in a ms."""
    places, classes = _bins(values), target.astype(np.int64)
    width = int(classes.max()) + 1
    counts = np.bincount(places * width + classes, minlength=_BINS * width).reshape(-1, width)
    totals = counts.sum(axis=0)
    weighted = counts / np.maximum(totals, 1)
    best = weighted.argmax(axis=1)
    right = np.bincount(best, weights=counts[np.arange(len(best)), best], minlength=width)
    there = totals > 0
    return float((right[there] / totals[there]).mean())


def _balanced(predicted: NDArray[np.float64], target: NDArray[np.float64]) -> float:
    classes = np.unique(target)
    return float(np.mean([(predicted[target == one] == one).mean() for one in classes]))


def _in_order(values: NDArray[np.float64], rows: NDArray[np.int64]) -> bool:
    """Whether a column numbers the rows: integers, each once, that grow with the rows."""
    whole = np.isfinite(values).all() and (values == np.round(values)).all()
    return bool(whole and (np.diff(values) > 0).all() and np.ptp(values) <= 2 * np.ptp(rows) + 2)


def _pure(values: NDArray[np.float64], target: NDArray[np.float64]) -> tuple[float, int, int, float] | None:
    """The value of a column with few values whose records are nearly all of one class that is rare otherwise."""
    known = np.isfinite(values)
    distinct, places = np.unique(values[known], return_inverse=True)
    if not 2 <= distinct.size <= _FEW:
        return None
    classes = target[known].astype(np.int64)
    width = int(classes.max()) + 1
    counts = np.bincount(places * width + classes, minlength=distinct.size * width).reshape(-1, width)
    totals = counts.sum(axis=1)
    best = counts.argmax(axis=1)
    inside = counts[np.arange(len(best)), best]
    whole = counts.sum(axis=0)[best]
    share = inside / np.maximum(totals, 1)
    leaks = (inside >= SUPPORT) & (share >= PURE) & (share >= LIFT * whole / totals.sum()) & (inside >= PART * whole)
    if not leaks.any():
        return None
    place = int(np.flatnonzero(leaks)[inside[leaks].argmax()])
    return float(distinct[place]), int(totals[place]), int(best[place]), float(share[place])
