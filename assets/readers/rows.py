"""Opens a file of rows, whatever its form, and gives the wanted columns of its rows in blocks.

Its form is told by its content: Parquet, Arrow IPC (Feather), or text with commas, semicolons, tabs or spaces between
cells, plain or packed by gzip. A file is refused as a whole where its header or its form is wrong.
"""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, cast

from assets.errors import LandingError, RejectedError
from assets.readers import columnar
from assets.readers.csvblocks import Block, Layout, text_blocks
from assets.readers.csvrows import DELIMITERS, SPACES, Blocks, Form, Lines, first_row, rows_of
from assets.readers.files import Files
from assets.records.batch import LandedFile
from assets.records.limits import FREE_BYTES, MAX_CELL_CHARS, MAX_COLUMNS, MAX_RATIO
from assets.records.paths import declared_split, shown
from assets.records.reason import Reason, refusal

DELIMITED = (".csv", ".tsv", ".tab")
BINARY = (".parquet", ".pq", ".arrow", ".feather", ".ipc")
PLAIN = (".txt", ".dat", ".data")
_BOM = b"\xef\xbb\xbf"
_LOOKED_AT = 100
"""Rows of a file without a header line that are looked at to tell its delimiter."""

REFUSED = {
    b"PK\x03\x04": "it is a zip archive or an Excel workbook, not a table; export it as CSV",
    b"\xd0\xcf\x11\xe0": "it is an Excel workbook, not a table; export it as CSV",
    b"\xff\xfe\x00\x00": "it is UTF-32; save it as UTF-8",
    b"\x00\x00\xfe\xff": "it is UTF-32; save it as UTF-8",
    b"\xff\xfe": "it is UTF-16; save it as UTF-8",
    b"\xfe\xff": "it is UTF-16; save it as UTF-8",
    b"FEA1": "it is Feather of version 1; write it as Parquet",
    b"BZh": "it is packed by bzip2; unpack it, or pack it by gzip",
    b"\xfd7zXZ\x00": "it is packed by xz; unpack it, or pack it by gzip",
    b"\x28\xb5\x2f\xfd": "it is packed by zstd; unpack it, or pack it by gzip",
}


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
    """

    section: str
    names: tuple[str, ...]
    numbers: frozenset[str]
    target: str = ""
    header: tuple[str, ...] = ()
    cell_chars: int = MAX_CELL_CHARS
    only: tuple[str, ...] = ()

    @property
    def read(self) -> tuple[str, ...]:
        """The columns that are read."""
        return self.only or self.names


def is_named_as_rows(path: str, plain: bool) -> bool:
    """Whether a file is one of rows by its name; `plain` takes .txt, .dat, .data and names without a dot too."""
    name = path.rsplit("/", 1)[-1].lower().removesuffix(".gz")
    return name.endswith((*DELIMITED, *BINARY, *(PLAIN if plain else ()))) or (plain and "." not in name)


def split_of(path: str) -> str:
    """The split that a file's first folder declares, else its name: train.csv, test_1.csv; "" for others."""
    folder, _, name = path.rpartition("/")
    if folder and (split := declared_split(folder.split("/", 1)[0])):
        return split
    stem = name.split(".", 1)[0].lower()
    first = re.split(r"[-_]", stem, maxsplit=1)[0]
    return declared_split(stem) or (declared_split(first) if first in {"train", "validation", "test"} else None) or ""


def read_blocks(file: LandedFile, source: Files, wanted: Wanted) -> Iterator[Block | Reason]:
    """The rows of a file, in order, and a refusal for each that cannot be read, or for the file.

    Raises:
        LandingError: `source` found a fault of the landing zone, which says nothing about the data.
    """
    try:
        empty = True
        with source.open(file) as stream:
            for item in _opened(file, stream, wanted):
                empty = False
                yield item
        if empty:
            raise RejectedError("it has a header, but no rows; export it again with its rows")
    except LandingError:
        raise
    except RejectedError as error:
        yield refusal(file.path, "whole file", str(error))


def _opened(file: LandedFile, stream: BinaryIO, wanted: Wanted) -> Iterator[Block | Reason]:
    head = stream.read(8)
    stream.seek(0)
    for magic, text in REFUSED.items():
        if head.startswith(magic):
            raise RejectedError(text)
    if head.startswith((b"PAR1", b"ARROW1", b"\xff\xff\xff\xff")):
        return columnar.typed_blocks(
            file, stream, wanted.read, wanted.numbers, lambda names: _check_names(names, wanted), wanted.cell_chars
        )
    if head.startswith(b"\x1f\x8b"):
        stream = cast(BinaryIO, Unpacked(stream, file.size))
    return _text(file.path, stream, wanted)


class Unpacked:
    """Reads what gzip packed. Raises RejectedError where it unpacks to absurdly much, or is damaged."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._file = gzip.GzipFile(fileobj=stream, mode="rb")
        self._most = max(FREE_BYTES, MAX_RATIO * size)
        self._total = 0

    def read(self, count: int) -> bytes:
        """At most `count` bytes; b"" at the end."""
        try:
            data = self._file.read(count)
        except (OSError, EOFError, zlib.error) as error:
            raise RejectedError(f"it is damaged gzip ({error}); pack it again") from error
        self._total += len(data)
        if self._total > self._most:
            raise RejectedError(f"it unpacks to more than {MAX_RATIO} times its size; land it unpacked")
        return data


def _text(path: str, stream: BinaryIO, wanted: Wanted) -> Iterator[Block | Reason]:
    blocks = Blocks(stream)
    first = blocks.take().removeprefix(_BOM)
    if first[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise RejectedError("it is UTF-16; save it as UTF-8")
    if not first.strip():
        raise RejectedError("the file is empty; copy it again")
    if wanted.header:
        layout, line, taken = headerless(first, wanted)
    else:
        layout, line, taken = with_header(first, wanted)
    blocks.put_back(first[taken:])
    return text_blocks(path, blocks, line, layout)


def _layout(form: Form, names: Sequence[str], wanted: Wanted) -> Layout:
    positions = {name: index for index, name in enumerate(names)}
    return Layout(form, len(names), {name: positions[name] for name in wanted.read}, wanted.numbers & set(wanted.read))


def with_header(first: bytes, wanted: Wanted) -> tuple[Layout, int, int]:
    """Layout by the header line, its last line, and how many bytes it takes. Raises RejectedError."""
    forms = [Form(delimiter, delimiter != SPACES, wanted.cell_chars) for delimiter in (*DELIMITERS, SPACES)]
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
    _check_names(row.cells, wanted)
    return _layout(form, row.cells, wanted), row.last, taken


def headerless(first: bytes, wanted: Wanted) -> tuple[Layout, int, int]:
    """Layout by the contract's `header`; a first line that is exactly these names is a header line.

    With tabs between cells a quote mark is a character like others: files without a header line come from tools that
    do not quote.
    """
    forms = [Form(delimiter, delimiter not in {"\t", SPACES}, wanted.cell_chars) for delimiter in "\t,; "]

    def fit(form: Form) -> tuple[int, int]:
        found = rows_of(Lines(first, Blocks(io.BytesIO()), 0), form)
        widths = [len(row.cells) for row, _ in zip(found, range(_LOOKED_AT), strict=False)]
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
    if row is not None and tuple(cell.strip() for cell in row.cells) == wanted.header:
        return _layout(form, wanted.header, wanted), row.last, taken
    return _layout(form, wanted.header, wanted), 0, 0


def _check_names(names: Sequence[str], wanted: Wanted) -> None:
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
