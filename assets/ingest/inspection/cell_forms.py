"""How the cells of rows are written, where the rows say so: decimal sign, thousands, order of a date, spaces.

What could be read in two ways is asked, not guessed: the setting stays out, and both readings stand in a comment.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from assets.line.cell_form import PLAIN, CellForm
from assets.readers.cells import is_missing, number
from assets.readers.day_first import first_and_second, is_day_or_month_first, to_iso
from assets.readers.separators import FORMS, readings, said, to_plain
from assets.records.paths import shown

NUMERIC = 0.95
"""Share of a column's values that are numbers or times, where it holds such."""
_GERMAN = CellForm(decimal=",", thousands=".")
_MONTHS = 12

Cells = list[tuple[str, ...]]


@dataclass
class Forms:
    """What was found of the cells of some rows.

    Attributes:
        cells: the rows with numbers and times of the form as plain ones.
        form: of numbers, so far as the rows say it.
        days: columns of times with the day first, or that may have it first.
        unread: columns that `form` does not read, and why.
        asked: of a column, or "" for all, what only people know: both readings, and what to write.
    """

    cells: Cells
    form: CellForm = PLAIN
    days: frozenset[str] = frozenset()
    unread: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)

    def settings(self, reader: str, time: str, trim: bool) -> dict[str, Any]:
        """The section `cells` for a reader; {} where nothing is to be said."""
        found = {} if reader == "text" else self.form.settings
        if time in self.days and time not in dict(self.asked):
            found["day_first"] = True
        return {**found, "trim": True} if trim else found

    def said_of(self, time: str) -> tuple[list[str], list[str]]:
        """Notes and questions about numbers, and about the column of times."""
        notes, asked = ([text for name, text in found if name in ("", time)] for found in (self.notes, self.asked))
        return notes, asked


def forms_of(names: Sequence[str], rows: Cells, semicolons: bool) -> Forms:
    """What the cells say of how they are written; `semicolons` between cells make a point suspicious."""
    values = {name: _values(row[place] for row in rows) for place, name in enumerate(names)}
    found = Forms(rows)
    _numbers(values, semicolons, found)
    _times(values, found)
    makers = [_maker(name, values[name], found) for name in names]
    if any(makers):
        found.cells = [
            tuple(make(cell) if make else cell for make, cell in zip(makers, row, strict=True)) for row in rows
        ]
    return found


def _maker(name: str, values: frozenset[str], found: Forms) -> Callable[[str], str] | None:
    """What makes a column's cells plain; None where they are."""
    if name in found.days:
        return to_iso
    form = found.form
    return (lambda cell: _plain(cell, form)) if form != PLAIN and _share(values, form) else None


def readable(row: Sequence[str]) -> tuple[str, ...]:
    """A row with numbers of any form as plain ones, to tell names from numbers by."""
    return tuple(map(_any_number, row))


def spaced(names: Sequence[str], rows: Cells, asked: Iterable[str]) -> list[str]:
    """Those of the columns `asked` with words that differ by the spaces around them alone."""
    at = {name: place for place, name in enumerate(names)}
    found = []
    for name in asked:
        written = {row[at[name]] for row in rows} if name in at else set()
        if len({cell.strip() for cell in written}) < len(written):
            found.append(name)
    return found


def _values(cells: Iterable[str]) -> frozenset[str]:
    return frozenset(cell for cell in {cell.strip() for cell in cells} if not is_missing(cell))


@functools.lru_cache(65_536)
def _any_number(cell: str) -> str:
    return cell if number(cell)[1] is None else next((plain for _, plain in readings(cell.strip())), cell)


def _plain(cell: str, form: CellForm) -> str:
    plain = to_plain(cell.strip(), form)
    return cell if plain is None else plain


def _share(values: frozenset[str], form: CellForm) -> float:
    """Share of values that are numbers of a form; 0 where it is too small for a column of numbers."""
    sound = sum(number(value, form)[1] is None for value in values) / max(1, len(values))
    return sound if sound >= NUMERIC else 0.0


def _numbers(values: dict[str, frozenset[str]], semicolons: bool, found: Forms) -> None:
    """Find the form of numbers, where columns that are no plain numbers agree on one reading."""
    odd, points = {}, []
    for name, cells in values.items():
        if not any(set(cell) & set(",.'\u2019_ \u00a0\u202f") for cell in cells):
            continue
        if _share(cells, PLAIN):
            points.append(name)
        elif fits := _fits(cells):
            odd[name] = fits
    if odd:
        _agree(odd, points, values, found)
    elif semicolons:
        _ask_thousands(points, values, found)


