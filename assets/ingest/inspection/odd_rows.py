"""Rows of a table that are no records: titles and comments above it, units below its header, sums at its end."""

from __future__ import annotations

import re
from collections.abc import Sequence

from assets.ingest.inspection.headers import header_of, holds_numbers
from assets.readers.cells import number
from assets.records.paths import shown

Row = tuple[str, ...]

MOST_ABOVE = 20
"""Rows above a header that are looked at."""
_COMMENT = re.compile(r"\s*(#|//|%|;|--|\*)")
_SUM = re.compile(
    r"(grand |sub ?-?)?(total|totals|sum|summe|gesamt|zwischensumme|average|mean|mittelwert|somme|moyenne|suma)\s*:?",
    re.IGNORECASE,
)
_BRACKETS = re.compile(r"[\[(<].*[\])>]")
_LONGEST_UNIT = 12
_RARE = 0.02


def header_at(rows: Sequence[Row]) -> tuple[int, bool]:
    """Which of a table's rows is its first that is no title or comment, and whether that names the columns.

    A line of comment as wide as the table, or a title padded with delimiters, stands above the header, and so does the
    upper one of two lines of names. A comment sign alone says nothing: `# x,y,z` above records names the columns.
    """
    first = 0
    while first + 1 < min(len(rows), MOST_ABOVE) and _is_title(rows[first]):
        first += 1
    if first:
        if header_of(rows[first], rows[first + 1 :]):
            return first, True
        if all(cell.strip() for cell in rows[0]) and header_of(rows[0], rows[1:]):
            return 0, True
        return first, False
    is_header = header_of(rows[0], rows[1:])
    return int(is_header and len(rows) > 2 and _names_again(rows[1], rows[2:])), is_header


def units_below(rows: Sequence[Row]) -> bool:
    """Whether a header's first row holds units: words over numbers, all in brackets, or short and never there again."""
    first, rest = rows[0], rows[1:]
    if len(rest) < 2:
        return False
    numeric = [place for place in range(len(first)) if holds_numbers([row[place] for row in rest])]
    others = [first[place].strip() for place in range(len(first)) if place not in numeric]
    over = [first[place].strip() for place in numeric if first[place].strip() not in ("", "-")]
    fits = all(len(cell) <= _LONGEST_UNIT and number(cell)[1] is not None for cell in over)
    return bool(over) and fits and all(cell in ("", "-") or _BRACKETS.fullmatch(cell) for cell in others)


def sums(rows: Sequence[Row]) -> list[Row]:
    """Rows that add up the others: a word such as Total in one cell, blanks or numbers in most of the others."""
    found = [row for row in rows if any(map(is_sum, row))]
    if len(found) > max(3, _RARE * len(rows)):
        return []  # so frequent a word is one of the table's own
    return [row for row in found if 2 * sum(not cell.strip() or number(cell)[1] is None for cell in row) >= len(row)]


def is_sum(cell: str) -> bool:
    """Whether a cell is a word that names a sum: Total, Subtotal, Mean."""
    return _SUM.fullmatch(cell.strip()) is not None


def told(units: Row | None, added: Sequence[Row], again: int = 0) -> list[str]:
    """What people should know of such rows, a sentence each; `again` is how often the header comes again."""
    notes = []
    if units is not None:
        some = ", ".join(shown(cell.strip()) for cell in units if cell.strip())
        notes.append(
            f"the line below its header seems to hold units ({some}): take it out of the file, else it is read as a "
            "record; to leave it in, name the columns in `header` and count both lines in `skip_lines`"
        )
    if added:
        word = next(cell.strip() for cell in added[0] if is_sum(cell))
        rows = "a row seems" if len(added) == 1 else f"{len(added)} rows seem"
        notes.append(f"{rows} to add up the others ({shown(word)}): take such rows out, else they are read as records")
    if again:
        rows = "a row names" if again == 1 else f"{again} rows name"
        notes.append(f"{rows} the columns again, as where files were put together: no record, and refused")
    return notes


def _is_title(row: Row) -> bool:
    filled = [cell for cell in row if cell.strip()]
    return (bool(filled) and _COMMENT.match(filled[0]) is not None) or (
        len(row) > 1 and len(filled) <= 1 and all(number(cell)[1] is not None for cell in filled)
    )


def _names_again(row: Row, rest: Sequence[Row]) -> bool:
    """Whether the row below one of names is one of names itself, and not of units."""
    cells = [cell.strip() for cell in row]
    if not all(cells) or len(set(cells)) < len(cells) or any(number(cell)[1] is None for cell in cells):
        return False
    return header_of(row, rest) and not units_below([row, *rest]) and not any(map(_BRACKETS.fullmatch, cells))
