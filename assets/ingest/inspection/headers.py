"""Whether a table's first row names its columns, and what is odd about it if it does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from assets.readers.cells import is_missing, number
from assets.records.paths import shown

_LOOKED_AT = 500
_LONGEST = 80
_NUMERIC = 0.9
_MANY = 20
_RARE = 0.05
"""Share of rows up to which one that equals the first, among `_MANY` or more, may be a header that comes again."""


def header_of(first: Sequence[str], rest: Sequence[Sequence[str]]) -> bool:
    """Whether a first row names columns: by what stands below it, not by how names usually look.

    A word over numbers is a name. So are words that never come again below, where the other cells are blank, or whole
    numbers that no row repeats (0, 1, 2, … as pandas writes them, or years). Where files were put together a header
    comes again, now and then: that speaks of records only where it is frequent.
    """
    cells = [cell.strip() for cell in first]
    words = [place for place, cell in enumerate(cells) if cell and number(cell)[1] is not None]
    if any(len(cells[place]) > _LONGEST for place in words):
        return False
    others = _without_repeats(cells, rest[:_LOOKED_AT])
    below = [[row[place].strip() for row in others] for place in range(len(cells))]
    over_numbers = [place for place in words if holds_numbers(below[place]) and not is_missing(cells[place])]
    counted = _counted([cells[place] for place in range(len(cells)) if place not in words and cells[place]])
    if not words:
        return counted and len(cells) > 2 and bool(rest) and tuple(cells) not in {tuple(row) for row in rest}
    if over_numbers:
        return counted or len(over_numbers) > 1
    return counted and not any(cells[place] in below[place] for place in words)


def _without_repeats(cells: Sequence[str], rest: Sequence[Sequence[str]]) -> Sequence[Sequence[str]]:
    others = [row for row in rest if [cell.strip() for cell in row] != cells]
    rare = len(rest) - len(others) <= _RARE * len(rest)
    return others if rare and len(rest) >= _MANY else rest


def oddities(names: Sequence[str], before: int) -> list[str]:
    """What is odd about a header, a sentence each."""
    found = []
    if before:
        lines = "1 line stands" if before == 1 else f"{before} lines stand"
        them = "it" if before == 1 else "them"
        found.append(
            f"{lines} before its {'header' if names else 'first row'}; `skip_lines: {before}` leaves {them} out"
        )
    if twice := sorted(name for name, times in Counter(names).items() if name and times > 1):
        some = ", ".join(map(shown, twice[:5]))
        found.append(
            f"its header has {some} more than once, so the file is refused; give each column a name of its own"
        )
    if numeric := [name for name in names if name and number(name)[1] is None]:
        some = ", ".join(numeric[:5])
        found.append(f"its header names columns by numbers ({some}); they are names, not a record")
    if blank := sum(not name for name in names):
        found.append(f"{blank} of its columns have no name (a delimiter at the end of lines?), and are left alone")
    return found


def holds_numbers(cells: Sequence[str]) -> bool:
    """Whether almost all cells that have a value are numbers, and there is one."""
    values = [cell for cell in cells if cell and not is_missing(cell)]
    return bool(values) and sum(number(cell)[1] is None for cell in values) >= _NUMERIC * len(values)


def _counted(cells: Sequence[str]) -> bool:
    """Whether cells are whole numbers that rise: as good as names."""
    if not all(cell.isdecimal() for cell in cells):
        return False
    values = [int(cell[:18]) for cell in cells]
    return all(after > before for before, after in pairwise(values))
