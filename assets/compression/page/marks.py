"""What stands in a plot of the front: the budget, intervals, the stepped line, a shape per candidate, and names."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from assets.compression.page.labels import Line, Wanted, place
from assets.line.compression import Budget
from assets.pages.plots import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Label, Mark, Scale, shapes
from assets.pages.templates import cut

MOST_NAMED = 24
SHORT = 22
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


def marks_of(
    x: Scale, y: Scale, points: Sequence[Point], limit: float | None, budget: Budget | None
) -> tuple[tuple[Mark, ...], tuple[Label, ...]]:
    """Everything within the axes, what lies behind first, and the labels.

    Args:
        limit: of the budget on the lower axis; None for none.
    """
    whiskers, upright_lines = _whiskers(x, y, points)
    step, step_lines = _step(x, y, points)
    marks = _allowed(x, y, limit, budget)
    marks += [Mark(whiskers, "whisker", WHISKER, ICONS["whisker"])] if whiskers else []
    marks += [Mark(step, "step", STEP, ICONS["step"])] if step else []
    marks += _dots(x, y, points)
    lines = [*upright_lines, *step_lines, *_limits(x, y, limit, budget)]
    return tuple(marks), _labels(x, y, points, lines)


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