def _fits(cells: frozenset[str]) -> list[CellForm]:
    """The forms that read most of a column: one cell that only one of them reads decides."""
    shares = {form: _share(cells, form) for form in FORMS}
    most = max(shares.values())
    return [form for form, share in shares.items() if share == most > 0]


def _agree(odd: dict[str, list[CellForm]], points: list[str], values: dict[str, frozenset[str]], found: Forms) -> None:
    """Find the one form that reads all odd columns, and those with points that cannot stand between thousands."""
    sure = [name for name in points if not _share(values[name], _GERMAN)]
    common = [
        form
        for form in FORMS
        if all(form in fits for fits in odd.values()) and all(_share(values[name], form) for name in sure)
    ]
    if not common:
        examples = [_example(values, name) for name in (*odd, *sure)]
        ways = f"{examples[0]} and {examples[1]}"
        found.notes.append(
            ("", f"numbers are written in more than one way ({ways}), which no `cells` reads; write all one way")
        )
        found.unread = {name: f"{_example(values, name)} is no number beside those of other columns" for name in odd}
        return
    twofold = next(((name, cell, form) for name in odd for cell in sorted(values[name]) for form in common[1:]
                    if to_plain(cell, form) != to_plain(cell, common[0])), None)  # fmt: skip
    if twofold is None:
        found.form = common[0]
        _ask_thousands([name for name in points if not _share(values[name], found.form)], values, found)
        return
    name, cell, second = twofold
    ways = " and ".join(f"{to_plain(cell, form)} with {said(form)}" for form in (common[0], second))
    found.asked.append(("", f"column {name!r}: {shown(cell)} is {ways}. Say which one"))
    found.unread = {name: f"{_example(values, name)} may have a decimal comma, or thousands" for name in odd}


def _ask_thousands(points: list[str], values: dict[str, frozenset[str]], found: Forms) -> None:
    """Ask of columns whose points are all before three digits, beside decimal commas or semicolons."""
    for name in points:
        with_point = sorted(cell for cell in values[name] if "." in cell)
        if not with_point or not all(to_plain(cell, _GERMAN) for cell in with_point):
            continue
        cell = with_point[0]
        found.asked.append(
            ("", f"column {name!r}: {shown(cell)} is {float(cell)!r} where the point is a decimal sign, and "
             f"{to_plain(cell, _GERMAN)} with {said(_GERMAN)}. Say which one")
        )  # fmt: skip
        if found.form != PLAIN:
            found.unread[name] = f"{shown(cell)} is no number with {said(found.form)}, and may be one with thousands"


def _example(values: dict[str, frozenset[str]], name: str) -> str:
    cell = next(cell for cell in sorted(values[name]) if not cell.lstrip("+-").isdecimal())
    return f"{shown(cell)} in column {name!r}"


def _times(values: dict[str, frozenset[str]], found: Forms) -> None:
    days = set()
    for name, cells in values.items():
        dates = sorted(cell for cell in cells if is_day_or_month_first(cell))
        if not dates or len(dates) < NUMERIC * len(cells):
            continue
        pairs = [first_and_second(cell) for cell in dates]
        first, second = (max(numbers) > _MONTHS for numbers in zip(*pairs, strict=True))
        if first and not second:
            days.add(name)
        elif not second and all("." in cell.strip()[:3] for cell in dates):
            days.add(name)
            found.notes.append(
                (name, f"column {name!r}: {shown(dates[0])} is read with the day first, as dates with points are")
            )
        elif second and not first:
            cell = next(cell for cell, pair in zip(dates, pairs, strict=True) if pair[1] > _MONTHS)
            found.notes.append(
                (name, f"column {name!r}: in {shown(cell)} the month comes first, which is not read; write it as "
                 "2024-12-31")
            )  # fmt: skip
        elif not first:
            days.add(name)
            found.asked.append(
                (name, f"column {name!r}: {shown(dates[0])} may have the day or the month first. If the day, say "
                 "`cells: {day_first: true}`; if the month, write it as 2024-12-31")
            )  # fmt: skip
    found.days = frozenset(days)
