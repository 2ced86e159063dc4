"""Texts of rows without their private columns, each row on the lines that it was on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from assets.errors import RejectedError
from assets.ingest.privacy.pseudonyms import Tokens
from assets.line.data import DataContract
from assets.readers import headers
from assets.readers.csvrows import DELIMITERS, SPACES, Blocks, Form, Lines, Row, first_row, rows_of
from assets.records.limits import MAX_LINE_CHARS

UNREADABLE = "unreadable"
"""Stands for a row that was no row: one cell, so it is refused as it was."""
NO_CELL = "nan"
"""A cell without a value, where spaces stand between cells."""
_WRITE_BYTES = 1024**2


class CutShortError(Exception):
    """The packed text ends in damage."""


def filter_text(stream: BinaryIO, data: DataContract, tokens: Tokens) -> Iterator[bytes]:
    """A text of rows as it may be kept, piece by piece.

    Raises:
        RejectedError: its columns cannot be told; "reason; remedy".
        CutShortError: `stream` raised RejectedError on the way, after the last piece.
    """
    blocks = Blocks(stream)
    first = blocks.take().removeprefix(b"\xef\xbb\xbf")
    form, names, line, taken = text_layout(first, data)
    blocks.put_back(first[taken:])
    columns = _Columns(names, data, tokens)
    section = data.table or data.series or data.text
    writer = _Writer(form, columns, headerless=bool(section and section.header))
    if taken:
        yield writer.header(line)
    try:
        while block := blocks.take():
            if _is_simple(block, form):
                line = writer.simple(block, line)
                yield writer.take()
                continue
            lines = Lines(block, blocks, line)
            for row in rows_of(lines, form):
                writer.row(row)
                if writer.waiting >= _WRITE_BYTES:
                    yield writer.take()
            line = lines.number
    except RejectedError as error:
        yield writer.take()
        raise CutShortError from error
    yield writer.end(line)


def _is_simple(block: bytes, form: Form) -> bool:
    """Whether lines and delimiters alone part a block's cells, so that it need not be read character by character."""
    if form.delimiter == SPACES or not block.endswith(b"\n") or b"\r" in block or (form.quotes and b'"' in block):
        return False
    return max(map(len, block.split(b"\n"))) <= MAX_LINE_CHARS


class _Columns:
    """What becomes of each column."""

    def __init__(self, names: Sequence[str], data: DataContract, tokens: Tokens) -> None:
        policy = data.privacy
        self.names = names
        self.dropped = frozenset(at for at, name in enumerate(names) if named(name, policy.drop))
        secret = {at: named(name, policy.pseudonymize) for at, name in enumerate(names) if at not in self.dropped}
        self._tokens = [(at, tokens.of(column)) for at, column in secret.items() if column]

    def hide(self, cells: list[str]) -> None:
        """Replace the values of pseudonymized columns."""
        for at, token in self._tokens:
            cells[at] = token(cells[at])


