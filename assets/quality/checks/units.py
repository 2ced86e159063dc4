"""Columns in other units than before, or in two units at once: a factor of 1,000, Fahrenheit for Celsius, inches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from assets.line.data import DataContract
from assets.quality.checks.columns import codes, numbers, surest
from assets.quality.checks.derived import Derived
from assets.quality.spool import Spool
from assets.records.verdict import Finding

Values = NDArray[np.float64]
Quantiles = Mapping[str, Sequence[tuple[float, float]]]
"""Column to points of its distribution: (value, share of values at most so large), ascending, from 0 to 1."""

LEAST_VALUES = 50
LEAST_PART = 0.02
"""A smaller part of a column that is in another unit is left to the range checks."""
SAMPLE = 50_000
"""Records that are looked at, drawn with a fixed seed."""
FAR, LEFT = 0.4, 0.2
"""All or half of a column may be in another unit where its distribution is so far from the accepted one (Kolmogorov-
Smirnov distance), and the change of unit leaves at most that share of the distance. Measured on 75 columns of real sets
(AI4I, C-MAPSS, breast cancer, wine, diabetes, iris), one half against ten bins of the other: nothing is found in the
other half itself, nor where it is moved by 0.3 deviations or stretched by 1.3, 1 of 75 where it is moved by one; of
columns times 1,000, in Fahrenheit or inches 70 to 74 are, and 61 to 70 where half the values are."""
PART_FAR, PART_LEFT = 0.05, 0.04
"""The same for smaller parts, plus what is left to chance in n values; only for changes that leave little in common."""
LITTLE_IN_COMMON = 0.9
_LEAST_DISTINCT = 10
_POINTS = 201
_AT_ONCE = 100  # columns in memory


@dataclass(frozen=True)
class Change:
    """`value * factor + offset` is what another unit makes of a value."""

    name: str
    factor: float
    offset: float = 0.0

    def of(self, values: Values) -> Values:
        """Values in the other unit."""
        return values * self.factor + self.offset


def _changes() -> tuple[Change, ...]:
    found = []
    for power in (1, 2, 3, 6, 9):
        found += [Change(f"times {10**power:,}", 10.0**power), Change(f"divided by {10**power:,}", 10.0**-power)]
    for name, factor in (
        ("inches and mm", 25.4),
        ("inches and cm", 2.54),
        ("feet and metres", 0.3048),
        ("pounds and kg", 0.45359237),
        ("miles and km", 1.609344),
        ("psi and kPa", 6.894757),
        ("psi and bar", 0.06894757),
        ("gallons and litres", 3.785412),
        ("seconds and minutes", 60.0),
        ("seconds and hours", 3600.0),
        ("m/s and km/h", 3.6),
        ("radians and degrees", 57.29578),
        ("kgf and newtons", 9.80665),
        ("mmHg and kPa", 0.1333224),
        ("kcal and kJ", 4.184),
        ("kelvin and Rankine", 1.8),
    ):
        found += [Change(name, factor), Change(name, 1 / factor)]
    found += [
        Change("Celsius to Fahrenheit", 1.8, 32.0),
        Change("Fahrenheit to Celsius", 1 / 1.8, -32 / 1.8),
        Change("Celsius to Kelvin", 1.0, 273.15),
        Change("Kelvin to Celsius", 1.0, -273.15),
        Change("Kelvin to Fahrenheit", 1.8, -459.67),
        Change("Fahrenheit to Kelvin", 1 / 1.8, 459.67 / 1.8),
    ]
    return tuple(found)


CHANGES = _changes()
"""Changes of unit that happen; a sign that flips, or half of a scale, is drift."""


def find_unit_change(spool: Spool, data: DataContract, reference: Quantiles | None = None) -> Derived:
    """Look for numeric input columns of tables and series that are in another unit, all or part of them.

    With a reference: the column's distribution is far from the accepted one, and a mixture of the accepted one and its
    conversion fits well. Without: the column's values, or the medians of its units (groups), fall into two clusters,
    and the conversion of one has the middle and the spread of the other.

    Args:
        reference: of accepted data; columns that it lacks are only looked at by themselves.

    Returns:
        No columns. Findings "unit": `other` the column, `row` the first such record looked at (-1: all),
        `score` how much of the difference the change of unit explains, 0 to 1.
    """
    if data.inputs is None or spool.rows < LEAST_VALUES:
        return Derived()
    names = [name for name in data.inputs.columns if not pa.types.is_string(spool.schema.field(name).type)]
    rows = np.arange(spool.rows)
    if spool.rows > SAMPLE:
        rows = np.sort(np.random.default_rng(0).choice(spool.rows, SAMPLE, replace=False))
    groups = codes(spool.take(rows, ["_group"]).column("_group"))[0] if data.series is not None else None
    findings: list[Finding] = []
    for start in range(0, len(names), _AT_ONCE):
        table = spool.take(rows, names[start : start + _AT_ONCE])
        for name in table.column_names:
            values = numbers(table.column(name))
            values[np.abs(values) > 1e150] = np.nan
            if np.isfinite(values).sum() < LEAST_VALUES:
                continue
            known = None if reference is None else reference.get(name)
            found = list(_against(name, values, known)) if known is not None else []
            findings += found or _within(name, values, groups)
    placed = (replace(each, row=int(rows[each.row])) if each.row >= 0 else each for each in findings)
    return Derived(findings=surest(placed))


def _against(name: str, values: Values, known: Sequence[tuple[float, float]]) -> Iterator[Finding]:
    """Compare with the accepted distribution F: the best mixture (1 - part) * F + part * (F of converted values)."""
    points = np.array(sorted(known), dtype=np.float64).reshape(-1, 2)
    if len(points) < 5 or not np.isfinite(points).all() or np.ptp(points[:, 0]) == 0:
        return
    finite = np.sort(values[np.isfinite(values)])
    count = len(finite)
    if len(np.unique(finite)) < _LEAST_DISTINCT:
        return
    own = (np.arange(len(finite)) + 0.5) / len(finite)
    apart = float(np.abs(_share(points, finite) - own).max())
    if apart < PART_FAR + 1.4 / np.sqrt(count):
        return
    best: tuple[float, float, Change] | None = None
    for change in CHANGES:
        part, left = _mixture(finite, points, change)
        if part >= LEAST_PART and (best is None or left < best[0]):
            best = left, part, change
    if best is None:
        return
    left, part, change = best
    other = _other(points, change) >= LITTLE_IN_COMMON
    most = apart * LEFT if apart >= FAR and (other or part > 0.95) else 0.0
    if other:
        most = max(most, min(0.35 * apart, PART_LEFT + 0.4 / np.sqrt(count)))
    if left > most:
        return
    row = -1
    if part < 0.95:
        row = _first(values, points, change)
    how = "all values look" if part >= 0.95 else f"about {part:.0%} of the values look"
    detail = f"column {name}: {how} converted ({change.name}) against accepted data"
    yield Finding("unit", row, name, -1, 1 - left / apart, detail)


def _share(points: Values, at: Values) -> Values:
    result: Values = np.interp(at, points[:, 0], points[:, 1], left=0.0, right=1.0)
    return result


def _other(points: Values, change: Change) -> float:
    """How far a distribution is from its conversion."""
    at = np.concatenate([points[:, 0], change.of(points[:, 0])])
    return float(np.abs(_share(points, (at - change.offset) / change.factor) - _share(points, at)).max())


def _mixture(values: Values, points: Values, change: Change) -> tuple[float, float]:
    """The part that is converted, and the distance that is left."""
    places = np.linspace(0, len(values) - 1, min(len(values), _POINTS)).astype(int)
    at = values[places]
    own = (places + 0.5) / len(values)
    plain = _share(points, at)
    converted = _share(points, (at - change.offset) / change.factor)
    difference = converted - plain
    total = float(difference @ difference)
    if total < 1e-9:
        return 0.0, np.inf
    part = float(np.clip(difference @ (own - plain) / total, 0, 1))
    return part, float(np.abs(plain + part * difference - own).max())


def _first(values: Values, points: Values, change: Change) -> int:
    """The first row that lies beyond the accepted range, and within the converted one."""
    low, high = points[0, 0], points[-1, 0]
    ends = np.sort(change.of(np.array([low, high])))
    with np.errstate(invalid="ignore"):
        rows = np.flatnonzero(((values < low) | (values > high)) & (values >= ends[0]) & (values <= ends[1]))
    return int(rows[0]) if rows.size else -1


def _within(name: str, values: Values, groups: NDArray[np.int64] | None) -> Iterator[Finding]:
    """Two clusters of which one is the other in another unit: of values, else of the medians of groups."""
    rows = np.flatnonzero(np.isfinite(values))
    split = _split(values[rows], _LEAST_DISTINCT)
    if split is not None:
        change, low, score = split
        part = np.flatnonzero((values[rows] <= low) == ((values[rows] <= low).sum() * 2 <= len(rows)))
        share = len(part) / len(rows)
        detail = f"column {name}: {share:.0%} of the values look as if converted ({change.name})"
        yield Finding("unit", int(rows[part[0]]), name, -1, score, detail)
        return
    if groups is None:
        return
    order = rows[np.argsort(groups[rows], kind="stable")]
    parts = np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)
    if len(parts) < 10:
        return
    medians = np.array([np.median(values[part]) for part in parts])
    split = _split(medians, 5)
    if split is not None:
        change, low, score = split
        few = (medians <= low) == ((medians <= low).sum() * 2 <= len(medians))
        detail = f"column {name}: {int(few.sum())} of {len(parts)} units look as if converted ({change.name})"
        yield Finding("unit", int(parts[int(np.flatnonzero(few)[0])][0]), name, -1, score, detail)


def _split(values: Values, distinct: int) -> tuple[Change, float, float] | None:
    """The change that makes the lower cluster the upper one, the greatest value of the lower, and how well they agree.

    The clusters are parted by the widest gap; it must be wider than the lower cluster converted is.
    """
    ordered = np.sort(values)
    least = max(distinct, round(LEAST_PART * len(ordered)))
    if len(ordered) < 2 * least:
        return None
    best: tuple[Change, float, float] | None = None
    for place in {_gap(ordered, least), _gap(np.log(np.abs(ordered) + 1e-12) * np.sign(ordered), least)} - {-1}:
        low, high = ordered[: place + 1], ordered[place + 1 :]
        if min(len(np.unique(low)), len(np.unique(high))) < distinct:
            continue
        for change in CHANGES:
            if change.factor < 1 or (change.factor == 1 and change.offset < 0):
                continue  # the lower one converted is the upper one
            agreed = _agree(change.of(low), high)
            if agreed > 0.7 and (best is None or agreed > best[2]):
                best = change, float(low[-1]), agreed
    return best


def _gap(ordered: Values, least: int) -> int:
    """Where the widest gap begins that leaves at least so many values on both sides; -1 for none."""
    steps = np.diff(ordered)[least - 1 : len(ordered) - least]
    if not steps.size or steps.max() <= 0:
        return -1
    place = int(steps.argmax()) + least - 1
    usual = max(float(np.median(np.diff(ordered))), np.ptp(ordered) * 1e-6)
    return place if steps.max() >= 20 * usual and steps.max() >= 0.1 * np.ptp(ordered) else -1


def _agree(converted: Values, high: Values) -> float:
    """1 where two clusters have the same quantiles, less with their distance in spreads, 0 from one spread on."""
    at = np.array([0.1, 0.25, 0.5, 0.75, 0.9])
    one, two = np.quantile(converted, at), np.quantile(high, at)
    spread = max(float(one[-1] - one[0]), float(two[-1] - two[0]), 1e-9 * float(np.abs(two).max()))
    narrow = min(float(one[-1] - one[0]), float(two[-1] - two[0]))
    if narrow < 0.5 * spread:
        return 0.0
    return max(0.0, 1 - float(np.abs(one - two).max()) / spread)
