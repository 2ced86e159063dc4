"""The front as plots: what was lost against what a call takes, and against bytes, for each kind of target."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from assets.compression.choosing.front import latency_on
from assets.compression.choosing.rows import FrontRow
from assets.compression.documents import Candidate, Candidates
from assets.compression.page.data import Fronts
from assets.compression.page.marks import LEGEND, Point, marks_of
from assets.line.compression import Budget
from assets.line.tasks import lower_is_better
from assets.pages.plots import LEFT, RIGHT, WIDTH, LogScale, Mark, Plot, Scale, span, x_scale, y_scale
from assets.pages.templates import words
from edge.contracts import TargetProfile

MANY_TIMES = 5.0
"""From so large a ratio of the largest to the smallest on, an axis is logarithmic."""


@dataclass(frozen=True)
class _Axis:
    """What stands below a plot."""

    title: str
    label: str
    limit: float | None


def fronts_of(
    found: Candidates,
    rows: Sequence[FrontRow],
    numbers: Mapping[str, int],
    targets: Sequence[TargetProfile],
    budget: Budget | None,
) -> tuple[Fronts, ...]:
    """Two plots for every group of targets that run the same file and know as much of their latency."""
    groups: dict[tuple[str, bool], list[TargetProfile]] = {}
    for target in targets:
        timed = any(latency_on(candidate, target) is not None for candidate in found.candidates)
        groups.setdefault((target.dialect, timed), []).append(target)
    made, seen = [], set()
    for (dialect, timed), group in groups.items():
        own = [row for row in rows if row.target == group[0].name]
        made.append(_fronts(found, own, numbers, group, timed, budget, sizes=dialect not in seen))
        seen.add(dialect)
    return tuple(made)


def _fronts(
    found: Candidates,
    rows: Sequence[FrontRow],
    numbers: Mapping[str, int],
    group: Sequence[TargetProfile],
    timed: bool,
    budget: Budget | None,
    *,
    sizes: bool,
) -> Fronts:
    names = ", ".join(target.name for target in group[:3])
    if len(group) > 3:
        names += f" and {len(group) - 3} more"
    if timed:
        machine = next((row.machine for row in rows if row.machine and row.ms_b1 is not None), "")
        note = f"Measured in turn on {machine}: batch 1, one thread." if machine else ""
        axis = _Axis("time", "ms of one call (median)", None if budget is None else budget.max_ms)
        costs = {row.name: row.ms_b1 for row in rows}
    else:
        note = f"How long a call takes on {names} is unknown until a device reports it. "
        least, most = (edge((row.macs for row in rows), default=0) for edge in (min, max))
        if least == most:
            note += "All have as many multiply-adds (MACs), so that this proxy tells none apart."
        else:
            note += (
                "In its place stand multiply-adds (MACs) of one record, a proxy that no limit in ms is held against."
            )
        axis = _Axis("work (proxy)", "million MACs of one record", None)
        costs = {row.name: row.macs / 1e6 for row in rows} if least < most else {}
    plots = [_plot(found, rows, numbers, costs, axis, budget)]
    if sizes:
        axis = _Axis("size", "kB of the ONNX file", None if budget is None else budget.max_kb)
        plots.append(_plot(found, rows, numbers, {row.name: row.onnx_kb for row in rows}, axis, budget))
    else:
        note += " The files are those of the plot by size above."
    if all(row.validation_drop is None for row in rows):
        note = "No candidate could be drawn: none has a loss on validation records."
    return Fronts(names, note, tuple(plot for plot in plots if plot is not None))


def legend_of(fronts: Sequence[Fronts]) -> tuple[Mark, ...]:
    """What the plots draw, each once; `unnamed` plots then need no legend of their own."""
    marks = {mark.name: mark for group in fronts for plot in group.plots for mark in plot.marks if mark.name}
    return tuple(marks[name] for name in LEGEND if name in marks)


def unnamed(fronts: Sequence[Fronts]) -> tuple[Fronts, ...]:
    """The same plots without names of their marks."""
    return tuple(
        replace(
            group,
            plots=tuple(
                replace(plot, marks=tuple(replace(mark, name="") for mark in plot.marks)) for plot in group.plots
            ),
        )
        for group in fronts
    )


def is_teacher(found: Candidates, candidate: Candidate) -> bool:
    """Whether it is the float teacher itself."""
    return candidate.recipe.format == "float32" and candidate.onnx["float"].sha256 == found.teacher


def _plot(
    found: Candidates,
    rows: Sequence[FrontRow],
    numbers: Mapping[str, int],
    costs: Mapping[str, float | None],
    axis: _Axis,
    budget: Budget | None,
) -> Plot | None:
    teachers = {candidate.name for candidate in found.candidates if is_teacher(found, candidate)}
    points = []
    for row in rows:
        cost, lost = costs.get(row.name), row.validation_drop
        if cost is None or not math.isfinite(cost) or cost <= 0 or lost is None or not math.isfinite(lost):
            continue
        kind = "front" if row.on_front else "beaten"
        kind = "teacher" if row.name in teachers else kind
        kind = "chosen" if row.chosen else kind if row.proven else "wrong"
        ends = [
            None if value is None else 100 * value for value in (row.test_drop, row.test_drop_low, row.test_drop_high)
        ]
        points.append(Point(numbers[row.name], row.name, kind, cost, 100 * lost, *ends))
    if not points:
        return None
    x, y, beyond = _scales(points, axis.limit, budget)
    metric = words(found.metric)
    loss = f"{metric} grown in %" if lower_is_better(found.metric) else f"{metric} lost in points"
    about = ""
    if beyond:
        about = (
            f"{beyond} that lose{'s' if beyond == 1 else ''} more stand{'s' if beyond == 1 else ''} at the lower edge."
        )
    marks, labels = marks_of(x, y, points, axis.limit, budget)
    return Plot(
        f"{loss}, by {axis.title}",
        about,
        marks,
        x.ticks(),
        y.ticks(),
        f"{axis.label}, logarithmic" if isinstance(x, LogScale) else axis.label,
        loss,
        labels=labels,
    )


def _scales(points: Sequence[Point], limit: float | None, budget: Budget | None) -> tuple[Scale, Scale, int]:
    """Both axes, and how many points lie below the lower one: a model that broke must not flatten the others."""
    costs = [point.x for point in points]
    low, high = min(costs), max(costs)
    if limit is not None and low / 2 <= limit <= high * 2:
        low, high = min(low, limit), max(high, limit)
    across_axis: Scale
    if high / low > MANY_TIMES:
        across_axis = LogScale(low / 1.25, high * 1.25, LEFT, WIDTH - RIGHT)
    else:
        across_axis = x_scale(*span([low, high], 0.12)) if high > low else x_scale(low, high)
    allowed = 100 * budget.max_drop if budget is not None else 0.0
    within = max((point.lost for point in points if point.lost <= allowed), default=allowed)
    allowed = allowed if allowed <= max(2.5 * within, 1.0) else 0.0  # a limit far below all would flatten them
    focus = [point.lost for point in points if point.kind in {"chosen", "teacher"}]
    nearest = sorted(point.lost for point in points)[:3]
    most = max(4 * allowed, 1.1 * within, 2 * max(focus, default=0.0), 1.5 * nearest[-1], 1.0)
    shown = [point for point in points if point.lost <= most]
    values = [0.0, allowed, *(point.lost for point in shown)]
    for point in shown:
        if point.kind in {"chosen", "front"}:
            values += [value for value in (point.low, point.high) if value is not None and -most <= value <= most]
    least, largest = span(values, 0.08)
    up = y_scale(least, largest)
    return across_axis, Scale(up.low, up.high, up.stop, up.start), len(points) - len(shown)
