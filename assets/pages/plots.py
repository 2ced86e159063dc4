"""Plots as data for a template: paths in a box of 320 x 200 units, ticks and a legend; no text goes into a path."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 320, 200
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 8, 34
MAX_POINTS = 400
MAX_DOTS = 1200
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Tick:
    """A mark on an axis: where it is in the box, and what it says."""

    at: float
    text: str


@dataclass(frozen=True)
class Mark:
    """One thing drawn.

    Attributes:
        path: of the SVG.
        style: a class of the style sheet: "now", "then", "good", "bad", "thin", "limit", "dots", "area" and so on.
        name: what the legend calls it; "" where it is not named.
        icon: path of what the legend shows, in a box of 22 x 10 units; "" for what goes with the style.
    """

    path: str
    style: str
    name: str = ""
    icon: str = ""


@dataclass(frozen=True)
class Label:
    """Words beside a point.

    Attributes:
        x, y: where its base line starts, ends or has its middle, see `anchor`.
        anchor: "start", "middle" or "end".
        style: a class of the style sheet; "" for none.
    """

    x: float
    y: float
    text: str
    anchor: str = "start"
    style: str = ""


@dataclass(frozen=True)
class Plot:
    """A figure with axes.

    Attributes:
        about: one sentence that says how to read it.
        x_label, y_label: with the unit.
        singles: whether it shows values of single records, which must go where one is forgotten.
    """

    title: str
    about: str
    marks: tuple[Mark, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    x_label: str
    y_label: str
    singles: bool = False
    labels: tuple[Label, ...] = ()


@dataclass(frozen=True)
class Scale:
    """From values to places in the box along one axis."""

    low: float
    high: float
    start: float
    stop: float

    def at(self, values: Numbers | float) -> Numbers:
        """Places of values; those outside the scale stand at its ends."""
        share = (np.asarray(values, dtype=np.float64) - self.low) / (self.high - self.low)
        places: Numbers = self.start + np.clip(share, 0, 1) * (self.stop - self.start)
        return places

    def ticks(self, most: int = 6, *, whole: bool = False) -> tuple[Tick, ...]:
        """Round numbers along the scale."""
        values = round_numbers(self.low, self.high, most, whole=whole)
        return tuple(Tick(float(self.at(value)), text) for value, text in zip(values, tick_texts(values), strict=True))


@dataclass(frozen=True)
class LogScale(Scale):
    """The same for the logarithm of values; `low` and `high` are positive values."""

    def at(self, values: Numbers | float) -> Numbers:
        """Places of values; those outside the scale stand at its ends."""
        held = np.clip(np.asarray(values, dtype=np.float64), self.low, self.high)
        share = np.log(held / self.low) / math.log(self.high / self.low)
        places: Numbers = self.start + share * (self.stop - self.start)
        return places

    def ticks(self, most: int = 6, *, whole: bool = False) -> tuple[Tick, ...]:
        """1, 2 and 5 of each power of ten along the scale; of many powers only 1."""
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        for digits in ((1, 2, 5), (1, 3), (1,)):
            values = [digit * 10.0**power for power in powers for digit in digits]
            values = [value for value in values if self.low <= value <= self.high]
            if len(values) <= most:
                break
        values = values[:: math.ceil(len(values) / most)] if values else []
        return tuple(Tick(float(self.at(value)), f"{value:,.10g}") for value in values)


def x_scale(low: float, high: float) -> Scale:
    """Along the lower edge."""
    return Scale(*_apart(low, high), LEFT, WIDTH - RIGHT)


def y_scale(low: float, high: float) -> Scale:
    """Along the left edge; larger is higher."""
    return Scale(*_apart(low, high), HEIGHT - BOTTOM, TOP)


def _apart(low: float, high: float) -> tuple[float, float]:
    if high > low:
        return low, high
    half = abs(low) * 0.05 or 0.5
    return low - half, low + half


def round_numbers(low: float, high: float, most: int, *, whole: bool = False) -> list[float]:
    """At most about `most` round numbers from `low` to `high`."""
    raw = (high - low) / max(most - 1, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * 0.75)
    if whole:
        step = max(1.0, float(math.ceil(step)))
    first = math.ceil(low / step - 1e-9)
    return [number * step for number in range(first, math.floor(high / step + 1e-9) + 1)]


def tick_texts(values: Sequence[float]) -> list[str]:
    """Rising numbers of one axis, with as many digits as tell them apart."""
    largest = max((abs(value) for value in values), default=0.0)
    if largest >= 100_000:
        texts = [f"{value / 1000:,.0f}k" if abs(value) < 1e7 else f"{value:.0e}" for value in values]
        return texts if len(set(texts)) == len(texts) else _powers(values)
    if largest and largest < 0.01:
        return _powers(values)
    gaps = (after - before for before, after in itertools.pairwise(values))
    close = min([1e-3 * largest, *(0.1 * gap for gap in gaps)])
    for places in range(9):
        texts = [f"{value:,.{places}f}" for value in values]
        if all(abs(float(text.replace(",", "")) - value) <= close for text, value in zip(texts, values, strict=True)):
            return texts
    return [f"{value:.3g}" for value in values]


def _powers(values: Sequence[float]) -> list[str]:
    """With powers of ten, and as many digits as tell them apart."""
    for places in range(1, 7):
        texts = [f"{value:.{places}e}".replace("e-0", "e-").replace(".0e", "e") if value else "0" for value in values]
        if len(set(texts)) == len(texts):
            break
    return texts


def line(x: Scale, y: Scale, xs: Numbers, ys: Numbers) -> str:
    """A line through points in their order; a gap where a value is not finite; at most about `MAX_POINTS` points."""
    xs, ys = np.asarray(xs, dtype=np.float64), np.asarray(ys, dtype=np.float64)
    if len(xs) > MAX_POINTS:
        kept = np.unique(np.linspace(0, len(xs) - 1, MAX_POINTS).astype(np.int64))
        xs, ys = xs[kept], ys[kept]
    parts, drawing = [], False
    for across, up, told in zip(x.at(xs), y.at(np.nan_to_num(ys)), np.isfinite(ys), strict=True):
        if told:
            parts.append(f"{'L' if drawing else 'M'}{across:.1f} {up:.1f}")
        drawing = bool(told)
    path = "".join(parts)
    return f"{path}h.1" if len(parts) == 1 else path


def dots(x: Scale, y: Scale, xs: Numbers, ys: Numbers) -> str:
    """A dot for each point, at most `MAX_DOTS`, evenly from all."""
    if not len(xs):
        return ""
    kept = np.unique(np.linspace(0, len(xs) - 1, min(len(xs), MAX_DOTS)).astype(np.int64))
    places = zip(x.at(np.asarray(xs)[kept]), y.at(np.asarray(ys)[kept]), strict=True)
    return "".join(f"M{across:.1f} {up:.1f}h.1" for across, up in places)


def columns(x: Scale, y: Scale, edges: Numbers, heights: Numbers) -> str:
    """A histogram as one area of steps that stands on the lower edge."""
    ground = y.at(0.0)
    path = f"M{x.at(edges[0]):.1f} {ground:.1f}"
    for place, height in zip(x.at(edges[1:]), y.at(heights), strict=True):
        path += f"V{height:.1f}H{place:.1f}"
    return f"{path}V{ground:.1f}Z"


def across(y: Scale, value: float) -> str:
    """A level line at a value."""
    return f"M{LEFT} {float(y.at(value)):.1f}H{WIDTH - RIGHT}"


def upright(x: Scale, value: float) -> str:
    """An upright line at a value."""
    return f"M{float(x.at(value)):.1f} {TOP}V{HEIGHT - BOTTOM}"


POLYGONS = {
    "square": ((-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)),
    "diamond": ((0.0, -1.5), (1.5, 0.0), (0.0, 1.5), (-1.5, 0.0)),
    "triangle": ((0.0, -1.4), (1.35, 1.0), (-1.35, 1.0)),
}
"""Corners around a place, in halves of a shape's width; pointed shapes reach further, which looks as large."""


