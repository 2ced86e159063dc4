"""How good the answers are on parts of the test records: by class, batch, group, and the values of columns."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assets.evaluation.intervals import Z95, wilson
from assets.pages.plots import Numbers
from assets.training.card.data import Slice, SliceGroup
from edge.contracts import InputSpec

LEAST_RECORDS = 20
"""Smaller slices say too little, and too much about single records."""
MAX_SLICES = 12
MAX_COLUMNS = 30
QUANTILES = 4
MOST_WORDS = 40

Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Answers:
    """The answers on the test records, as slices count them.

    Attributes:
        good: (records,) bool hits of classes and anomalies; None for numbers.
        errors: (records,) answer minus truth of numbers; None else.
    """

    good: NDArray[np.bool_] | None
    errors: Numbers | None

    @property
    def columns(self) -> tuple[str, ...]:
        """What the numbers of a slice are."""
        return ("right",) if self.good is not None else ("mean error size", "RMSE", "bias")

    @property
    def records(self) -> int:
        """How many records there are."""
        parts = self.good if self.good is not None else self.errors
        assert parts is not None
        return len(parts)

    def slice_of(self, name: str, rows: NDArray[np.bool_] | Labels) -> Slice:
        """One slice against all records; `rows` picks at least one."""
        if self.good is not None:
            part = self.good[rows]
            share = wilson(int(part.sum()), len(part))
            weak = share.high < float(self.good.mean())
            return Slice(name, len(part), (share.value,), share.low, share.high, weak)
        assert self.errors is not None
        errors = self.errors[rows]
        sizes = np.abs(errors)
        mean = float(sizes.mean())
        half = Z95 * float(sizes.std(ddof=1)) / math.sqrt(len(sizes)) if len(sizes) > 1 else math.inf
        values = (mean, float(np.sqrt((errors**2).mean())), float(errors.mean()))
        weak = mean - half > float(np.abs(self.errors).mean())
        return Slice(name, len(errors), values, max(mean - half, 0.0), mean + half, weak)


def by_class(answers: Answers, y: Labels, classes: Sequence[str]) -> SliceGroup | None:
    """One slice per true class, the classes with few records too: they are the ones to look at."""
    found = [answers.slice_of(classes[label], y == label) for label in range(len(classes)) if (y == label).any()]
    return _group("By class", answers, found, 0, 2 * MAX_SLICES)


def by_name(title: str, answers: Answers, names: Sequence[str], *, singles: bool = False) -> SliceGroup | None:
    """One slice per name that is not empty, e.g. of a batch or a group; None where there are fewer than two."""
    array = np.asarray(names, dtype=object).astype(str)
    met, inverse, counts = np.unique(array, return_inverse=True, return_counts=True)
    if len(met) < 2:
        return None
    large = [at for at in np.argsort(-counts, kind="stable") if counts[at] >= LEAST_RECORDS and met[at]][:200]
    found = [answers.slice_of(str(met[at])[:80], inverse == at) for at in large]
    return _group(title, answers, found, int((counts < LEAST_RECORDS).sum()), MAX_SLICES, singles=singles)


def by_columns(
    answers: Answers, spec: InputSpec, values: Numbers, hidden: frozenset[str], shown: Callable[[float], str]
) -> list[SliceGroup]:
    """Slices by each column of a table: its words, or quarters of its numbers. Columns without any weak slice go.

    Args:
        values: (records, columns), in the table's own units.
        hidden: columns whose values are never shown.
        shown: a number as text.
    """
    groups = []
    for at, name in enumerate(spec.columns[:MAX_COLUMNS]):
        if name in hidden:
            continue
        words, column = spec.categories.get(name), values[:, at]
        if words is not None:
            codes = np.round(column).astype(np.int64)
            named = [words[code] if 0 <= code < len(words) else "another word" for code in codes]
            group = by_name(f"By {name}", answers, named, singles=True)
        else:
            group = _by_quantile(f"By {name}", answers, column, shown)
        if group is not None:
            groups.append(group)
    return groups


def _by_quantile(title: str, answers: Answers, column: Numbers, shown: Callable[[float], str]) -> SliceGroup | None:
    finite = np.isfinite(column)
    edges = np.unique(np.quantile(column[finite], np.linspace(0, 1, QUANTILES + 1))) if finite.any() else np.empty(0)
    if len(edges) < 3:
        return None
    at = np.clip(np.searchsorted(edges, column, "right") - 1, 0, len(edges) - 2)
    found, small = [], 0
    for part in range(len(edges) - 1):
        rows = finite & (at == part)
        if int(rows.sum()) >= LEAST_RECORDS:
            found.append(answers.slice_of(f"{shown(edges[part])} to {shown(edges[part + 1])}", rows))
        else:
            small += bool(rows.any())
    return _group(title, answers, found, small, MAX_SLICES, singles=True)


def _group(
    title: str, answers: Answers, found: list[Slice], small: int, most: int, *, singles: bool = False
) -> SliceGroup | None:
    if len(found) < 2:
        return None
    worst = -1 if answers.good is None else 1
    found.sort(key=lambda one: worst * one.values[0])
    return SliceGroup(title, answers.columns, tuple(found[:most]), small, max(0, len(found) - most), singles)
