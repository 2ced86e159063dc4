"""Rows of a CSV text, one at a time, with what is wrong in their form: bounded memory on any bytes at all.

The csv module alone is not bounded: one line of commas or one open quote makes it hold the whole file as cells.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass

from assets.ingest.limits import MAX_CELL_CHARS, MAX_LINE_CHARS, MAX_ROW_LINES

DELIMITERS = (",", ";", "\t")


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


class _Lines(Iterator[str]):
    """Lines of a text, each at most `MAX_LINE_CHARS` long, at most `MAX_ROW_LINES` to a row."""

    def __init__(self, text: io.TextIOBase) -> None:
        self._text = text
        self.number = 0
        self.row_start = 0

    def __next__(self) -> str:
        if self.number - self.row_start >= MAX_ROW_LINES:
            raise csv.Error(f"a quote that opens here is not closed within {MAX_ROW_LINES:,} lines")
        line = self._text.readline(MAX_LINE_CHARS + 1)
        if not line:
            raise StopIteration
        self.number += 1
        if len(line) <= MAX_LINE_CHARS:
            return line
        while line and not line.endswith(("\n", "\r")):
            line = self._text.readline(MAX_LINE_CHARS)
        raise csv.Error(f"the line is longer than {MAX_LINE_CHARS:,} characters")


def rows_of(content: bytes, delimiter: str) -> Iterator[Row]:
    """Every row of a CSV file, blank lines left out.

    Args:
        content: UTF-8 with or without BOM; bytes that are not UTF-8 make their own row a problem, not the file.
        delimiter: one of `DELIMITERS`.
    """
    text = io.TextIOWrapper(io.BytesIO(content), "utf-8-sig", errors="surrogateescape", newline="")
    lines = _Lines(text)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        first = lines.row_start = lines.number
        try:
            cells = _next_row(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Row(first + 1, lines.number, (), _plain(error))
            reader = csv.reader(lines, delimiter=delimiter, strict=True)  # the old one may be inside a quote
            continue
        if len(cells) > 1 or "".join(cells).strip():
            yield Row(first + 1, lines.number, tuple(cells), _bytes_problem(cells))


def _next_row(reader: Iterator[list[str]]) -> list[str]:
    before = csv.field_size_limit(MAX_CELL_CHARS)  # the module has one limit for everybody: hold it for one row only
    try:
        return next(reader)
    finally:
        csv.field_size_limit(before)


def _plain(error: csv.Error) -> str:
    text = str(error)
    if "field limit" in text:
        return f"a cell is longer than {MAX_CELL_CHARS:,} characters, or a quote is not closed"
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
