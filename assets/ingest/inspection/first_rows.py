"""The first rows of a file of any of the formats that are read, and what in them is no record: titles, units, sums."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, BinaryIO, cast

import pyarrow as pa

from assets.errors import RejectedError
from assets.ingest.inspection.cell_forms import readable
from assets.ingest.inspection.headers import header_of
from assets.ingest.inspection.odd_rows import header_at, sums, told, units_below
from assets.ingest.inspection.source_files import SourceFiles
from assets.readers.cells import number
from assets.readers.columnar import typed_blocks
from assets.readers.csvrows import BLOCK_BYTES, Blocks, Form, Lines, rows_of
from assets.readers.frames import check_frames
from assets.readers.pages import read_footer
from assets.readers.rows import without_sep
from assets.records.batch import LandedFile
from assets.records.limits import MAX_CELL_CHARS, MAX_COLUMNS
from assets.records.paths import shown

LOOKED_AT = 5_000
"""Rows of a file that are looked at."""
_END_BYTES = 4096
_FORMS = {",": "comma", ";": "semicolon", "\t": "tab", " ": "spaces"}


@dataclass(frozen=True)
class Rows:
    """A file's first rows.

    Attributes:
        names: of all columns; made up where there is no header line.
        header: whether there is a header line.
        form: "comma", "semicolon", "tab", "spaces", "Parquet" or "Arrow".
        cells: the rows, "" where there is no value.
        before: lines before the first row, a title for example.
        spaced: whether names of columns have spaces around them.
        odd: what people should know of it, a sentence each.
        aside: cells of rows that are no records, units or sums: no word of theirs is a class.
    """

    names: tuple[str, ...]
    header: bool
    form: str
    cells: list[tuple[str, ...]]
    before: int = 0
    spaced: bool = False
    odd: tuple[str, ...] = ()
    aside: frozenset[str] = frozenset()


def first_rows(file: LandedFile, source: SourceFiles) -> Rows | None:
    """The first rows of a file, or None where it holds none."""
    try:
        with source.open(file) as stream:
            head = stream.read(8)
            stream.seek(0)
            if head.startswith(b"PAR1"):
                return _parquet(file, stream)
            if head.startswith((b"ARROW1", b"\xff\xff\xff\xff")):
                return _arrow(stream)
            block = stream.read(BLOCK_BYTES // 4)
            if block.startswith(b"\x1f\x8b"):
                block = zlib.decompressobj(31).decompress(block, BLOCK_BYTES)
            end = block[-_END_BYTES:]
            if head[:2] != b"\x1f\x8b" and len(block) < file.size:
                stream.seek(file.size - _END_BYTES)
                end = stream.read(_END_BYTES)
        return _text(block.removeprefix(b"\xef\xbb\xbf"), len(block) < file.size, end)
    except (RejectedError, OSError, zlib.error, ValueError, KeyError, TypeError):
        return None


def _text(block: bytes, cut: bool, end: bytes) -> Rows | None:
    if cut:
        block = block[: block.rfind(b"\n") + 1]
    block, delimiters = without_sep(block)
    if not block.strip() or b"\0" in block[:4096] or block[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return None
    block, odd = _as_utf8(block)
    best: tuple[float, float, int, Form, list[tuple[str, ...]]] | None = None
    for delimiter in delimiters or ",;\t ":
        form = Form(delimiter, delimiter not in {"\t", " "}, 100_000)
        lines = Lines(block, Blocks(cast(BinaryIO, _Nothing())), 0)
        rows = [row.cells for row, _ in zip(rows_of(lines, form), range(LOOKED_AT), strict=False) if not row.problem]
        widths = Counter(map(len, rows))
        if not widths:
            continue
        width, times = max(widths.items(), key=lambda item: (item[1], item[0]))
        if width > MAX_COLUMNS:
            continue
        share = times / len(rows)
        score = (share if width > 1 else 0.0) - (0.3 if delimiter == " " else 0.0)
        rank = score, _numeric_share([row for row in rows if len(row) == width]), width
        if best is None or rank > best[:3]:
            best = *rank, form, rows
    if best is None:
        return None
    *_, width, form, rows = best
    if width == 1 and rows[0][0].count("|") and len({row[0].count("|") for row in rows if row}) == 1:
        odd = (*odd, "| stands between its cells, which is not read: write commas, semicolons or tabs")
    found = _table(block, form, _without_ends(rows, width), odd)
    return _with_end(found, form, end, width) if cut or len(rows) == LOOKED_AT else found


def _with_end(found: Rows, form: Form, end: bytes, width: int) -> Rows:
    """What was found, and the sums at the end of a file that is not looked at as a whole."""
    block, _ = _as_utf8(end[end.find(b"\n") + 1 :])
    last = rows_of(Lines(block, Blocks(cast(BinaryIO, _Nothing())), 0), form)
    rows = [*found.cells, *(row.cells for row in last if len(row.cells) == width and not row.problem)]
    added = sums(list(map(readable, rows)))
    aside = found.aside | {cell for row in added for cell in row}
    return replace(found, odd=(*found.odd, *told(None, added)), aside=aside)


def _table(block: bytes, form: Form, rows: list[tuple[str, ...]], odd: tuple[str, ...]) -> Rows:
    """Names and records of the rows of one width, and what of them is neither."""
    plain = list(map(readable, rows))
    at, header = header_at(plain)
    first, start = rows[at], at + 1 if header else at
    names = tuple(cell.strip() for cell in first) if header else tuple(f"c{n + 1}" for n in range(len(first)))
    units = rows[start] if header and len(rows) > start + 2 and units_below(plain[start:]) else None
    start += units is not None
    found = sums(plain[start:])
    added = [row for row, read in zip(rows[start:], plain[start:], strict=True) if read in found]
    again = [row for row in rows[start:] if header and row == first]
    kept = [row for row in rows[start:] if row not in added and row not in again] if added or again else rows[start:]
    before = _lines_before(block, form, first)
    aside = frozenset(cell for row in (*added, *again, units or ()) for cell in row)
    spaced = header and any(name != name.strip() for name in first)
    odd = (*odd, *told(units, added, len(again)))
    return Rows(names, header, _FORMS[form.delimiter], kept, before, spaced, odd, aside)


def _without_ends(rows: list[tuple[str, ...]], width: int) -> list[tuple[str, ...]]:
    """The rows of one width; where these end with a delimiter and a header above them does not, without that end."""
    fit = [row for row in rows if len(row) == width]
    above = [row for row in rows[: rows.index(fit[0])] if len(row) == width - 1]
    short = [readable(row[:-1]) for row in fit]
    if width > 2 and above and not any(row[-1].strip() for row in fit) and header_of(readable(above[-1]), short):
        return [above[-1], *(row[:-1] for row in fit)]
    return fit


def _as_utf8(block: bytes) -> tuple[bytes, tuple[str, ...]]:
    """A block as UTF-8, and a sentence where it is in another encoding: its rows are looked at, and will be refused."""
    try:
        block.decode()
    except UnicodeDecodeError as error:
        text = block.decode("cp1252", "replace")
        sign = block[error.start : error.start + 1].decode("cp1252", "replace")
        note = (
            f"it is not UTF-8 but Windows-1252 or Latin-1, as it seems: save it as UTF-8, else each line with a letter "
            f"such as {shown(sign)} is refused, and the file if its header has one"
        )
        return text.encode(), (note,)
    return block, ()


def _numeric_share(rows: Sequence[Sequence[str]]) -> float:
    """Share of cells of the first rows that are numbers: cut at the wrong mark, 1,5;2,5 has other cells too."""
    cells = [cell for row in rows[:50] for cell in readable(row)]
    return sum(number(cell)[1] is None for cell in cells) / max(1, len(cells))


def _lines_before(block: bytes, form: Form, wanted: Sequence[str]) -> int:
    """Lines before the first row of the table's width: a title, for example."""
    lines = Lines(block, Blocks(cast(BinaryIO, _Nothing())), 0)
    ended = (*wanted, "")  # where rows end with a delimiter and their header does not
    return next((row.first - 1 for row in rows_of(lines, form) if row.cells in (tuple(wanted), ended)), 0)