def shapes(kind: str, places: Sequence[tuple[float, float]], half: float = 3.5) -> str:
    """An outline around each place of the box, told apart without colour.

    Args:
        kind: one of `POLYGONS`, "circle" or "cross".
        half: of a shape's width, in units of the box.
    """
    if kind == "circle":
        arc, size = f"a{half:g} {half:g} 0 1 0", 2 * half
        return "".join(f"M{x - half:.1f} {y:.1f}{arc} {size:g} 0{arc} {-size:g} 0z" for x, y in places)
    if kind == "cross":
        bars = f"l{2 * half:g} {2 * half:g}m{-2 * half:g} 0l{2 * half:g} {-2 * half:g}"
        return "".join(f"M{x - half:.1f} {y - half:.1f}{bars}" for x, y in places)
    corners = POLYGONS[kind]
    paths = ("L".join(f"{x + half * a:.1f} {y + half * b:.1f}" for a, b in corners) for x, y in places)
    return "".join(f"M{path}Z" for path in paths)


def span(values: Sequence[float] | Numbers, margin: float = 0.05) -> tuple[float, float]:
    """Least and largest finite value with a margin; 0 to 1 where there is none."""
    array = np.asarray(values, dtype=np.float64)
    array = array[np.isfinite(array)]
    if not len(array):
        return 0.0, 1.0
    low, high = float(array.min()), float(array.max())
    room = (high - low) * margin
    return low - room, high + room
