"""Where a file's columns are: by its header line, or by the names that the contract gives to files without one."""

from __future__ import annotations

import contextlib
import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from assets.errors import RejectedError
from assets.line.cell_form import PLAIN, CellForm
from assets.readers.cells import is_missing, number
from assets.readers.csvblocks import Layout
from assets.readers.csvrows import DELIMITERS, SPACES, Blocks, Form, Lines, Row, first_row, rows_of
from assets.records.limits import MAX_CELL_CHARS, MAX_COLUMNS
from assets.records.paths import shown

_LOOKED_AT = 100
"""Rows of a file without a header line that are looked at to tell its delimiter."""


@dataclass(frozen=True)
class Wanted:
    """The columns that a reader needs.

    Attributes:
        section: of the data contract, for messages.
        names: the columns that a file must have, the target first where there is one.
        numbers: those that hold numbers.
        target: the target column; "" where there is none.
        header: names of all columns of files without a header line; () where each has one.
        cell_chars: characters of the longest cell that is read.
        only: those of `names` that are read; () for all.
        skip_lines: lines of a text before its header or first row.
        cells: how cells of text are written.
    """

    section: str
    names: tuple[str, ...]
    numbers: frozenset[str]
    target: str = ""
    header: tuple[str, ...] = ()
    cell_chars: int = MAX_CELL_CHARS
    only: tuple[str, ...] = ()
    skip_lines: int = 0
    cells: CellForm = PLAIN

    @property
    def read(self) -> tuple[str, ...]:
        """The columns that are read."""
        return self.only or self.names


def _layout(form: Form, names: Sequence[str], wanted: Wanted, width: int = 0) -> Layout:
    positions = {name: index for index, name in enumerate(names)}
    numbers = wanted.numbers & set(wanted.read) if not wanted.cells.thousands else frozenset()
    read = {name: positions[name] for name in wanted.read}
    return Layout(form, width or len(names), read, numbers, wanted.cells.decimal)


def with_header(first: bytes, wanted: Wanted, delimiters: str = "") -> tuple[Layout, int, int]:
    """Layout by the header line, its last line, and how many bytes it takes. Raises RejectedError.

    Args:
        delimiters: those that it may have; "" for any.
    """
    found_in = delimiters or (*DELIMITERS, SPACES)
    forms = [Form(delimiter, delimiter != SPACES, wanted.cell_chars) for delimiter in found_in]
    found = {form: first_row(first, form) for form in forms}

    def fit(form: Form) -> tuple[int, int]:
        row, _ = found[form]
        if row is None:
            return 0, 0
        named = {cell.strip() for cell in row.cells}  # `a , b` has commas between its cells, not spaces
        return len(set(wanted.names) & named), 0 if form.delimiter == SPACES else len(row.cells)

    form = max(forms, key=fit)
    row, taken = found[form]
    if row is None:
        raise RejectedError("the file is empty; copy it again")
    if row.problem:
        raise RejectedError(f"its header (line {row.first}): {row.problem}; write it again as UTF-8 CSV")
    names = tuple(cell if cell in wanted.names else cell.strip() for cell in row.cells)  # `a , b` names a and b
    check_names(names, wanted)
    return _layout(form, names, wanted, _width(len(names), _first_rows(first, form)[1:])), row.last, taken


def _width(names: int, rows: Sequence[Row]) -> int:
    """Cells of a row: as many as names, or an empty one more where most rows end with a delimiter and names do not."""
    widths = Counter(len(row.cells) for row in rows if not row.problem)
    ending = sum(len(row.cells) == names + 1 and not row.cells[-1].strip() for row in rows)
    return names + 1 if ending > len(rows) / 2 and ending > widths[names] else names


