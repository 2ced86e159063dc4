"""What is taken out of files when they land, so that no raw private value is ever stored.

Pictures lose their metadata (`strip`). In files of rows, whatever their form, columns that the contract drops go, and
values of columns that it pseudonymizes become tokens (`tokens`). Lines stay lines, so refusals name the same ones. A
row that cannot be mapped to columns loses all its cells; a file in which the columns cannot be found does not land.
The same file gives the same bytes, and what was filtered once is not changed again.

Left alone: columns that the contract does not name, names of files, and `*.records.parquet`, which only this platform
writes, of records that were filtered before. Files C-MAPSS calls RUL_*, one number a line, have no private column.
"""

from __future__ import annotations

import re
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, cast

from assets.data import DataContract
from assets.errors import RejectedError
from assets.ingest.limits import MAX_IMAGE_BYTES, MAX_LINE_CHARS, RETURNED_SUFFIX
from assets.ingest.readers import rows
from assets.ingest.readers.csvrows import DELIMITERS, SPACES, Blocks, Form, Lines, Row, first_row, rows_of
from assets.ingest.strip import strip_picture
from assets.ingest.tokens import Tokens, pseudonym_key
from assets.line import Line
from assets.store import Store

UNREADABLE = "unreadable"
"""Stands for a row that was no row: one cell, so it is refused as it was."""
NO_CELL = "nan"
"""A cell without a value, where spaces stand between cells."""
_WRITE_BYTES = 1024**2


@dataclass(frozen=True)
class Protection:
    """A line's privacy policy, ready to be applied.

    Attributes:
        key: of the pseudonyms; b"" where the line has none.
    """

    data: DataContract
    line: str
    key: bytes = b""

    @property
    def columns(self) -> bool:
        """Whether any column is dropped or pseudonymized."""
        return bool(self.data.privacy.pseudonymize or self.data.privacy.drop)

    def applies(self, path: str) -> bool:
        """Whether a file of this name may have to be changed."""
        if path.lower().endswith(RETURNED_SUFFIX):
            return False
        if self.data.reader == "image_folder":
            return self.data.privacy.strip_metadata
        return self.data.reader in {"table", "series", "text"} and self.columns and not self._is_remaining(path)

    def filter(self, path: str, source: BinaryIO, size: int, target: BinaryIO) -> bool:
        """Write what may be kept of a file to `target`; False where the file may be kept as it is.

        Args:
            source: seekable, at its start.
            size: its bytes.

        Raises:
            RejectedError: what is private in it cannot be found; "reason; remedy". It must not land.
        """
        if not self.applies(path):
            return False
        if self.data.image is not None:
            if size > MAX_IMAGE_BYTES:
                raise RejectedError(f"{size:,} bytes are more than {MAX_IMAGE_BYTES:,}; make the file smaller")
            content = source.read()
            stripped = strip_picture(content)
            if stripped != content:
                target.write(stripped)
            return stripped != content
        self._rows(path, source, size, target)
        return True

    def _is_remaining(self, path: str) -> bool:
        series = self.data.series
        return series is not None and series.remaining and path.rsplit("/", 1)[-1].lower().startswith("rul_")

    def _rows(self, path: str, source: BinaryIO, size: int, target: BinaryIO) -> None:
        if not rows.is_named_as_rows(path, plain=True):
            raise RejectedError("not a table by its name, and the line has private columns; leave it out")
        head = source.read(8)
        source.seek(0)
        tokens = Tokens(self.key, self.line)
        policy = self.data.privacy
        for magic, text in rows._REFUSED.items():
            if head.startswith(magic):
                raise RejectedError(text)
        if head.startswith((b"PAR1", b"ARROW1", b"\xff\xff\xff\xff")):
            from assets.ingest.privacy_typed import filter_typed

            filter_typed(source, size, target, policy, tokens)
        elif head.startswith(b"\x1f\x8b"):
            packed = zlib.compressobj(6, wbits=31)  # gzip without a name or a time
            try:
                for piece in self._text(cast(BinaryIO, rows.Unpacked(source, size)), tokens):
                    target.write(packed.compress(piece))
            except _CutShortError:  # damaged gzip: what came before it is kept, and its end stays missing
                target.write(packed.flush(zlib.Z_SYNC_FLUSH))
            else:
                target.write(packed.flush())
        else:
            for piece in self._text(source, tokens):
                target.write(piece)

    def _text(self, stream: BinaryIO, tokens: Tokens) -> Iterator[bytes]:
        blocks = Blocks(stream)
        first = blocks.take().removeprefix(b"\xef\xbb\xbf")
        wanted = _wanted(self.data)
        form, names, line, taken = _layout(first, wanted)
        blocks.put_back(first[taken:])
        columns = _Columns(names, self.data, tokens)
        writer = _Writer(form, columns, headerless=bool(wanted.header))
        if taken:
            yield writer.header(line)
        try:
            while block := blocks.take():
                lines = Lines(block, blocks, line)
                for row in rows_of(lines, form):
                    writer.row(row)
                    if writer.waiting >= _WRITE_BYTES:
                        yield writer.take()
                line = lines.number
        except RejectedError as error:
            yield writer.take()
            raise _CutShortError from error
        yield writer.end(line)


def protection(store: Store, line: Line) -> Protection:
    """The line's policy; a key for its pseudonyms is made on first use.

    Raises:
        RejectedError: the key cannot be read or kept.
    """
    data = line.config.data
    key = pseudonym_key(store, line.name) if data.privacy.pseudonymize else b""
    return Protection(data, line.name, key)


def filtered(protect: Protection, path: str, source: BinaryIO, size: int) -> BinaryIO:
    """A seekable stream of what may be read of a file; `source` itself, at its start, where that is all of it.

    Raises:
        RejectedError: as `Protection.filter` does.
    """
    if not protect.applies(path):
        return source
    target = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115 - the caller closes it
    try:
        changed = protect.filter(path, source, size, target)
    except BaseException:
        target.close()
        raise
    if not changed:
        target.close()
        source.seek(0)
        return source
    source.close()
    target.seek(0)
    return target


class _CutShortError(Exception):
    """The packed text ends in damage."""


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
            width = len(names) - (0 if self._blank else len(self._columns.dropped))
            if len(row.cells) in {0, 1, width} or self._delimiter == SPACES:  # of that width it would look sound
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


def _wanted(data: DataContract) -> rows.Wanted:
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
    return rows.Wanted(
        section=section, names=kept, numbers=frozenset(), target=target, header=header, cell_chars=MAX_LINE_CHARS
    )


def _layout(first: bytes, wanted: rows.Wanted) -> tuple[Form, tuple[str, ...], int, int]:
    """Form, names of all columns, last line of the header and its bytes. Raises RejectedError that shows no cell."""
    if first[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise RejectedError("it is UTF-16; save it as UTF-8")
    if not first.strip():
        raise RejectedError("the file is empty; copy it again")
    if wanted.header:
        layout, line, taken = rows._headerless(first, wanted)
        return layout.form, wanted.header, line, taken
    try:
        layout, line, taken = rows._with_header(first, wanted)
    except RejectedError as error:
        found = (first_row(first, Form(sign, sign != SPACES, MAX_LINE_CHARS))[0] for sign in (*DELIMITERS, SPACES))
        if any(set(wanted.names) & set(row.cells) for row in found if row is not None):
            raise
        raise RejectedError(
            "its first line names none of the line's columns, so its private ones cannot be told; add a header line"
        ) from error  # a first line that is data must not be shown
    row, _ = first_row(first, layout.form)
    assert row is not None
    return layout.form, row.cells, line, taken