class _Nothing:
    def read(self, size: int) -> bytes:
        return b""


def _parquet(file: LandedFile, stream: BinaryIO) -> Rows | None:
    footer = read_footer(stream, file.size)
    names = tuple(name for name in footer.names if name in footer.plain)
    stream.seek(0)
    return _typed(typed_blocks(file, stream, names, frozenset(), lambda found: names, MAX_CELL_CHARS), names, "Parquet")


def _arrow(stream: BinaryIO) -> Rows | None:
    start = 8 if stream.read(6) == b"ARROW1" else 0
    check_frames(stream, start)
    stream.seek(start)
    names = tuple(pa.ipc.open_stream(pa.PythonFile(stream, "r")).schema.names)
    stream.seek(0)
    file = LandedFile("x", "0" * 64, 0)
    return _typed(typed_blocks(file, stream, names, frozenset(), lambda found: names, MAX_CELL_CHARS), names, "Arrow")


def _typed(blocks: Any, names: tuple[str, ...], form: str) -> Rows | None:
    for block in blocks:
        if not hasattr(block, "columns"):
            continue
        part = block.part(0, min(LOOKED_AT, len(block.places)))
        columns = [["" if cell is None else _word(cell) for cell in part.columns[name].to_pylist()] for name in names]
        spaced = any(name != name.strip() for name in names)
        return Rows(names, True, form, list(zip(*columns, strict=True)), spaced=spaced)
    return None


def _word(cell: Any) -> str:
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e15:
        return str(int(cell))
    return str(cell)
