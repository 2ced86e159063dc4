"""One feature's part of a profile: bins for numbers, counts for words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

BINS = 10
"""More bins would cry wolf: 64 of them call every batch of 200 records a drift."""
MAX_WORDS = 100
MAX_WORD = 100
FENCE = 5.0
_DIGITS = 7
_LARGEST = 1e100  # its square is still a number


@dataclass(frozen=True)
class Feature:
    """One column of the records, or their label.

    Attributes:
        kind: "number" has edges, counts, means and fences; "word" has words and other.
        nulls: records without a value.
        edges: ascending; bin i holds edges[i-1] < value <= edges[i], the first and the last bin all beyond.
        counts: records in each bin, one more than edges.
        means: mean of each bin's values held within the fences; 0 for an empty bin.
        fences: values beyond are counted as if they lay there, so that one absurd cell moves no mean.
        mean, std: of the values held within the fences.
        low, high: least and greatest value; None for private columns and where there is no value.
        words: the most frequent words, at most `MAX_WORDS`; other: how many values are none of them.
        private: its values must not be shown.
    """

    name: str
    kind: Literal["number", "word"]
    nulls: int
    edges: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()
    means: tuple[float, ...] = ()
    fences: tuple[float, float] = (0.0, 0.0)
    mean: float = 0.0
    std: float = 0.0
    low: float | None = None
    high: float | None = None
    words: Mapping[str, int] = field(default_factory=dict)
    other: int = 0
    private: bool = False

    def __post_init__(self) -> None:
        if self.kind == "number" and not len(self.counts) == len(self.means) == len(self.edges) + 1:
            raise ValueError(f"{len(self.edges)} edges part {len(self.counts)} bins with {len(self.means)} means")

    @property
    def values(self) -> int:
        """Records with a value."""
        return sum(self.counts) if self.kind == "number" else sum(self.words.values()) + self.other


class Bins(NamedTuple):
    """Where a feature's bins end, and where its values are held; see `Feature`."""

    edges: tuple[float, ...]
    fences: tuple[float, float]


def choose_bins(values: NDArray[np.float64]) -> Bins:
    """About `BINS` bins of equally many values. A value so frequent that it would fill a bin gets one of its own.

    Args:
        values: float64, any shape; NaN and infinity are left out. Without values there is one bin.
    """
    finite = values[np.isfinite(values)]
    if not finite.size:
        return Bins((), (0.0, 0.0))
    cuts = np.quantile(finite, np.arange(1, BINS) / BINS, method="lower")
    met, times = np.unique(cuts, return_counts=True)
    atoms = met[times > 1]
    if atoms.size or met.size < BINS - 1:
        rest = finite[~np.isin(finite, atoms)]
        share = round(BINS * rest.size / finite.size)
        steps = max(2, share) if rest.size else 0
        met = np.quantile(rest, np.arange(1, steps) / steps, method="lower") if steps else np.empty(0)
        with np.errstate(over="ignore"):  # the atom alone lies between the number just below it and itself
            met = np.concatenate([met, atoms, np.nextafter(atoms, -np.inf)])
    edges = np.unique(met[np.isfinite(met)])
    low, high = np.quantile(finite.clip(-_LARGEST, _LARGEST), (0.05, 0.95))
    width = float(high - low) or max(abs(float(low)), 1.0)
    return Bins(tuple(map(float, edges)), (float(low) - FENCE * width, float(high) + FENCE * width))


