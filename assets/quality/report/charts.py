"""Distributions now against accepted data, as the paths of small SVGs; nothing but numbers goes into a path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assets.quality.drift.compare import FeatureDrift
from assets.quality.drift.features import Feature
from assets.quality.report.words import cut, number, title

WIDTH, HEIGHT = 240, 72
MAX_BARS = 12
MAX_STEEP = 5
"""A distribution whose fullest bin is so many times as dense as the middle one is drawn bin by bin."""
LEAST_HALF = 0.08
"""So is one whose middle half takes up a smaller share of its range."""


@dataclass(frozen=True)
class Bar:
    """A word, or a range of values: shares of records in percent; `then` None without accepted data."""

    name: str
    now: float
    then: float | None
    count: int


@dataclass(frozen=True)
class Chart:
    """One feature. Either `bars`, or the paths `now` and `then` ("" without accepted data) with three marks below."""

    name: str
    drifted: bool
    private: bool
    bars: tuple[Bar, ...] = ()
    more: int = 0
    now: str = ""
    then: str = ""
    marks: tuple[str, ...] = ()
    by_bin: bool = False
    half: str = ""
    nulls: str = ""

    @property
    def top(self) -> float:
        """The largest share of any bar, in percent: bars are drawn against it."""
        return max((max(bar.now, bar.then or 0.0) for bar in self.bars), default=0.0) or 100.0


def chart(now: Feature, then: Feature | None, drift: FeatureDrift | None, most: int = MAX_BARS) -> Chart:
    """How one feature's values are spread, now and in accepted data (where its bins are the same)."""
    if then is not None and (then.kind != now.kind or then.edges != now.edges or not then.values):
        then = None
    private = now.private or (then is not None and then.private)
    drifted = drift is not None and drift.drifted
    nulls = ""
    if now.nulls or (then is not None and then.nulls):
        nulls = f"{_share(now.nulls, now):.1f} % without a value"
        nulls += f", before {_share(then.nulls, then):.1f} %" if then is not None else ""
    if now.kind == "word":
        bars, more = _words(now, then, most)
        hidden = tuple(Bar(f"value {at + 1}", bar.now, bar.then, bar.count) for at, bar in enumerate(bars))
        return Chart(title(now.name), drifted, private, hidden if private else bars, more, nulls=nulls)
    cells = _cells(now, then)
    if len(cells) <= 6 or not now.values:
        shown = tuple(Bar(f"range {at + 1}" if private else bar.name, *_rest(bar)) for at, bar in enumerate(cells))
        return Chart(title(now.name), drifted, private, shown, nulls=nulls)
    (drawn, before), marks, by_bin = _paths(now, then)
    if by_bin and then is None:
        drawn = ""  # its own bins hold equally many values: nothing would be seen
    edges = now.edges
    half = f"{number(edges[len(edges) // 4])} to {number(edges[3 * len(edges) // 4])}" if by_bin and not private else ""
    shown_marks = () if private else told_apart(marks)
    return Chart(title(now.name), drifted, private, (), 0, drawn, before, shown_marks, by_bin, half, nulls)


def told_apart(values: Sequence[float]) -> tuple[str, ...]:
    """Numbers of one scale as short as they can be and still differ where they do."""
    texts = tuple(map(number, values))
    for places in range(1, 7):
        if len(set(texts)) == len(set(values)):
            break
        texts = tuple(f"{value:,.{places}f}" for value in values)
    return texts


def _rest(bar: Bar) -> tuple[float, float | None, int]:
    return bar.now, bar.then, bar.count


def _share(count: int, feature: Feature) -> float:
    return 100 * count / max(feature.values + feature.nulls, 1)


def _words(now: Feature, then: Feature | None, most: int) -> tuple[tuple[Bar, ...], int]:
    """Words, the most frequent in either first, and how many are left out."""
    total, before = max(now.values, 1), max(then.values if then else 0, 1)
    known = then.words if then else {}
    words = sorted({*now.words, *known}, key=lambda word: (-known.get(word, 0), -now.words.get(word, 0), word))
    bars = [
        Bar(
            cut(word, 60) or "(empty)",
            100 * now.words.get(word, 0) / total,
            100 * known.get(word, 0) / before if then else None,
            now.words.get(word, 0),
        )
        for word in words[:most]
    ]
    if now.other or (then and then.other):
        bars.append(Bar("other words", 100 * now.other / total, 100 * then.other / before if then else None, now.other))
    return tuple(bars), max(0, len(words) - most)


