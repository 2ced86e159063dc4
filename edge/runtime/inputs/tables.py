"""Files of rows as a line reads them: text with commas, semicolons, tabs or spaces between cells, JSON, Parquet, Arrow.

Text and JSON may be packed by gzip. A file is told by its content; rows are read one after another, so that a file of
many costs the memory of one.
"""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import json
import re
import reprlib
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.contracts import RowFiles
from edge.errors import RejectedError
from edge.runtime.inputs.columnar import typed_rows
from edge.runtime.inputs.rows import parse_list
from edge.runtime.inputs.written import PLAIN

MAX_JSON_BYTES = 16 * 1024 * 1024
MAX_LINE_CHARS = 4 * 1024 * 1024
SAMPLE_CHARS = 1024 * 1024
"""Characters from which the delimiter and the header are told."""
SPACES = " "
_SEP = re.compile(r'"?sep=([,;\t])"?\r?\n', re.IGNORECASE)
_BINARY = (b"PAR1", b"ARROW1", b"\xff\xff\xff\xff")
_REFUSED = {
    b"PK\x03\x04": "a zip archive or an Excel workbook; unpack it, or export it as CSV",
    b"\xd0\xcf\x11\xe0": "an Excel workbook; export it as CSV",
    b"BZh": "packed by bzip2; unpack it",
    b"\xfd7zXZ\x00": "packed by xz; unpack it",
    b"\x28\xb5\x2f\xfd": "packed by zstd; unpack it",
}


@dataclass(frozen=True)
class Row:
    """One row of a file: its cells by column (or a list of them, as JSON may have), or why it cannot be read.

    `files` says how its cells of text are written; JSON has a form of its own.
    """

    place: str
    cells: Mapping[str, Any] | Sequence[Any] | None
    problem: str = ""
    files: RowFiles = PLAIN


@dataclass(frozen=True)
class _Layout:
    """How a text is written: what stands between cells, whether quotes count, and the names of all columns."""

    delimiter: str
    quotes: bool
    names: tuple[str, ...]
    has_header: bool


def read_rows(path: Path, wanted: Sequence[str], files: RowFiles) -> Iterator[Row]:
    """Every row of a file, in order; one that is malformed says why.

    Args:
        wanted: columns that the file must have.
        files: how files of the line are written.

    Raises:
        RejectedError: the file as a whole cannot be read; what was read before stands.
    """
    with path.open("rb") as raw:
        head = raw.read(8)
    for magic, text in _REFUSED.items():
        if head.startswith(magic):
            raise RejectedError(text)
    if head.startswith(_BINARY):
        yield from (Row(place, cells, files=files) for place, cells in typed_rows(path, wanted, files))
        return
    with opened_text(path) as stream:
        sample = stream.read(SAMPLE_CHARS)
        stream.seek(0)
        if not sample.strip():
            raise RejectedError("the file is empty")
        if sample.lstrip().startswith(("{", "[")):
            yield from _json_rows(sample, stream)
        else:
            yield from _text_rows(sample, stream, wanted, files)


@contextmanager
def opened_text(path: Path) -> Iterator[io.TextIOBase]:
    """A file's text in UTF-8, unpacked where gzip packed it. Raises RejectedError, also while it is read."""
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            stream: Any = gzip.GzipFile(fileobj=raw, mode="rb") if packed else raw
            with io.TextIOWrapper(stream, encoding="utf-8-sig", newline="") as text:
                yield text
    except UnicodeDecodeError as error:
        raise RejectedError(f"not text in UTF-8 ({error.reason} at byte {error.start})") from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise RejectedError(f"damaged gzip ({error}); pack it again") from error


def _json_rows(sample: str, stream: io.TextIOBase) -> Iterator[Row]:
    """A list, an object, or an object per line (JSON lines)."""
    lines = [line for line in sample.splitlines() if line.strip()]
    if lines[0].lstrip().startswith("{") and len(lines) > 1 and _is_json(lines[0]):
        for number, line in enumerate(_lines(stream), 1):
            if line.strip():
                yield _json_line(f"line {number}", line)
        return
    text = stream.read(MAX_JSON_BYTES)
    if stream.read(1):
        raise RejectedError(f"more than {MAX_JSON_BYTES:,} bytes of JSON; write an object per line")
    if text.lstrip().startswith("{"):
        yield _json_line("row 1", text)
        return
    for number, item in enumerate(parse_list(text, "rows"), 1):
        if isinstance(item, (dict, list)):
            yield Row(f"row {number}", item)
        else:
            raise RejectedError(f"row {number}: not a JSON object of columns, nor a list of values")