class _Writer:
    """Rows as text again, each on the lines that it was on."""

    def __init__(self, form: Form, columns: _Columns, *, headerless: bool) -> None:
        self._delimiter = form.delimiter
        self._quotes = form.quotes
        self._columns = columns
        self._blank = headerless  # without a header line columns are told by their position: cells go, columns stay
        self._line = 0
        self._parts: list[bytes] = []
        self.waiting = 0

    def header(self, last: int) -> bytes:
        """The header line; what it took more than one line for is lost, the lines are not."""
        dropped = frozenset() if self._blank else self._columns.dropped
        self._write([name for at, name in enumerate(self._columns.names) if at not in dropped], 1, last)
        return self.take()

    def row(self, row: Row) -> None:
        """One row, or what stands for it."""
        names = self._columns.names
        if len(row.cells) != len(names):
            stands = self._ragged(len(row.cells))
            if stands == UNREADABLE:
                for line in range(row.first, row.last + 1):
                    self._write([UNREADABLE], line, line)
            else:
                self._write([""] * len(row.cells), row.first, row.last)
            return
        cells = list(row.cells)
        self._columns.hide(cells)
        if self._columns.dropped:
            if self._blank:
                nothing = NO_CELL if self._delimiter == SPACES else ""
                cells = [nothing if at in self._columns.dropped else cell for at, cell in enumerate(cells)]
            else:
                cells = [cell for at, cell in enumerate(cells) if at not in self._columns.dropped]
        self._write(cells, row.first, row.last)

    def simple(self, block: bytes, line: int) -> int:
        """All rows of a simple block that begins after `line`; returns its last line."""
        columns, width, parts = self._columns, len(self._columns.names), []
        kept = [at for at in range(width) if at not in columns.dropped]
        joined = self._delimiter.join
        text = block.decode("utf-8", "surrogateescape")
        lines = text[:-1].split("\n")
        for whole in lines:
            cells = whole.split(self._delimiter)
            if len(cells) != width:
                parts.append(self._ragged(len(cells)) if len(cells) > 1 or whole.strip() else "")
                continue
            columns.hide(cells)
            if columns.dropped:
                if self._blank:
                    for at in columns.dropped:
                        cells[at] = ""
                else:
                    cells = [cells[at] for at in kept]
            parts.append(joined(cells))
        parts.append("")
        before = "\n" * (line - self._line)
        self._line = line + len(lines)
        self._parts.append((before + "\n".join(parts)).encode("utf-8", "surrogateescape"))
        return self._line

    def _ragged(self, cells: int) -> str:
        """What stands for a row of another width; of the width that is kept it would look sound."""
        width = len(self._columns.names) - (0 if self._blank else len(self._columns.dropped))
        return UNREADABLE if cells in {0, 1, width} or self._delimiter == SPACES else self._delimiter * (cells - 1)

    def end(self, last: int) -> bytes:
        """What is left, and the blank lines after the last row."""
        self._parts.append(b"\n" * (last - self._line))
        return self.take()

    def take(self) -> bytes:
        """What was written since."""
        data = b"".join(self._parts)
        self._parts, self.waiting = [], 0
        return data

    def _write(self, cells: list[str], first: int, last: int) -> None:
        text = self._joined(cells)
        before = "\n" * (first - 1 - self._line)
        after = "\n" * (last - first - _line_ends(text))
        data = f"{before}{text}\n{after}".encode("utf-8", "surrogateescape")
        self._line = last
        self._parts.append(data)
        self.waiting += len(data)

    def _joined(self, cells: list[str]) -> str:
        text = self._delimiter.join(cells)
        if not self._quotes:
            return text
        plain = text.count(self._delimiter) == len(cells) - 1 and not _SPECIAL.search(text)
        return text if plain else self._delimiter.join(self._quoted(cell) for cell in cells)

    def _quoted(self, cell: str) -> str:
        if self._delimiter not in cell and not _SPECIAL.search(cell):
            return cell
        return '"' + cell.replace('"', '""') + '"'


_SPECIAL = re.compile(r'["\r\n]')
_LINE_END = re.compile(r"\r\n|\r|\n")


def _line_ends(text: str) -> int:
    return len(_LINE_END.findall(text)) if "\n" in text or "\r" in text else 0


def named(name: str, columns: Sequence[str]) -> str:
    """Which of `columns` a column's name is, "" for none; spaces, signs and capitals do not save it."""
    if name in columns:
        return name
    plain = _plain(name)
    return next((column for column in columns if plain and _plain(column) == plain), "")


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).casefold()


def _wanted(data: DataContract) -> headers.Wanted:
    """The columns that tell the header line, as the line's reader has them; dropped ones need not be there."""
    if data.table is not None:
        table = data.table
        section, header, target = "table", table.header, table.target
        names: tuple[str, ...] = (target, *table.columns, *((table.group,) if table.group else ()))
    elif data.series is not None:
        series = data.series
        section, header, target = "series", series.header, series.target or ""
        names = (*((target,) if target else ()), series.unit, series.time, *series.columns)
    else:
        assert data.text is not None
        section, header, target = "text", data.text.header, data.text.target
        names = (target, data.text.column)
    kept = tuple(name for name in dict.fromkeys(names) if name not in data.privacy.drop or header)
    return headers.Wanted(
        section=section, names=kept, numbers=frozenset(), target=target, header=header, cell_chars=MAX_LINE_CHARS
    )


def text_layout(first: bytes, data: DataContract) -> tuple[Form, tuple[str, ...], int, int]:
    """How a text is to be read, by its first block.

    Returns:
        Form, names of all columns, last line of the header, and the bytes up to its end.

    Raises:
        RejectedError: the columns cannot be told; "reason; remedy", and no cell of data is shown.
    """
    wanted = _wanted(data)
    if first[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise RejectedError("it is UTF-16; save it as UTF-8")
    if not first.strip():
        raise RejectedError("the file is empty; copy it again")
    if wanted.header:
        layout, line, taken = headers.headerless(first, wanted)
        row, _ = first_row(first, layout.form)
        assert row is not None
        return layout.form, tuple(cell.strip() for cell in row.cells) if line else wanted.header, line, taken
    try:
        layout, line, taken = headers.with_header(first, wanted)
    except RejectedError as error:
        found = (first_row(first, Form(sign, sign != SPACES, MAX_LINE_CHARS))[0] for sign in (*DELIMITERS, SPACES))
        if any(set(wanted.names) & set(row.cells) for row in found if row is not None):
            raise
        raise RejectedError(
            "its first line names none of the line's columns, so its private ones cannot be told; add a header line"
        ) from error  # a first line that is data must not be shown
    row, _ = first_row(first, layout.form)
    assert row is not None
    return layout.form, (*row.cells, *[""] * (layout.width - len(row.cells))), line, taken
