"""Names beside points, so that none lies over another: greedily, the most important first."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from assets.pages.plots import BOTTOM, HEIGHT, LEFT, TOP, WIDTH, Label

ASCENT, DESCENT = 8.5, 2.5
NEAR = (6.5, 11.0)
"""How far from its point a label may be, in units of the box."""
POINT = 4.5
Line = tuple[float, float, float, float]
"""From one place to another, level or upright."""


@dataclass(frozen=True)
class Wanted:
    """A point and what it may be called: the first of `texts` that has room is written.

    Attributes:
        x, y: of the point in the box.
        style: of the style sheet; "strong" letters are wider.
    """

    x: float
    y: float
    texts: tuple[str, ...]
    style: str = ""


@dataclass(frozen=True)
class _Box:
    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: _Box) -> bool:
        across = self.left < other.right and other.left < self.right
        return across and self.top < other.bottom and other.top < self.bottom


def place(wanted: Sequence[Wanted], lines: Sequence[Line] = ()) -> tuple[Label, ...]:
    """Labels within the axes that meet neither each other nor a point, and no line where there is room elsewhere.

    Args:
        wanted: the most important first.
        lines: level and upright ones.
    """
    taken = [_Box(one.x - POINT, one.y - POINT, one.x + POINT, one.y + POINT) for one in wanted]
    drawn = [_Box(min(a, c) - 1, min(b, d) - 1, max(a, c) + 1, max(b, d) + 1) for a, b, c, d in lines]
    placed: list[Label] = []
    for one in wanted:
        for text in one.texts:
            fitting = [
                (sum(box.meets(line) for line in drawn), at, label, box)
                for at, (label, box) in enumerate(_tries(one, text))
                if _inside(box) and not any(box.meets(other) for other in taken)
            ]
            if fitting:
                _, _, label, box = min(fitting, key=lambda option: option[:2])
                placed.append(label)
                taken.append(box)
                break
    return tuple(placed)


def width_of(text: str, style: str = "") -> float:
    """About how wide a text is in units of the box, rather too much than too little."""
    letter = {"faint": 5.4, "strong": 6.6}.get(style, 6.0)
    wide = sum(2.0 if unicodedata.east_asian_width(sign) in "WF" else 1.0 for sign in text)
    return letter * wide


def _tries(one: Wanted, text: str) -> Iterator[tuple[Label, _Box]]:
    width = width_of(text, one.style)
    for far in NEAR:
        slant = far * 0.7
        for x, y, anchor in (
            (one.x + far, one.y + 3, "start"),
            (one.x - far, one.y + 3, "end"),
            (one.x + slant, one.y - slant, "start"),
            (one.x - slant, one.y - slant, "end"),
            (one.x + slant, one.y + slant + ASCENT - 2, "start"),
            (one.x - slant, one.y + slant + ASCENT - 2, "end"),
            (one.x, one.y - far + 1, "middle"),
            (one.x, one.y + far + ASCENT - 2, "middle"),
        ):
            left = x - {"start": 0.0, "middle": width / 2, "end": width}[anchor]
            yield Label(x, y, text, anchor, one.style), _Box(left, y - ASCENT, left + width, y + DESCENT)


def _inside(box: _Box) -> bool:
    return box.left >= LEFT + 1 and box.right <= WIDTH - 2 and box.top >= TOP - 6 and box.bottom <= HEIGHT - BOTTOM