def _cells(now: Feature, then: Feature | None) -> list[Bar]:
    """The bins that hold anything, with their ranges in words."""
    total, before = max(now.values, 1), max(then.values if then else 0, 1)
    edges, bars = now.edges, []
    for at, count in enumerate(now.counts):
        old = then.counts[at] if then else 0
        if not count and not old:
            continue
        low, high = edges[at - 1] if at else None, edges[at] if at < len(edges) else None
        if low is None or high is None:
            name = "all" if low is high else f"up to {number(high)}" if low is None else f"above {number(low)}"
        else:
            name = number(high) if np.nextafter(high, -np.inf) == low else f"{number(low)} to {number(high)}"
        bars.append(Bar(name, 100 * count / total, 100 * old / before if then else None, count))
    return bars


def _paths(now: Feature, then: Feature | None) -> tuple[tuple[str, str], tuple[float, float, float], bool]:
    """Paths of both series, what stands below the left end, the middle and the right end, and whether bin by bin."""
    ends = _ends(now, then)
    widths = np.diff(ends)
    shares = [np.asarray(item.counts) / max(item.values, 1) for item in (now, then) if item is not None]
    heights = [share / np.maximum(widths, 1e-300) for share in shares]
    dense = np.concatenate(heights)
    half = now.edges[3 * len(now.edges) // 4] - now.edges[len(now.edges) // 4]
    even = widths.min() > 1e-9 * widths.sum() and dense.max() <= MAX_STEEP * np.median(dense[dense > 0])
    by_bin = not even or half < LEAST_HALF * (ends[-1] - ends[0])
    if by_bin:
        places, heights = np.linspace(0, WIDTH, len(widths) + 1), shares
        middle = now.edges[len(now.edges) // 2]
    else:
        places = (ends - ends[0]) / (ends[-1] - ends[0]) * WIDTH
        middle = (ends[0] + ends[-1]) / 2
    top = max(float(height.max()) for height in heights)
    drawn = [_steps(places, height / top * (HEIGHT - 4)) for height in heights]
    return (drawn[0], drawn[1] if then is not None else ""), (float(ends[0]), float(middle), float(ends[-1])), by_bin


def _ends(now: Feature, then: Feature | None) -> NDArray[np.float64]:
    """Where the bins begin and end; the outer ones reach as far again beyond their mean as it is beyond the edge."""
    first, last = now.edges[0], now.edges[-1]
    step = (last - first) / max(len(now.edges) - 1, 1) or max(abs(first), 1.0) * 1e-3
    lows, highs = [], []
    for item in (now, then):
        if item is not None and item.counts[0]:
            lows.append(max(2 * item.means[0] - first, -np.inf if item.low is None else item.low))
        if item is not None and item.counts[-1]:
            highs.append(min(2 * item.means[-1] - last, np.inf if item.high is None else item.high))
    low = min(min(lows, default=first - step / 10), first - step / 1000)
    high = max(max(highs, default=last + step / 10), last + step / 1000)
    return np.asarray([low, *now.edges, high], dtype=np.float64)


def _steps(places: NDArray[np.float64], heights: NDArray[np.float64]) -> str:
    """An area of steps that stands on the lower edge."""
    path = f"M{places[0]:.1f} {HEIGHT}"
    for place, height in zip(places[1:], heights, strict=True):
        path += f"V{HEIGHT - height:.1f}H{place:.1f}"
    return f"{path}V{HEIGHT}Z"


def polyline(values: Sequence[float | None], width: float, height: float, top: float) -> str:
    """Values as the path of a line; a gap where there is none."""
    path, drawing = "", False
    step = width / max(len(values), 1)
    for at, value in enumerate(values):
        if value is None:
            drawing = False
            continue
        y = height - 2 - min(value / top, 1.0) * (height - 4)
        path += f"{'L' if drawing else 'M'}{(at + 0.5) * step:.1f} {y:.1f}" + ("" if drawing else "h.1")
        drawing = True
    return path