def headerless(first: bytes, wanted: Wanted, delimiters: str = "") -> tuple[Layout, int, int]:
    """Layout by the contract's `header`; a first line of these names, in any order, is a header line.

    With tabs between cells a quote mark is a character like others: files without a header line come from tools that
    do not quote.

    Raises:
        RejectedError: other columns, or a first line that seems to be a header of other names: read by place, columns
            in another order would be taken for one another.
    """
    forms = [Form(delimiter, delimiter not in {"\t", SPACES}, wanted.cell_chars) for delimiter in delimiters or "\t,; "]
    looked = {form: _first_rows(first, form) for form in forms}

    def fit(form: Form) -> tuple[int, int]:
        widths = [len(row.cells) for row in looked[form]]
        return widths.count(len(wanted.header)), max(widths, default=0)

    form = max(forms, key=fit)
    fitting, cells = fit(form)
    if not fitting:
        raise RejectedError(
            f"its first rows have at most {cells} cells, `header` names {len(wanted.header)} columns; "
            "correct `header`, or the file"
        )
    missing = [name for name in wanted.names if name not in wanted.header]
    if missing:
        raise RejectedError(f"`header` does not name {_listed(missing)}; correct the line's `data.{wanted.section}`")
    row, taken = first_row(first, form)
    names = tuple(cell.strip() for cell in row.cells) if row is not None else ()
    if row is not None and sorted(names) == sorted(wanted.header):
        return _layout(form, names, wanted), row.last, taken
    if _seems_a_header(names, looked[form][1:], wanted):
        raise RejectedError(
            f"its first line seems to be a header ({_listed(names)}), but `header` names {_listed(wanted.header)}; "
            f"take that line out, name its columns so, or take `header` out of the line's `data.{wanted.section}`"
        )
    return _layout(form, wanted.header, wanted), 0, 0


def _first_rows(block: bytes, form: Form) -> list[Row]:
    """The first rows of a block; what ends a file early is for its reader to say, with the rows before it."""
    rows: list[Row] = []
    with contextlib.suppress(RejectedError):
        rows.extend(islice(rows_of(Lines(block, Blocks(io.BytesIO()), 0), form), _LOOKED_AT))
    return rows


def _seems_a_header(first: Sequence[str], rest: Sequence[Row], wanted: Wanted) -> bool:
    """Whether a first line has names for cells: most of `header`'s own, or what stands below tells it.

    Told by what stands below, every cell is a name of its own: a word over numbers only, or one that a column of words
    which repeat never has again. One such column alone may be a row with a bad cell, so there are two at least. A row
    that is none of this is read as a row, and is quarantined by itself where a cell of it is bad.
    """
    if len(first) != len(wanted.header):
        return False
    if 2 * len(set(first) & set(wanted.header)) > len(first):
        return True
    below = [row.cells for row in rest if len(row.cells) == len(first)]
    cells = [cell for cell in first if cell]
    if len(below) < 2 or len(set(cells)) < len(cells) or not all(map(_is_name, cells)):
        return False
    odd = [_stands_out(cell, [row[place] for row in below], wanted.cells) for place, cell in enumerate(first) if cell]
    return None not in odd and sum(map(bool, odd)) > 1


def _is_name(cell: str) -> bool:
    """Whether a cell may name a column: it is a word, and none that stands for a missing number."""
    return not is_missing(cell) and (cell[0].isalpha() or cell[0] == "_")


def _stands_out(cell: str, below: Sequence[str], form: CellForm) -> bool | None:
    """Whether a word is none of its column: None where it is one of it, False where words there never repeat."""
    words = [text.strip() for text in below if not is_missing(text)]
    if cell in words:
        return None
    if all(number(text, form)[1] is None for text in words):
        return bool(words)
    return 2 * len(set(words)) <= len(words)


def own_names(names: Sequence[str], wanted: Wanted) -> list[str]:
    """The wanted columns as a typed file names them, in order. Raises RejectedError where one is missing."""
    meant = [name.strip() for name in names] if wanted.cells.trim else list(names)
    check_names(meant, wanted)
    return [names[meant.index(name)] for name in wanted.read]


def check_names(names: Sequence[str], wanted: Wanted) -> None:
    """Raises RejectedError, naming what is missing or there twice."""
    if len(names) > MAX_COLUMNS:
        raise RejectedError(f"its header has {len(names):,} columns, at most {MAX_COLUMNS:,} are read; leave some out")
    twice = sorted(name for name, times in Counter(names).items() if name and times > 1)
    if twice:
        raise RejectedError(f"its header has {_listed(twice)} more than once; give each column a name of its own")
    missing = [name for name in wanted.names if name not in names]
    if not missing:
        return
    what = f"the target column {wanted.target!r} is missing" if wanted.target in missing else ""
    inputs = [name for name in missing if name != wanted.target]
    if inputs:
        what += f"{' and ' if what else ''}the input columns {_listed(inputs)} are missing"
    simple = {re.sub(r"\W+", "", name).lower(): name for name in names}
    near = next(((name, simple[key]) for name in missing if (key := re.sub(r"\W+", "", name).lower()) in simple), None)
    hint = f"rename {shown(near[1])} to {shown(near[0])}" if near else f"add them, or change `data.{wanted.section}`"
    raise RejectedError(f"{what} (its header has {_listed(names)}); {hint}")


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return ", ".join(shown(name) for name in names[:8]) + more
