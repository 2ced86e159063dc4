"""Rows of a text of rows, one at a time, with what is wrong in their form: bounded memory on any bytes at all.

The csv module alone is not bounded: one line of commas or one open quote makes it hold the whole file as cells.
This is the careful reader, and the rule: `csvblocks` is faster where it is sure to find the very same rows.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from assets.errors import RejectedError
from assets.records.limits import MAX_BLANK_LINES, MAX_CELL_CHARS, MAX_LINE_CHARS, MAX_ROW_LINES

DELIMITERS = (",", ";", "\t")
SPACES = " "
"""Stands for any spaces between cells, as in C-MAPSS; there are no quotes, and no empty cells."""
BLOCK_BYTES = 4 * MAX_LINE_CHARS + 16
"""Bytes that are looked at together: at least one line of the longest kind, whatever its characters."""


@dataclass(frozen=True)
class Form:
    """How rows are written.

    Attributes:
        delimiter: one of `DELIMITERS`, or `SPACES`.
        quotes: whether a quote mark opens a quoted cell; else it is a character like others.
        cell_chars: characters of the longest cell that is read.
    """

    delimiter: str
    quotes: bool = True
    cell_chars: int = MAX_CELL_CHARS


@dataclass(frozen=True)
class Row:
    """A row's cells, or why it has none.

    Attributes:
        first, last: its lines in the file, from 1; they differ where a cell has line breaks inside quotes.
        problem: what is wrong with its form; None for a sound row.
    """

    first: int
    last: int
    cells: tuple[str, ...]
    problem: str | None = None


class Blocks:
    """A stream in pieces that end where a line ends; a longer line is cut, and its first piece has no line end."""

    def __init__(self, stream: BinaryIO, size: int = BLOCK_BYTES) -> None:
        self._stream = stream
        self._size = size
        self._rest = b""

    def take(self) -> bytes:
        """The next piece; b"" at the end."""
        parts, missing = [self._rest], self._size - len(self._rest)
        while missing > 0 and (part := self._stream.read(missing)):
            parts.append(part)
            missing -= len(part)
        data, self._rest = b"".join(parts), b""
        if missing > 0:
            return data
        cut = data.rfind(b"\n") + 1
        if not cut:
            cut = data.rfind(b"\r", 0, len(data) - 1) + 1  # the last one may be half of \r\n
        if not cut:
            cut = len(data) - 1 if data.endswith(b"\r") else len(data)
        self._rest = data[cut:]
        return data[:cut]

    def put_back(self, data: bytes) -> None:
        """Have `data` (at most a piece) come first again."""
        self._rest = data + self._rest


class Lines(Iterator[str]):
    """Lines of a block, each at most `MAX_LINE_CHARS` long, at most `MAX_ROW_LINES` to a row.

    Ends with the block where a row ends there, else goes on with the next one.

    Attributes:
        number: lines so far, counted through the file.
        row_start: `number` before the row that is being read.
    """

    def __init__(self, block: bytes, blocks: Blocks, number: int) -> None:
        self._text = _decoded(block)
        self._blocks = blocks
        self.number = number
        self.row_start = number

    def __next__(self) -> str:
        if self.number - self.row_start >= MAX_ROW_LINES:
            raise csv.Error(f"a quote that opens here is not closed within {MAX_ROW_LINES:,} lines")
        line = self._text.readline(MAX_LINE_CHARS + 1)
        if not line:
            if self.number == self.row_start or not self._resume():
                raise StopIteration
            return next(self)
        self.number += 1
        if len(line) <= MAX_LINE_CHARS:
            return line
        while not line.endswith(("\n", "\r")):
            line = self._text.readline(MAX_LINE_CHARS)
            if not line and not self._resume():
                break
        raise csv.Error(f"the line is longer than {MAX_LINE_CHARS:,} characters")

    def _resume(self) -> bool:
        block = self._blocks.take()
        self._text = _decoded(block)
        return bool(block)


def rows_of(lines: Lines, form: Form) -> Iterator[Row]:
    """Every row that begins in the block of `lines`, blank lines left out.

    Bytes that are not UTF-8 make their own row a problem, not the file.

    Raises:
        RejectedError: more than `MAX_BLANK_LINES` blank rows follow each other; what was read before stands.
    """
    reader = _reader(lines, form)
    blank = 0
    while True:
        first = lines.row_start = lines.number
        try:
            cells = _next_row(reader, form.cell_chars)
        except StopIteration:
            return
        except csv.Error as error:
            yield Row(first + 1, lines.number, (), _plain(error, form.cell_chars))
            reader = _reader(lines, form)  # the old one may be inside a quote
            continue
        if len(cells) > 1 or "".join(cells).strip():
            blank = 0
            yield Row(first + 1, lines.number, tuple(cells), _bytes_problem(cells))
            continue
        blank += 1
        if blank > MAX_BLANK_LINES:
            raise RejectedError(
                f"more than {MAX_BLANK_LINES:,} blank lines follow each other, the rest was not read; take them out"
            )


def first_row(block: bytes, form: Form) -> tuple[Row | None, int]:
    """The first row of a file's first block (None where there is none) and how many bytes it and blank lines take."""
    lines = Lines(block, Blocks(io.BytesIO()), 0)
    row = next(rows_of(lines, form), None)
    if row is None:
        return None, 0
    text = _decoded(block)
    taken = sum(len(text.readline().encode("utf-8", "surrogateescape")) for _ in range(row.last))
    return row, taken


def _decoded(block: bytes) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(block), "utf-8", errors="surrogateescape", newline="")


def _reader(lines: Lines, form: Form) -> Iterator[list[str]]:
    if form.delimiter == SPACES:
        return _split(lines, form.cell_chars)
    if not form.quotes:
        return csv.reader(lines, delimiter=form.delimiter, strict=True, quoting=csv.QUOTE_NONE)
    return csv.reader(lines, delimiter=form.delimiter, strict=True)


def _split(lines: Lines, cell_chars: int) -> Iterator[list[str]]:
    for line in lines:
        cells = line.split()
        if len(line) > cell_chars and any(len(cell) > cell_chars for cell in cells):
            raise csv.Error("field limit")
        yield cells


def _next_row(reader: Iterator[list[str]], cell_chars: int) -> list[str]:
    before = csv.field_size_limit(cell_chars)  # the module has one limit for everybody: hold it for one row only
    try:
        return next(reader)
    finally:
        csv.field_size_limit(before)


def _plain(error: csv.Error, cell_chars: int) -> str:
    text = str(error)
    if "field limit" in text:
        return f"a cell is longer than {cell_chars:,} characters, or a quote is not closed"
    return "a quote is not closed" if text == "unexpected end of data" else text


def _bytes_problem(cells: list[str]) -> str | None:
    joined = "".join(cells)
    if "\0" in joined:
        return "it has NUL bytes"
    if joined.isascii():
        return None
    if any("\ud800" <= character <= "\udfff" for character in joined):
        return "it has bytes that are not UTF-8"
    return None
