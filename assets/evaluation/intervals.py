"""How sure a number is: score intervals of shares, and the bootstrap for everything else. numpy only."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Z95 = 1.959963984540054
RESAMPLES = 1000
LEAST_RESAMPLES = 200
MOST_RECORDS = 5_000
"""A bootstrap of more records draws from so many of them, and its interval is narrowed to what all would give."""
MOST_WEIGHTS = 5_000_000
"""Records times resamples times `cost`: what bounds a bootstrap's time to well below a second."""
CHUNK = 64
Numbers = NDArray[np.float64]
Weighted = Callable[[Numbers], Numbers]
"""(records, resamples) how often each record counts, to (statistics, resamples)."""


@dataclass(frozen=True)
class Interval:
    """A value and the ends of its 95 % interval."""

    value: float
    low: float
    high: float


def wilson(good: int, records: int) -> Interval:
    """A share and its 95 % score interval (Wilson 1927, J. Am. Stat. Assoc. 22:209-212)."""
    if not 0 <= good <= records or records == 0:
        raise ValueError(f"{good} of {records} is not a share")
    share, z2 = good / records, Z95 * Z95
    middle = (share + z2 / (2 * records)) / (1 + z2 / records)
    half = Z95 / (1 + z2 / records) * math.sqrt(share * (1 - share) / records + z2 / (4 * records**2))
    return Interval(share, max(0.0, min(middle - half, share)), min(1.0, max(middle + half, share)))


def paired_difference(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> Interval:
    """Share of hits of `first` minus that of `second` on the same records, with its 95 % interval.

    Method 10 of Newcombe 1998 (Statistics in Medicine 17:2635-2650): Wilson intervals of both shares, joined with the
    continuity-corrected correlation of the pairs. It stays sensible where the two models never disagree.
    """
    if first.shape != second.shape or first.size == 0:
        raise ValueError(f"{first.shape} and {second.shape} are not answers on the same records")
    n = int(first.size)
    both, only_first = int((first & second).sum()), int((first & ~second).sum())
    only_second, neither = int((~first & second).sum()), int((~first & ~second).sum())
    one, two = wilson(both + only_first, n), wilson(both + only_second, n)
    product = (both + only_first) * (only_second + neither) * (both + only_second) * (only_first + neither)
    agreement = float(both * neither - only_first * only_second)
    if agreement > 0:
        agreement = max(agreement - n / 2, 0)
    phi = agreement / math.sqrt(product) if product else 0.0
    value = (only_first - only_second) / n

    def reach(a: float, b: float) -> float:
        return math.sqrt(max(a * a - 2 * phi * a * b + b * b, 0.0))

    low = value - reach(one.value - one.low, two.high - two.value)
    high = value + reach(one.high - one.value, two.value - two.low)
    return Interval(value, max(-1.0, low), min(1.0, high))


def bounded(one: Interval, records: int) -> Interval:
    """An interval of a number between 0 and 1, cut off there.

    Where no resample differs from the records, as where a model makes no error, Wilson's interval stands in.

    Args:
        records: how many Wilson's interval is of: those of the rarest kind.
    """
    low, high = max(0.0, one.low), min(1.0, one.high)
    if low == high:
        around = wilson(round(one.value * records), records)
        low, high = min(low, around.low), max(high, around.high)
    return Interval(one.value, low, high)


def bootstrap(
    prepare: Callable[[NDArray[np.int64]], Weighted],
    records: int,
    *,
    cost: int = 1,
    resamples: int = RESAMPLES,
    groups: NDArray[Any] | None = None,
    seed: int = 0,
) -> tuple[Interval, ...]:
    """Each statistic of some records, with its 95 % bootstrap interval (Efron 1979); the same for the same records.

    The ends are the resamples' quantiles, taken about their median: a statistic that is biased on resamples (they
    repeat records), such as a calibration error, is not blamed for it. Time is bounded, see `MOST_RECORDS`.

    Args:
        prepare: given positions of records, what computes the statistics of these by how often each counts.
        cost: how many passes over the records `prepare`'s function makes, e.g. one per class.
        resamples: at most so many are drawn, and at least `LEAST_RESAMPLES`.
        groups: (records,) the unit of each record; whole groups are drawn, because their records resemble each other.

    Raises:
        ValueError: there is no record.
    """
    if records < 1:
        raise ValueError("no record to compute a statistic of")
    values = prepare(np.arange(records))(np.ones((records, 1)))[:, 0]
    rng = np.random.default_rng(seed)
    rows = np.arange(records)
    if records > MOST_RECORDS and groups is None:
        rows = np.sort(rng.choice(records, MOST_RECORDS, replace=False))
    weighted = prepare(rows)
    count = int(np.clip(MOST_WEIGHTS // (len(rows) * cost), LEAST_RESAMPLES, resamples))
    _, unit = np.unique(rows if groups is None else groups, return_inverse=True)
    drawn = [
        weighted(_draw(rng, int(unit.max()) + 1, min(CHUNK, count - start))[unit]) for start in range(0, count, CHUNK)
    ]
    low, middle, high = np.quantile(np.concatenate(drawn, axis=1), (0.025, 0.5, 0.975), axis=1)
    shrink = math.sqrt(len(rows) / records)
    lows, highs = values - (middle - low) * shrink, values + (high - middle) * shrink
    return tuple(Interval(*map(float, ends)) for ends in zip(values, lows, highs, strict=True))


def _draw(rng: np.random.Generator, units: int, resamples: int) -> Numbers:
    """(units, resamples) how often each unit is among `units` draws with replacement."""
    drawn = rng.integers(0, units, (units, resamples)) * resamples + np.arange(resamples)
    return np.bincount(drawn.ravel(), minlength=units * resamples).reshape(units, resamples).astype(np.float64)