def _json_line(place: str, text: str) -> Row:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        return Row(place, None, f"not a JSON object of columns and numbers ({error})")
    return Row(place, found) if isinstance(found, dict) else Row(place, None, "not a JSON object of columns")


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _lines(stream: io.TextIOBase) -> Iterator[str]:
    """Lines with their ends: carriage returns, line feeds or both. Raises RejectedError where one is endless."""
    for line in iter(lambda: stream.readline(MAX_LINE_CHARS), ""):
        if len(line) == MAX_LINE_CHARS:
            raise RejectedError(f"a line of more than {MAX_LINE_CHARS:,} characters; it is no file of rows")
        yield line


def _text_rows(sample: str, stream: io.TextIOBase, wanted: Sequence[str], files: RowFiles) -> Iterator[Row]:
    lines, before, delimiters = _sample_lines(sample)[files.skip_lines :], files.skip_lines, ""
    if lines and (found := _SEP.fullmatch(lines[0])):
        delimiters, lines, before = found.group(1), lines[1:], before + 1
    layout = layout_of("".join(lines), wanted, files, delimiters)
    skipped = False
    for number, cells in _cells(itertools.islice(_lines(stream), before, None), layout):
        place = f"line {number + before}"
        if isinstance(cells, str):
            yield Row(place, None, cells)
        elif layout.has_header and not skipped:
            skipped = True
        elif len(cells) != len(layout.names):
            what = "the header has" if layout.has_header else "the line's files have"
            yield Row(place, None, f"{place} has {len(cells)} cells, {what} {len(layout.names)}")
        elif len(cells) > 1 and tuple(_name(cell, wanted) for cell in cells) == layout.names:
            yield Row(place, None, "the row names the columns again; take it out")
        else:
            yield Row(place, dict(zip(layout.names, cells, strict=True)), files=files)


def _sample_lines(sample: str) -> list[str]:
    return list(io.StringIO(sample, newline=""))


def layout_of(sample: str, wanted: Sequence[str], files: RowFiles, delimiters: str = "") -> _Layout:
    """How a text is written, told as the platform's readers tell it. Raises RejectedError where columns are missing.

    Args:
        delimiters: those that it may have; "" for commas, semicolons, tabs and spaces.
    """
    quoted = [_Layout(one, one != SPACES, (), True) for one in delimiters or ",;\t "]
    firsts = {form: tuple(_name(cell, wanted) for cell in _first(sample, form, 1)[0]) for form in quoted}

    def named(form: _Layout) -> tuple[int, int]:
        cells = firsts[form]
        return len(set(wanted) & set(cells)), 0 if form.delimiter == SPACES else len(cells)

    best = max(quoted, key=named)
    missing = [name for name in wanted if name not in firsts[best]]
    if not missing or not files.header:
        if len(set(filled := [name for name in firsts[best] if name])) != len(filled):
            raise RejectedError("a column is named twice in the header")
        if missing:
            raise RejectedError(
                f"column {missing[0]!r} is missing; its header has {', '.join(map(reprlib.repr, firsts[best][:8]))}"
            )
        return _Layout(best.delimiter, best.quotes, firsts[best], True)
    plain = [_Layout(one, one not in "\t ", files.header, False) for one in delimiters or "\t,; "]
    widths = {form: [len(cells) for cells in _first(sample, form, 100)] for form in plain}
    form = max(plain, key=lambda one: widths[one].count(len(files.header)))
    if not widths[form].count(len(files.header)):
        most = max(itertools.chain.from_iterable(widths.values()))
        raise RejectedError(f"its first rows have at most {most} cells, files of this line have {len(files.header)}")
    return form


def _name(cell: str, wanted: Sequence[str]) -> str:
    return cell if cell in wanted else cell.strip()


def _first(sample: str, form: _Layout, count: int) -> list[list[str]]:
    """The first rows that can be read; at least one, which may be empty."""
    rows = (cells for _, cells in _cells(iter(_sample_lines(sample)), form) if not isinstance(cells, str))
    return list(itertools.islice(rows, count)) or [[]]


def _cells(lines: Iterator[str], form: _Layout) -> Iterator[tuple[int, list[str] | str]]:
    """Number of its last line, and the cells of each row that is not blank; in their stead why they cannot be read."""
    if form.delimiter == SPACES:
        yield from ((number, words) for number, line in enumerate(lines, 1) if (words := line.split()))
        return
    if form.quotes:
        reader = csv.reader(lines, delimiter=form.delimiter, strict=True)
    else:
        reader = csv.reader(lines, delimiter=form.delimiter, strict=True, quoting=csv.QUOTE_NONE)
    while True:
        before = csv.field_size_limit(MAX_LINE_CHARS)  # the module has one limit for everybody
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield reader.line_num, f"not a CSV file ({error})"
            continue
        finally:
            csv.field_size_limit(before)
        if len(cells) > 1 or "".join(cells).strip():
            yield reader.line_num, cells
