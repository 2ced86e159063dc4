"""Readings over time: their order, gaps between them, times in other zones or units."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from assets.line.data import DataContract
from assets.quality.checks.columns import numbers, surest
from assets.quality.checks.derived import Derived
from assets.quality.checks.units_of_files import coded_units, tell_files
from assets.quality.redaction import hidden_columns
from assets.quality.spool import Spool
from assets.records.verdict import Finding

Rows = NDArray[np.int64]
Values = NDArray[np.float64]

GAP = 10.0
"""Steps from which a pause is a gap, in usual (median) steps of its unit, where the contract names no `max_gap`."""
LEAST_READINGS = 5
MOST_SORTED = 200_000
"""Of a longer unit that is out of order only the places where time goes back are marked, not the fewest readings."""
CLOCK = 1e8
"""Times beyond it are seconds since 1970 (from 1973 on), not counts of cycles."""
_UNITS = {1e3: "milliseconds", 1e6: "microseconds", 1e9: "nanoseconds"}
_HALF_HOUR = 1800.0
_MOST_SHIFT = 14 * 3600.0


def find_series_trouble(spool: Spool, data: DataContract) -> Derived:
    """Check each unit's readings in the order they came; of readings that returned only whether they repeat a time.

    Returns:
        `_order`: why a reading is out of order or repeats a time of its unit, else None, with a remedy behind "; "
        where the readings of a unit come from several files; of a unit out of order the fewest readings are marked
        whose absence puts it in order. `_gap`: float64, the pause before a reading where it is a gap, else NaN (longer
        than `max_gap`, or than `GAP` usual steps). Findings "order" (one for each unit), "gap" and "unit" (times that
        jump by whole hours and back, or are in other units), `other` the unit.
    """
    order = np.full(spool.rows, None, dtype=object)
    gap = np.full(spool.rows, np.nan)
    if data.series is None or not spool.rows:
        return Derived({"_order": order, "_gap": gap})
    times = numbers(spool.column("_time"))
    times[np.abs(times) > 1e150] = np.nan  # no time is; differences of such numbers overflow
    units, names, returned = coded_units(spool)
    hidden = not {"_group", "_time"}.isdisjoint(hidden_columns(data))
    findings: list[Finding] = []
    rows = np.flatnonzero(np.isfinite(times))
    rows = rows[np.argsort(units[rows], kind="stable")]
    for unit in np.split(rows, np.flatnonzero(np.diff(units[rows])) + 1):
        if not len(unit):
            continue
        name = "" if hidden else names[units[unit[0]]]
        if returned[unit[0]]:  # its readings come in the order of their quarantine; their time says where they belong
            by_time = unit[np.argsort(times[unit], kind="stable")]
            findings += _disordered(by_time, times[by_time], name, order)
            continue
        findings += _disordered(unit, times[unit], name, order)
        findings += _gaps(unit, times[unit], name, data.series.max_gap, gap)
        findings += _zones(unit, times[unit], name)
    findings += _epochs(times)
    tell_files(spool, units, order)
    return Derived({"_order": order, "_gap": gap}, surest(findings))


def _disordered(unit: Rows, times: Values, name: str, order: NDArray[np.object_]) -> Iterator[Finding]:
    late, repeated = _misplaced(times)
    for place in late.tolist():
        order[unit[place]] = "it comes after a later reading of its unit"
    for place in repeated.tolist():
        order[unit[place]] = "its unit has another reading of the same time"
    for places, what in ((late, "out of order"), (repeated, "at a time that the unit already has")):
        if len(places):
            share = len(places) / len(unit)
            detail = f"{len(places):,} of {len(unit):,} readings are {what}"
            if what == "out of order" and len(unit) > 2 and (np.diff(times) < 0).all():
                detail = f"all {len(unit):,} readings are in descending order"
            yield Finding("order", int(unit[places[0]]), name, -1, share, detail)


def _misplaced(times: Values) -> tuple[Rows, Rows]:
    """Places out of order and places that repeat a time (the first reading of a time is none)."""
    none = np.zeros(0, dtype=np.int64)
    steps = np.diff(times)
    if (steps > 0).all():
        return none, none
    by_time = np.argsort(times, kind="stable")
    again = np.zeros(len(times), dtype=bool)
    again[by_time[1:][times[by_time[1:]] == times[by_time[:-1]]]] = True
    single = np.flatnonzero(~again)
    rest = times[single]
    if (np.diff(rest) > 0).all():
        late = none
    elif len(rest) > MOST_SORTED:
        late = single[1:][np.diff(rest) < 0]
    else:
        late = single[~_longest_rise(rest)]
    return late, np.flatnonzero(again)


def _longest_rise(times: Values) -> NDArray[np.bool_]:
    """Which places are in a longest subsequence that rises."""
    tails: list[float] = []
    ends: list[int] = []
    before = np.full(len(times), -1, dtype=np.int64)
    for place, time in enumerate(times.tolist()):
        length = bisect_left(tails, time)
        before[place] = ends[length - 1] if length else -1
        if length == len(tails):
            tails.append(time)
            ends.append(place)
        else:
            tails[length], ends[length] = time, place
    kept = np.zeros(len(times), dtype=bool)
    place = ends[-1] if ends else -1
    while place >= 0:
        kept[place] = True
        place = int(before[place])
    return kept


def _gaps(unit: Rows, times: Values, name: str, limit: float | None, gap: Values) -> Iterator[Finding]:
    if len(unit) < 2:
        return
    by_time = np.argsort(times, kind="stable")
    steps = np.diff(times[by_time])
    real = steps[steps > 0]
    if not real.size or (limit is None and len(unit) < LEAST_READINGS):
        return
    usual = float(np.median(real))
    most = GAP * usual if limit is None else limit
    wide = np.flatnonzero(steps > most)
    if limit is None and len(wide) > max(3, len(steps) // 10):
        return  # no usual step: the unit is read now and then
    for place in wide.tolist():
        row = int(unit[by_time[place + 1]])
        gap[row] = steps[place]
        than = f"{steps[place] / usual:.0f} usual steps" if limit is None else f"longer than max_gap ({limit:g})"
        yield Finding("gap", row, name, -1, 1 - most / float(steps[place]), f"a pause of {steps[place]:g}: {than}")


def _zones(unit: Rows, times: Values, name: str) -> Iterator[Finding]:
    """Jumps by whole half hours and back, as where some readings are in another time zone; one back: summer's end."""
    if len(unit) < 2 * LEAST_READINGS or not CLOCK < float(np.median(np.abs(times))) < CLOCK * 1e3:
        return
    steps = np.diff(times)
    usual = float(np.median(steps[steps > 0])) if (steps > 0).any() else 0.0
    if not 0 < usual <= _HALF_HOUR / 2:
        return
    shift = steps - usual
    whole = np.round(shift / _HALF_HOUR) * _HALF_HOUR
    jumps = (np.abs(shift - whole) <= usual / 2) & (whole != 0) & (np.abs(whole) <= _MOST_SHIFT)
    back = np.flatnonzero(jumps & (whole < 0))
    for place in back[:1].tolist():
        hours = -whole[place] / 3600
        forth = np.flatnonzero(jumps & (whole == -whole[place]))
        row = int(unit[place + 1])
        if forth.size:
            first = min(place, int(forth[0]))
            detail = f"times jump by {hours:g} h and back: some readings are in another time zone"
            yield Finding("unit", int(unit[first + 1]), name, -1, 0.9, detail)
        else:
            yield Finding("unit", row, name, -1, 0.5, f"times go back by {hours:g} h, as at the end of summer time")


def _epochs(times: Values) -> Iterator[Finding]:
    """Times partly in seconds since 1970 and partly in smaller units."""
    rows = np.flatnonzero(times > CLOCK)
    if len(rows) < 2:
        return
    size = np.log10(times[rows])
    lowest = float(size.min())
    if lowest > 10.0:
        return  # no seconds among them: what all share was read so on purpose
    for factor, unit in _UNITS.items():
        power = np.log10(factor)
        other = rows[(size > 8 + power) & (size < 10.5 + power) & (size > lowest + power - 1)]
        if len(other):
            detail = f"{len(other):,} of {len(rows):,} times look like {unit}, the others like seconds since 1970"
            yield Finding("unit", int(other[0]), "", -1, 0.95, detail)
