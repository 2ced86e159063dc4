"""The front as plots: what was lost against what a call takes, and against bytes, for each kind of target."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from assets.budget import Budget
from assets.compression.contract import Candidate, Candidates
from assets.compression.front import latency_on
from assets.compression.page.data import Fronts
from assets.compression.page.labels import Line, Wanted, place
from assets.compression.rows import FrontRow
from assets.looks import cut, words
from assets.plots import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Label,
    LogScale,
    Mark,
    Plot,
    Scale,
    shapes,
    span,
    x_scale,
    y_scale,
)
from assets.tasks.registry import lower_is_better
from edge.contracts import TargetProfile

MOST_NAMED = 24
SHORT = 22
MANY_TIMES = 5.0
"""From so large a ratio of the largest to the smallest on, an axis is logarithmic."""
ICONS = {
    "chosen": shapes("diamond", [(11, 5)], 3.0),
    "teacher": shapes("triangle", [(11, 5.5)], 3.2),
    "front": shapes("square", [(11, 5)], 3.2),
    "beaten": shapes("circle", [(11, 5)], 2.6),
    "wrong": shapes("cross", [(11, 5)], 3.0),
    "whisker": "M11 0V10M8 5H14",
    "step": "M2 2H9V8H20",
    "allowed": "M1 1H21V9H1Z",
}
NAMES = {
    "beaten": "beaten by another",
    "wrong": "its conversion failed",
    "front": "on the front",
    "teacher": "the teacher",
    "chosen": "chosen",
}
WHISKER = "on test records, with its 95 % interval"
STEP = "front of the two axes"
LEGEND = (*reversed(NAMES.values()), STEP, WHISKER, "within the budget", "its limits")
FORMS = {"beaten": ("circle", 2.4), "wrong": ("cross", 2.6), "front": ("square", 3.2)}
FORMS |= {"teacher": ("triangle", 4.0), "chosen": ("diamond", 4.2)}


@dataclass(frozen=True)
class Point:
    """A candidate in a plot.

    Attributes:
        x: its cost, above 0.
        lost: on validation records, 100 times `metric_drop`; `low` to `high` is the interval on test records, `test`
            their own value, None where unknown.
    """

    number: int
    name: str
    kind: str
    x: float
    lost: float
    test: float | None
    low: float | None
    high: float | None


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
    made = []
    for (_, timed), group in groups.items():
        own = [row for row in rows if row.target == group[0].name]
        made.append(_fronts(found, own, numbers, group, timed, budget))
    return tuple(made)


def _fronts(
    found: Candidates,
    rows: Sequence[FrontRow],
    numbers: Mapping[str, int],
    group: Sequence[TargetProfile],
    timed: bool,
    budget: Budget | None,
) -> Fronts:
    names = ", ".join(target.name for target in group[:3])
    if len(group) > 3:
        names += f" and {len(group) - 3} more"
    by_name = {candidate.name: candidate for candidate in found.candidates}
    if timed:
        machine = next((row.machine for row in rows if row.machine and row.ms_b1 is not None), "")
        note = f"Measured in turn on {machine}: batch 1, one thread." if machine else ""
        axis = _Axis("time", "ms of one call (median)", None if budget is None else budget.max_ms)
        costs = {row.name: row.ms_b1 for row in rows}
    else:
        note = (
            f"How long a call takes on {names} is unknown until a device reports it. In its place stand multiply-adds "
            "(MACs) of one record, a proxy that no limit in ms can be held against."
        )
        axis = _Axis("work (proxy)", "million MACs of one record", None)
        costs = {row.name: by_name[row.name].macs / 1e6 for row in rows}
    plots = [
        _plot(found, rows, numbers, costs, axis, budget),
        _plot(
            found,
            rows,
            numbers,
            {row.name: row.onnx_kb for row in rows},
            _Axis("size", "kB of the ONNX file", None if budget is None else budget.max_kb),
            budget,
        ),
    ]
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
        cost, lost = costs[row.name], row.validation_drop
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
    about = f"{beyond} that lose more stand at the lower edge." if beyond else ""
    whiskers, upright_lines = _whiskers(x, y, points)
    step, step_lines = _step(x, y, points)
    marks = _allowed(x, y, axis.limit, budget)
    marks += [Mark(whiskers, "whisker", WHISKER, ICONS["whisker"])] if whiskers else []
    marks += [Mark(step, "step", STEP, ICONS["step"])] if step else []
    marks += _dots(x, y, points)
    return Plot(
        f"{loss}, by {axis.title}",
        about,
        tuple(marks),
        x.ticks(),
        y.ticks(),
        f"{axis.label}, logarithmic" if isinstance(x, LogScale) else axis.label,
        loss,
        labels=_labels(x, y, points, [*upright_lines, *step_lines, *_limits(x, y, axis.limit, budget)]),
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
    most = max(4 * allowed, 2 * max(focus, default=0.0), 1.5 * nearest[-1], 1.0)
    shown = [point for point in points if point.lost <= most]
    values = [0.0, allowed, *(point.lost for point in shown)]
    for point in shown:
        if point.kind in {"chosen", "front"}:
            values += [value for value in (point.low, point.high) if value is not None and -most <= value <= most]
    least, largest = span(values, 0.08)
    up = y_scale(least, largest)
    return across_axis, Scale(up.low, up.high, up.stop, up.start), len(points) - len(shown)


def _allowed(x: Scale, y: Scale, limit: float | None, budget: Budget | None) -> list[Mark]:
    if budget is None:
        return []
    bottom = float(y.at(100 * budget.max_drop))
    right = float(WIDTH - RIGHT) if limit is None else float(x.at(limit))
    marks = []
    if right > LEFT:
        area = f"M{LEFT} {TOP}H{right:.1f}V{bottom:.1f}H{LEFT}Z"
        marks.append(Mark(area, "allowed", "within the budget", ICONS["allowed"]))
    edges = "".join(f"M{a:.1f} {b:.1f}L{c:.1f} {d:.1f}" for a, b, c, d in _limits(x, y, limit, budget))
    if edges:
        marks.append(Mark(edges, "limit", "its limits"))
    return marks


def _limits(x: Scale, y: Scale, limit: float | None, budget: Budget | None) -> list[Line]:
    """The limits of the budget as lines, where they are drawn."""
    if budget is None:
        return []
    lines: list[Line] = []
    if y.low <= 100 * budget.max_drop <= y.high:
        height = float(y.at(100 * budget.max_drop))
        lines.append((LEFT, height, WIDTH - RIGHT, height))
    if limit is not None and x.low <= limit <= x.high:
        there = float(x.at(limit))
        lines.append((there, TOP, there, HEIGHT - BOTTOM))
    return lines


def _whiskers(x: Scale, y: Scale, points: Sequence[Point]) -> tuple[str, list[Line]]:
    """The loss on test records with its interval, of those that matter: as a path, and as lines."""
    path, lines = "", []
    for point in _named(points):
        if point.low is None or point.high is None or point.kind == "teacher":
            continue
        there, top, bottom = float(x.at(point.x)), float(y.at(point.low)), float(y.at(point.high))
        path += f"M{there:.1f} {top:.1f}V{bottom:.1f}M{there - 3:.1f} {top:.1f}h6M{there - 3:.1f} {bottom:.1f}h6"
        if point.test is not None:
            path += f"M{there - 5:.1f} {float(y.at(point.test)):.1f}h10"
        lines.append((there, top, there, bottom))
    return path, lines


def _step(x: Scale, y: Scale, points: Sequence[Point]) -> tuple[str, list[Line]]:
    """The best that any cost buys: a point improves on all that are cheaper; as a path, and as lines."""
    best, corners = math.inf, []
    for point in sorted((point for point in points if point.kind != "wrong"), key=lambda one: (one.x, one.lost)):
        if point.lost < best:
            corners.append(_place(x, y, point))
            best = point.lost
    lines: list[Line] = []
    for (before, height), (there, after) in itertools.pairwise(corners):
        lines += [(before, height, there, height), (there, height, there, after)]
    path = "".join(f"H{there:.1f}V{after:.1f}" for there, after in corners[1:])
    if not corners:
        return "", []
    lines.append((corners[-1][0], corners[-1][1], WIDTH - RIGHT, corners[-1][1]))
    return f"M{corners[0][0]:.1f} {corners[0][1]:.1f}{path}H{WIDTH - RIGHT}", lines


def _dots(x: Scale, y: Scale, points: Sequence[Point]) -> list[Mark]:
    marks = []
    for kind, (form, half) in FORMS.items():
        places = [_place(x, y, point) for point in points if point.kind == kind]
        if places:
            marks.append(Mark(shapes(form, places, half), f"shape {kind}", NAMES[kind], ICONS[kind]))
    return marks


def _place(x: Scale, y: Scale, point: Point) -> tuple[float, float]:
    return float(x.at(point.x)), float(np.clip(y.at(point.lost), TOP + 4, HEIGHT - BOTTOM - 4))


def _named(points: Sequence[Point]) -> list[Point]:
    """Chosen, teacher and front, in the order of importance, at most `MOST_NAMED`."""
    order = {"chosen": 0, "teacher": 1, "front": 2}
    named = sorted((point for point in points if point.kind in order), key=lambda one: (order[one.kind], one.x))
    return named[:MOST_NAMED]


def _labels(x: Scale, y: Scale, points: Sequence[Point], lines: Sequence[Line]) -> tuple[Label, ...]:
    wanted = []
    named = _named(points)
    for point in named:
        style = "strong" if point.kind == "chosen" else ""
        name = f"{point.number} {cut(point.name, SHORT)}"
        texts = (name, *([f"{point.number} teacher"] if point.kind == "teacher" else []), str(point.number))
        wanted.append(Wanted(*_place(x, y, point), texts, style))
    rest = [point for point in points if point not in named]
    wanted += [Wanted(*_place(x, y, point), (str(point.number),), "faint") for point in rest]
    return place(wanted, lines)
