"""Rows of a text of rows, in blocks of columns: the fast way for plain blocks, the careful one for all others.

A block is plain where every line is one row and every cell is what stands between delimiters, or a whole quoted cell
without quotes or line ends inside; then Arrow's parser and `csvrows` cannot differ, which a property test checks.
Anything else (a ragged row, NUL bytes, bytes that are not UTF-8, an open quote, an enormous line) is read row by row.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
from numpy.typing import NDArray

from assets.errors import RejectedError
from assets.readers.cells import MAX_WHOLE
from assets.readers.csvrows import SPACES, Blocks, Form, Lines, Row, rows_of
from assets.records.limits import MAX_LINE_CHARS, MAX_REFUSED_ROWS, MAX_ROWS
from assets.records.reason import Reason, refusal

ROWS_TOGETHER = 65_536
"""Rows of one block at most."""
_CELLS_TOGETHER = 200_000

_CONTROL = bytes({*range(32), 127} - {9, 10, 13})
_ODD = np.isin(np.arange(256), list(_CONTROL))


@dataclass(frozen=True)
class Layout:
    """Where the wanted columns are in a row.

    Attributes:
        form: how rows are written.
        width: cells of every row.
        positions: wanted column to its position.
        numbers: those of them that hold numbers, tried as such first.
        decimal: the decimal sign of these.
    """

    form: Form
    width: int
    positions: Mapping[str, int]
    numbers: frozenset[str] = frozenset()
    decimal: str = "."


@dataclass(frozen=True)
class Block:
    """Rows of a file, by column.

    Attributes:
        places: (rows,) each row's line in a text, or its number in another file, from 1.
        columns: wanted column to its cells, as text or typed.
    """

    places: NDArray[np.int64]
    columns: Mapping[str, pa.Array]

    def part(self, start: int, count: int) -> Block:
        """At most `count` rows from `start` on."""
        columns = {name: column.slice(start, count) for name, column in self.columns.items()}
        return Block(self.places[start : start + count], columns)


def text_blocks(path: str, blocks: Blocks, line: int, layout: Layout) -> Iterator[Block | Reason]:
    """The rows of a text of rows, and a refusal for each line of a row whose form is wrong.

    Args:
        line: lines before the first block, a header for example.

    Raises:
        RejectedError: it has too many rows, or too many that cannot be read; what was read before stands.
    """
    rows = refused = 0
    for item in _found(path, blocks, line, layout):
        if isinstance(item, Reason):
            refused += 1
            if refused > MAX_REFUSED_ROWS:
                raise RejectedError(
                    f"more than {MAX_REFUSED_ROWS:,} of its lines cannot be read, the rest was not read; "
                    "write it again as UTF-8 CSV"
                )
            yield item
            continue
        room, rows = MAX_ROWS - rows, rows + len(item.places)
        if rows > MAX_ROWS:
            if room:
                yield item.part(0, room)
            raise RejectedError(f"it has more than {MAX_ROWS:,} rows, the rest was not read; split it into more files")
        yield item


def _found(path: str, blocks: Blocks, line: int, layout: Layout) -> Iterator[Block | Reason]:
    while block := blocks.take():
        if (fast := _fast(block, line, layout)) is not None:
            line += len(fast.places)
            yield from _sliced(fast)
            continue
        if (sifted := _sifted(path, block, line, layout)) is not None:
            sound, refused, line = sifted
            yield from refused
            yield from _sliced(sound)
            continue
        lines = Lines(block, blocks, line)
        yield from _careful(path, lines, layout)
        line = lines.number


def _sifted(path: str, block: bytes, line: int, layout: Layout) -> tuple[Block, list[Reason], int] | None:
    """A block's plain lines the fast way, and refusals of its odd ones, if every line is one or the other for sure.

    Returns:
        The rows, the refusals, and the number of the block's last line; None where a row may be more than a line, or
        an odd line is a row all the same.
    """
    form = layout.form
    if (form.quotes and b'"' in block) or form.delimiter == SPACES or not block.endswith(b"\n"):
        return None
    if block.count(b"\r") != block.count(b"\r\n"):
        return None
    raw = np.frombuffer(block, dtype=np.uint8)
    ends = np.flatnonzero(raw == ord("\n")) + 1
    lengths = np.diff(ends, prepend=0)
    marks = np.flatnonzero(raw == ord(form.delimiter))
    sound = np.diff(np.searchsorted(marks, ends), prepend=0) == layout.width - 1
    sound[np.searchsorted(ends, np.flatnonzero(_ODD[raw]), side="right")] = False
    for row in np.flatnonzero(sound & _not_ascii(raw, ends)).tolist():
        try:
            block[ends[row] - lengths[row] : ends[row]].decode()
        except UnicodeDecodeError:
            sound[row] = False
    if not sound.any():
        return None
    fast = _fast(raw[np.repeat(sound, lengths)].tobytes(), 0, layout)
    if fast is None:
        return None
    refused: list[Reason] = []
    odd = np.flatnonzero(~sound)
    for run in np.split(odd, np.flatnonzero(np.diff(odd) > 1) + 1):
        part = block[ends[run[0]] - lengths[run[0]] : ends[run[-1]]]
        found = _refusals(path, Lines(part, Blocks(io.BytesIO()), line + int(run[0])), layout)
        if found is None:
            return None
        refused += found
    return Block(line + 1 + np.flatnonzero(sound), fast.columns), refused, line + len(ends)


def _refusals(path: str, lines: Lines, layout: Layout) -> list[Reason] | None:
    """A refusal of each line; None where one is a row, or ends the file: then what stands before it comes first."""
    found: list[Reason] = []
    try:
        for item in _careful(path, lines, layout):
            if isinstance(item, Block):
                return None
            found.append(item)
    except RejectedError:
        return None
    return found


def _not_ascii(raw: NDArray[np.uint8], ends: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether each line has a byte that is not ASCII."""
    found = np.zeros(len(ends), dtype=np.bool_)
    found[np.searchsorted(ends, np.flatnonzero(raw >= 128), side="right")] = True
    return found


