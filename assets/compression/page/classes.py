"""What a model mistakes: the matrices before and after, and what each class lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from assets.compression.choosing.wording import amount
from assets.compression.documents import MOST_CONFUSED
from assets.compression.page.data import Bar, Cell, Confusion
from assets.pages.templates import cut

MOST_CLASSES = 60
NAME = 60
STRONG_SHARE, STRONG_COUNT = 0.01, 2
"""A count is marked when it moved by this share of its row, and by so many records."""
Counts = Sequence[Sequence[int]]


def confusion_of(before: Counts, after: Counts, labels: Sequence[str]) -> Confusion | None:
    """Both matrices with their differences; None where they were not kept or do not belong together."""
    size = len(after)
    square = all(len(row) == size for row in (*before, *after))
    if not 0 < size <= MOST_CONFUSED or len(before) != size or not square:
        return None
    names = labels if len(labels) == size else [f"class {number}" for number in range(size)]
    return Confusion(
        tuple(cut(name, NAME) for name in names),
        tuple(tuple(_cell(row, at, here) for at in range(size)) for here, row in enumerate(before)),
        tuple(
            tuple(_moved(_cell(row, at, here), old[at], sum(row), hit=at == here) for at in range(size))
            for here, (old, row) in enumerate(zip(before, after, strict=True))
        ),
    )


def class_bars(drops: Mapping[str, float], limit: float | None) -> tuple[tuple[Bar, ...], int]:
    """What each class's recall lost, the worst first; and how many more classes there are."""
    rows = sorted(drops.items(), key=lambda item: (-item[1], item[0]))
    most = max((abs(drop) for _, drop in rows), default=0.0) or 1.0
    bars = [
        Bar(
            cut(name, NAME),
            100 * abs(drop) / most,
            f"{amount(drop)} points" if drop >= 0 else f"gained {amount(-drop)} points",
            bad=drop > 0,
            tag="more than allowed" if limit is not None and drop > limit + 1e-9 else "",
        )
        for name, drop in rows[:MOST_CLASSES]
    ]
    return tuple(bars), max(0, len(rows) - MOST_CLASSES)


def _cell(row: Sequence[int], at: int, here: int) -> Cell:
    count = row[at]
    kind = "none" if not count else "hit" if at == here else "miss"
    return Cell(count, kind, round(12 + 60 * count / max(sum(row), 1)) if count else 0)


def _moved(cell: Cell, old: int, records: int, *, hit: bool) -> Cell:
    moved = cell.count - old
    if not moved:
        return cell
    sign = "+" if moved > 0 else "\N{MINUS SIGN}"
    strong = abs(moved) >= max(STRONG_COUNT, STRONG_SHARE * records)
    return Cell(cell.count, cell.kind, cell.shade, f"{sign}{abs(moved):,}", strong, (moved > 0) != hit)