class Tally:
    """Counts one feature's values as they come."""

    def __init__(self, bins: Bins) -> None:
        self._bins = bins
        self._edges = np.asarray(bins.edges, dtype=np.float64)
        self._center = float(np.clip(self._edges[len(self._edges) // 2], *bins.fences)) if bins.edges else 0.0
        self._counts = np.zeros(len(self._edges) + 1, dtype=np.int64)
        self._sums = np.zeros(len(self._edges) + 1)
        self._square = 0.0
        self._nulls = 0
        self._low, self._high = np.inf, -np.inf

    def add(self, values: NDArray[np.float64]) -> None:
        """Add float64 values; NaN and infinity are no values."""
        finite = np.isfinite(values)
        if not finite.all():
            self._nulls += int(values.size - finite.sum())
            values = values[finite]
        if not values.size:
            return
        self._low, self._high = min(self._low, float(values.min())), max(self._high, float(values.max()))
        places = np.zeros(values.size, dtype=np.uint8)
        for edge in self._edges:  # with so few edges twelve times as fast as a binary search
            places += values > edge
        held = np.clip(values, *self._bins.fences)
        held -= self._center  # sums of what is near zero keep their digits
        self._counts += np.bincount(places, minlength=len(self._counts))
        self._sums += np.bincount(places, weights=held, minlength=len(self._counts))
        held *= held
        self._square += float(held.sum())

    def feature(self, name: str) -> Feature:
        """What was counted."""
        total = int(self._counts.sum())
        means = np.where(self._counts > 0, self._sums / np.maximum(self._counts, 1) + self._center, 0.0)
        offset = float(self._sums.sum()) / max(total, 1)
        variance = max(self._square / max(total, 1) - offset**2, 0.0)
        return Feature(
            name,
            "number",
            self._nulls,
            self._bins.edges,
            tuple(map(int, self._counts)),
            tuple(map(short, means)),
            self._bins.fences,
            offset + self._center if total else 0.0,
            float(np.sqrt(variance)),
            self._low if total else None,
            self._high if total else None,
        )


def tally_words(name: str, counts: Counter[str | None]) -> Feature:
    """A feature of words: how often each occurs; None is no value."""
    nulls = counts.pop(None, 0)
    ranked = sorted(((str(word), times) for word, times in counts.items()), key=lambda item: (-item[1], item[0]))
    words: dict[str, int] = {}
    for word, times in ranked[:MAX_WORDS]:
        words[word[:MAX_WORD]] = words.get(word[:MAX_WORD], 0) + times
    return Feature(name, "word", nulls, words=words, other=sum(times for _, times in ranked[MAX_WORDS:]))


def join_words(features: Sequence[Feature]) -> Feature:
    """Features of words with one name, added up."""
    counts: Counter[str | None] = Counter()
    for item in features:
        counts.update(item.words)
    joined = tally_words(features[0].name, counts)
    other = joined.other + sum(item.other for item in features)
    return replace(joined, other=other, private=any(item.private for item in features))


def join_numbers(features: Sequence[Feature]) -> Feature:
    """Features of numbers with one name, added up in the bins of the first one that has any."""
    first = next((item for item in features if item.edges), features[0])
    counts = np.zeros(len(first.counts), dtype=np.int64)
    sums = np.zeros(len(first.counts))
    total, mean, square = 0, 0.0, 0.0
    for item in features:
        own = item if item.edges == first.edges else _moved(item, first)
        counts += np.asarray(own.counts)
        sums += np.asarray(own.means) * np.asarray(own.counts)
        if own.values:  # two means and variances joined without losing digits (Chan et al. 1979)
            both, step = total + own.values, own.mean - mean
            square += own.std**2 * own.values + step**2 * total * own.values / both
            mean += step * own.values / both
            total = both
    private = any(item.private for item in features)
    lows = [item.low for item in features if item.low is not None]
    highs = [item.high for item in features if item.high is not None]
    return replace(
        first,
        nulls=sum(item.nulls for item in features),
        counts=tuple(map(int, counts)),
        means=tuple(map(short, np.where(counts > 0, sums / np.maximum(counts, 1), 0.0))),
        mean=mean,
        std=float(np.sqrt(square / max(total, 1))),
        low=min(lows) if lows and not private else None,
        high=max(highs) if highs and not private else None,
        private=private,
    )


def _moved(feature: Feature, into: Feature) -> Feature:
    """A feature in other bins: its records are spread evenly between its edges."""
    low, high = feature.fences
    knots = np.clip(np.asarray([low, *feature.edges, high]), low, high)
    reached = np.concatenate([[0], np.cumsum(feature.counts)])
    cuts = np.rint(np.interp(np.asarray(into.edges), knots, reached)).astype(np.int64)
    counts = np.diff(np.concatenate([[0], cuts, [feature.values]]))
    ends = np.clip(np.asarray([low, *into.edges, high]), low, high)
    means = np.where(counts > 0, ends[:-1] / 2 + ends[1:] / 2, 0.0)
    return replace(
        feature, edges=into.edges, fences=into.fences, counts=tuple(map(int, counts)), means=tuple(map(float, means))
    )


def short(value: float) -> float:
    """With seven digits: a profile is kept for every batch."""
    return float(f"{float(value):.{_DIGITS}g}")