def row_problem(row: Row, width: int) -> str | None:
    """What is wrong with a row's form, "reason; remedy"; None for a sound one."""
    if row.problem is not None:
        place = "" if row.first == row.last else f" (lines {row.first} to {row.last})"
        return f"the row cannot be read{place}: {row.problem}; correct it, as UTF-8 CSV"
    if len(row.cells) != width:
        return f"the row has {len(row.cells)} cells, the header has {width}; correct the row"
    return None


def _careful(path: str, lines: Lines, layout: Layout) -> Iterator[Block | Reason]:
    names, wanted = list(layout.positions), list(layout.positions.values())
    together = max(1, min(ROWS_TOGETHER, _CELLS_TOGETHER // max(1, len(wanted))))
    places: list[int] = []
    cells: list[list[str]] = []
    stopped = None
    try:
        for row in rows_of(lines, layout.form):
            if (problem := row_problem(row, layout.width)) is not None:
                for line in range(row.first, row.last + 1):  # every line that was swallowed counts
                    yield refusal(path, f"line {line}", problem)
                continue
            places.append(row.first)
            cells.append([row.cells[position] for position in wanted])
            if len(places) >= together:
                yield _packed(places, names, cells)
                places, cells = [], []
    except RejectedError as error:  # what was read before stands
        stopped = error
    if places:
        yield _packed(places, names, cells)
    if stopped is not None:
        raise stopped


def _packed(places: Sequence[int], names: Sequence[str], cells: Sequence[Sequence[str]]) -> Block:
    columns = zip(*cells, strict=True)
    arrays = {name: pa.array(column, pa.string()) for name, column in zip(names, columns, strict=True)}
    return Block(np.asarray(places, dtype=np.int64), arrays)


def _fast(block: bytes, line: int, layout: Layout) -> Block | None:
    """The rows of a plain block; None where it is not plain."""
    form = layout.form
    count = _plain_lines(block, form)
    if not count:
        return None
    delimiter = form.delimiter
    if delimiter == SPACES:
        mark = next((mark for mark in (",", ";") if mark.encode() not in block), None)
        if mark is None or not block.isascii():
            return None
        block = _with_marks(block, mark.encode())
        delimiter = mark
        if _has_blank_line(block):
            return None
    quoted = form.quotes and b'"' in block
    if quoted and not _whole_cells(block, delimiter):
        return None
    columns = _parse(block, delimiter, quoted, layout, layout.numbers) or _parse(
        block, delimiter, quoted, layout, frozenset()
    )
    if columns is None or any(len(column) != count for column in columns.values()):
        return None
    return Block(np.arange(line + 1, line + count + 1, dtype=np.int64), columns)


def _with_marks(block: bytes, mark: bytes) -> bytes:
    """One mark for any spaces between cells, none around a line; replacing is ten times as fast as a pattern here."""
    block = block.replace(b"\t", b" ")
    while b"  " in block:
        block = block.replace(b"  ", b" ")
    for outer, inner in ((b" \n", b"\n"), (b" \r\n", b"\r\n"), (b"\n ", b"\n")):
        block = block.replace(outer, inner)
    return block.strip(b" ").replace(b" ", mark)


def _plain_lines(block: bytes, form: Form) -> int:
    """How many lines a block has; 0 where a line may not be one row, or is too long or not UTF-8."""
    if len(block.translate(None, _CONTROL)) != len(block) or _has_blank_line(block):
        return 0
    if block.count(b"\r") != block.count(b"\r\n"):
        return 0
    if not block.isascii():
        try:
            block.decode()
        except UnicodeDecodeError:
            return 0
    ends = np.flatnonzero(np.frombuffer(block, dtype=np.uint8) == ord("\n"))
    if not block.endswith(b"\n"):
        ends = np.append(ends, len(block))
    if int(np.diff(ends, prepend=-1).max()) > min(form.cell_chars, MAX_LINE_CHARS):  # then a cell may be too long
        marks = np.isin(np.frombuffer(block, dtype=np.uint8), list(b"\n" + form.delimiter.encode()))
        longest = int(np.diff(np.flatnonzero(marks), prepend=-1, append=len(block)).max())
        if longest > form.cell_chars or int(np.diff(ends, prepend=-1).max()) > MAX_LINE_CHARS or b'"' in block:
            return 0
    return len(ends)


def _has_blank_line(block: bytes) -> bool:
    return b"\n\n" in block or b"\n\r\n" in block or block.startswith((b"\n", b"\r\n"))


def _whole_cells(block: bytes, delimiter: str) -> bool:
    """Whether quotes surround whole cells only, without quotes or line ends inside."""
    mark = re.escape(delimiter.encode())
    # possessive throughout: nothing is tried twice, and no memory is taken
    cell = rb"(?<![^\n" + mark + rb'])"[^"\r\n]*+"(?=' + mark + rb"|\r?\n|\Z)"
    return re.fullmatch(rb'[^"]*+(?:' + cell + rb'[^"]*+)*+', block) is not None


def _parse(
    block: bytes, delimiter: str, quoted: bool, layout: Layout, as_numbers: frozenset[str]
) -> dict[str, pa.Array] | None:
    """Wanted columns of a plain block; None where a row has another width, or a number is none."""
    keys = {name: f"c{position}" for name, position in layout.positions.items()}
    types = {key: pa.float64() if name in as_numbers else pa.string() for name, key in keys.items()}
    try:
        table = pa_csv.read_csv(
            pa.py_buffer(block),
            pa_csv.ReadOptions(
                use_threads=False,
                block_size=len(block) + 1,
                column_names=[f"c{position}" for position in range(layout.width)],
            ),
            pa_csv.ParseOptions(delimiter=delimiter, quote_char='"' if quoted else False, newlines_in_values=False),
            pa_csv.ConvertOptions(
                column_types=types,
                include_columns=list(keys.values()),
                null_values=[],
                strings_can_be_null=False,
                check_utf8=False,  # done for the whole block
                decimal_point=layout.decimal,
            ),
        )
    except pa.ArrowInvalid:
        return None
    columns = {name: table.column(key).combine_chunks() for name, key in keys.items()}
    if any(_has_odd_number(columns[name]) for name in as_numbers):
        return None  # its note shows the cell as it is written
    return columns


def _has_odd_number(column: pa.Array) -> bool:
    return not bool((np.abs(column.to_numpy(zero_copy_only=False)) < MAX_WHOLE).all())


def _sliced(block: Block) -> Iterator[Block]:
    for start in range(0, len(block.places), ROWS_TOGETHER):
        yield block.part(start, ROWS_TOGETHER)
