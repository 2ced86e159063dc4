"""The reader `csv`: tables with a header row, read row by row; columns that the contract does not name are left alone.

A file is refused as a whole where its header or its form is wrong; a row is refused where its form is wrong. A row
whose cells are wrong (empty, no number, infinite, an unknown class) is a record all the same: the gate quarantines it.
"""

from __future__ import annotations

import hashlib
import math
import re
import struct
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from assets.errors import LandingError, RejectedError
from assets.ingest.contract import LandedFile, Record
from assets.ingest.csvrows import DELIMITERS, Row, rows_of
from assets.ingest.limits import MAX_COLUMNS, MAX_ROWS
from assets.ingest.names import declared_split, shown
from assets.ingest.refusals import refusal
from assets.line import DataContract, TableData
from assets.quality.contract import Reason

TABLE_SUFFIXES = (".csv", ".tsv", ".tab")
MAX_VALUE = 3.4028234663852886e38
"""The largest 32-bit float: models compute in them."""

_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "-", "?"})
_INFINITE = frozenset({"inf", "infinity"})


@dataclass(frozen=True)
class _Header:
    """Where the contract's columns are: `target`'s position, `inputs`' positions in the contract's order."""

    delimiter: str
    width: int
    target: int
    inputs: tuple[int, ...]


def read_tables(
    files: Sequence[LandedFile], read: Callable[[LandedFile], bytes], data: DataContract
) -> Iterator[Record | Reason]:
    """A record for each row of each table, a refusal for each row or file that has none.

    Args:
        read: gives a file's bytes, or raises RejectedError with "reason; remedy".
        data: the line's contract, with its section `table`.

    Raises:
        LandingError: `read` found a fault of the landing zone, which says nothing about the data.
    """
    assert data.table is not None
    for file in files:
        if not file.path.lower().endswith(TABLE_SUFFIXES):
            text = f"not a table by its name; name it {', '.join(TABLE_SUFFIXES)} if it is one, else leave it out"
            yield refusal(file.path, "its name", text)
            continue
        try:
            yield from _table(file.path, read(file), data.table)
        except LandingError:
            raise
        except RejectedError as error:
            yield refusal(file.path, "whole file", str(error))


def row_id(values: bytes) -> str:
    """SHA-256 (hex) of a row's input values as little-endian float64."""
    return hashlib.sha256(values).hexdigest()


def _table(path: str, content: bytes, table: TableData) -> Iterator[Record | Reason]:
    _check_encoding(content)
    header = _header(content, table)
    rows = rows_of(content, header.delimiter)
    next(rows)
    split = (declared_split(path.split("/", maxsplit=1)[0]) or "") if "/" in path else ""
    count = 0
    for row in rows:
        count += 1
        if count > MAX_ROWS:
            raise RejectedError(f"it has more than {MAX_ROWS:,} rows, the rest was not read; split it into more files")
        if (problem := _row_problem(row, header)) is not None:
            for line in range(row.first, row.last + 1):  # every line that was swallowed counts
                yield refusal(path, f"line {line}", problem)
            continue
        yield _record(f"{path}#{row.first}", split, row.cells, header, table)
    if not count:
        raise RejectedError("it has a header, but no rows; export it again with its rows")


def _check_encoding(content: bytes) -> None:
    if not content.strip():
        raise RejectedError("the file is empty; copy it again")
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise RejectedError("it is UTF-16; save it as UTF-8")


def _header(content: bytes, table: TableData) -> _Header:
    """Find delimiter and columns. Raises RejectedError, naming what is missing."""
    found = {delimiter: next(rows_of(content, delimiter), None) for delimiter in DELIMITERS}
    wanted = {table.target, *table.columns}

    def fit(delimiter: str) -> tuple[int, int]:
        row = found[delimiter]
        return (len(wanted & set(row.cells)), len(row.cells)) if row is not None else (0, 0)

    delimiter = max(DELIMITERS, key=fit)
    row = found[delimiter]
    if row is None:
        raise RejectedError("the file is empty; copy it again")
    if row.problem:
        raise RejectedError(f"its header (line {row.first}): {row.problem}; write it again as UTF-8 CSV")
    names = row.cells
    if len(names) > MAX_COLUMNS:
        raise RejectedError(f"its header has {len(names):,} columns, at most {MAX_COLUMNS:,} are read; leave some out")
    twice = sorted(name for name, times in Counter(names).items() if name and times > 1)
    if twice:
        raise RejectedError(f"its header has {_listed(twice)} more than once; give each column a name of its own")
    missing = [name for name in (table.target, *table.columns) if name not in names]
    if missing:
        raise RejectedError(_missing_columns(missing, names, table))
    positions = {name: index for index, name in enumerate(names)}
    return _Header(delimiter, len(names), positions[table.target], tuple(positions[name] for name in table.columns))


def _missing_columns(missing: Sequence[str], names: Sequence[str], table: TableData) -> str:
    what = f"the target column {table.target!r} is missing" if table.target in missing else ""
    inputs = [name for name in missing if name != table.target]
    if inputs:
        what += f"{' and ' if what else ''}the input columns {_listed(inputs)} are missing"
    simple = {re.sub(r"\W+", "", name).lower(): name for name in names}
    near = next(((name, simple[key]) for name in missing if (key := re.sub(r"\W+", "", name).lower()) in simple), None)
    hint = f"rename {shown(near[1])} to {shown(near[0])}" if near else "add them, or change the line's `data.table`"
    return f"{what} (its header has {_listed(names)}); {hint}"


def _row_problem(row: Row, header: _Header) -> str | None:
    if row.problem is not None:
        place = "" if row.first == row.last else f" (lines {row.first} to {row.last})"
        return f"the row cannot be read{place}: {row.problem}; correct it, as UTF-8 CSV"
    if len(row.cells) != header.width:
        return f"the row has {len(row.cells)} cells, the header has {header.width}; correct the row"
    return None


def _record(file: str, split: str, cells: Sequence[str], header: _Header, table: TableData) -> Record:
    values, notes = [], {}
    for index, position in enumerate(header.inputs):
        value, note = _number(cells[position])
        values.append(value)
        if note is not None:
            notes[index] = f"column {table.columns[index]}: {note}"
    packed = struct.pack(f"<{len(values)}d", *values)
    return Record(row_id(packed), cells[header.target], split, file, packed, notes=notes)


def _number(cell: str) -> tuple[float, str | None]:
    """A cell's value, and why it is no finite number; NaN where it has no value."""
    text = cell.strip()
    if _NUMBER.fullmatch(text):
        value = float(text) + 0.0  # minus zero is zero: one row, one id
        if abs(value) > MAX_VALUE:
            return math.copysign(math.inf, value), f"{shown(cell)} is larger than a 32-bit number holds"
        return value, None
    if text.lower() in _MISSING:
        return math.nan, "the cell is empty" if not text else f"the cell is missing ({shown(cell)})"
    if text.lstrip("+-").lower() in _INFINITE:
        return math.copysign(math.inf, -1 if text[0] == "-" else 1), f"{shown(cell)} is not finite"
    return math.nan, f"{shown(cell)} is not a number"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return ", ".join(shown(name) for name in names[:8]) + more
