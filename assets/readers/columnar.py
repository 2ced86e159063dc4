"""Rows of Parquet and Arrow IPC files (Feather too), in blocks of typed columns.

Sizes that a file declares are checked before anything is unpacked (`pages`, `frames`). Only wanted columns are read;
texts as dictionaries, so that a million rows of one long text take the memory of one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from assets.errors import RejectedError
from assets.readers.cells import is_numeric, is_text
from assets.readers.csvblocks import ROWS_TOGETHER, Block
from assets.readers.frames import check_frames
from assets.readers.pages import check_pages, read_footer
from assets.records.batch import LandedFile
from assets.records.limits import MAX_COLUMNS, MAX_FOOTER_BYTES, MAX_REFUSED_ROWS, MAX_ROWS
from assets.records.paths import shown
from assets.records.reason import Reason, refusal

DAMAGE = (
    pa.ArrowException,
    OSError,
    ValueError,
    KeyError,
    TypeError,
    IndexError,
    MemoryError,
    OverflowError,
    SystemError,
)
"""What pyarrow raises on a damaged file."""
THRIFT_LIMITS = {"thrift_string_size_limit": MAX_FOOTER_BYTES, "thrift_container_size_limit": 2_000_000}
Check = Callable[[Sequence[str]], Sequence[str]]
_VALUES_TOGETHER = 4_000_000
_TEXT_TOGETHER = 32 * 1024**2


def typed_blocks(
    file: LandedFile,
    stream: BinaryIO,
    names: Sequence[str],
    numbers: frozenset[str],
    check: Check,
    cell_chars: int,
) -> Iterator[Block | Reason]:
    """The rows of a Parquet or Arrow IPC file, and a refusal for each with a text that is too long or not UTF-8.

    Args:
        names: the wanted columns.
        numbers: those of them that must hold numbers (or text that says numbers).
        check: what the file calls the wanted columns, of all its columns; raises RejectedError where they do not fit.
        cell_chars: characters of the longest text that is read.

    Raises:
        RejectedError: not such a file, damaged, or beyond a limit; "reason; remedy".
    """
    parquet = stream.read(4) == b"PAR1"
    stream.seek(0)
    kind = "Parquet" if parquet else "Arrow"
    first, refused = 1, 0
    try:
        named = _Named(names, numbers, check)
        for batch in _parquet(file, stream, named) if parquet else _ipc(stream, named):
            for item in _block(file.path, batch, first, names, cell_chars):
                refused += isinstance(item, Reason)
                yield item
            if refused > MAX_REFUSED_ROWS:
                raise RejectedError(
                    f"more than {MAX_REFUSED_ROWS:,} of its rows cannot be read, the rest was not read; write it again"
                )
            first += batch.num_rows
            if first - 1 > MAX_ROWS:
                raise RejectedError(f"it has more than {MAX_ROWS:,} rows; split it into more files")
    except RejectedError:
        raise
    except DAMAGE as error:
        text = (str(error).splitlines() or [""])[0][:160] or type(error).__name__
        raise RejectedError(f"it is not a readable {kind} file ({text}); write it again") from error


@dataclass(frozen=True)
class _Named:
    """The wanted columns, which of them hold numbers, and what finds them in a file."""

    names: Sequence[str]
    numbers: frozenset[str]
    check: Check

    def own(self, there: Sequence[str]) -> dict[str, str]:
        """What the file calls a wanted column, to what the contract calls it. Raises RejectedError."""
        return dict(zip(self.check(there), self.names, strict=True))

    def check_types(self, schema: pa.Schema, own: Mapping[str, str]) -> None:
        """Raise RejectedError where a column's type is none that is read."""
        _check_types(schema, list(own), frozenset(name for name, wanted in own.items() if wanted in self.numbers))


def _renamed(batch: pa.RecordBatch, own: Mapping[str, str]) -> pa.RecordBatch:
    return batch.rename_columns([own[name] for name in batch.schema.names])


def _parquet(file: LandedFile, stream: BinaryIO, wanted: _Named) -> Iterator[pa.RecordBatch]:
    footer = read_footer(stream, file.size)
    if footer.rows > MAX_ROWS:
        raise RejectedError(f"it has {footer.rows:,} rows, at most {MAX_ROWS:,} are read; split it")
    own = wanted.own(footer.names)
    names = list(own)
    if nested := [name for name in names if name not in footer.plain]:
        raise RejectedError(f"its column {shown(nested[0])} is nested; write it as numbers or text")
    check_pages(stream, footer, names)
    stream.seek(0)
    schema = pq.ParquetFile(pa.PythonFile(stream, "r"), pre_buffer=False, **THRIFT_LIMITS).schema_arrow
    wanted.check_types(schema, own)
    texts = [name for name in names if is_text(_plain_type(schema.field(name).type))]
    stream.seek(0)
    opened = pq.ParquetFile(pa.PythonFile(stream, "r"), pre_buffer=False, read_dictionary=texts, **THRIFT_LIMITS)
    together = max(1, min(ROWS_TOGETHER, _VALUES_TOGETHER // len(names)))
    for batch in opened.iter_batches(together, columns=names, use_threads=False):
        yield _renamed(batch, own)


def _ipc(stream: BinaryIO, wanted: _Named) -> Iterator[pa.RecordBatch]:
    start = 8 if stream.read(6) == b"ARROW1" else 0  # a file is a stream between two marks
    check_frames(stream, start)
    stream.seek(start)
    schema = pa.ipc.open_stream(pa.PythonFile(stream, "r")).schema
    own = wanted.own(schema.names)
    names = list(own)
    wanted.check_types(schema, own)
    options = pa.ipc.IpcReadOptions(use_threads=False, included_fields=[schema.get_field_index(name) for name in names])
    stream.seek(start)
    together = max(1, min(ROWS_TOGETHER, _VALUES_TOGETHER // len(names)))
    for batch in pa.ipc.open_stream(pa.PythonFile(stream, "r"), options=options):
        for column in batch.columns:
            _check_array(column)
        for begin in range(0, batch.num_rows, together):
            yield _renamed(batch.slice(begin, together), own)


def _check_array(column: pa.Array) -> None:
    """Raise ArrowInvalid where an array's parts contradict each other; whether texts are UTF-8 is seen later."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        _check_array(column.dictionary)
        numbers_only = pa.array(range(len(column.dictionary)), pa.int64())
        pa.DictionaryArray.from_arrays(column.indices, numbers_only, safe=True)
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        column.view(pa.binary() if pa.types.is_string(kind) else pa.large_binary()).validate(full=True)
    elif pa.types.is_string_view(kind):
        column.view(pa.binary_view()).validate(full=True)
    else:
        column.validate(full=True)


def _check_types(schema: pa.Schema, names: Sequence[str], numbers: frozenset[str]) -> None:
    if len(schema) > MAX_COLUMNS:
        raise RejectedError(f"it has {len(schema):,} columns, at most {MAX_COLUMNS:,} are read; leave some out")
    for name in names:
        kind = _plain_type(schema.field(name).type)
        sound = is_text(kind) or is_numeric(kind) or pa.types.is_null(kind)
        if not sound and not (name not in numbers and pa.types.is_temporal(kind)):
            what = "numbers" if name in numbers else "text"
            raise RejectedError(f"its column {shown(name)} holds {kind}; write it as {what}")


def _plain_type(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _block(
    path: str, batch: pa.RecordBatch, first: int, names: Sequence[str], cell_chars: int
) -> Iterator[Block | Reason]:
    places = np.arange(first, first + batch.num_rows, dtype=np.int64)
    bad: dict[int, str] = {}
    columns = {}
    for name in names:
        columns[name] = batch.column(batch.schema.get_field_index(name))
        bad |= _bad_texts(columns[name], cell_chars, name)
    if bad:
        for row, problem in sorted(bad.items()):
            yield refusal(path, f"row {places[row]}", problem)
        sound = np.setdiff1d(np.arange(batch.num_rows), np.fromiter(bad, dtype=np.int64))
        columns = {name: column.take(pa.array(sound)) for name, column in columns.items()}
        places = places[sound]
    yield from _halved(Block(places, columns))


def _halved(block: Block) -> Iterator[Block]:
    """The block in parts whose texts, each written out, take a bounded number of bytes."""
    rows = len(block.places)
    if rows > 1 and sum(map(_text_bytes, block.columns.values())) > _TEXT_TOGETHER:
        yield from _halved(block.part(0, rows // 2))
        yield from _halved(block.part(rows // 2, rows - rows // 2))
    elif rows:
        yield block


def _text_bytes(column: pa.Array) -> int:
    if not pa.types.is_dictionary(column.type):
        return int(column.nbytes) if is_text(column.type) else 0
    if not is_text(column.type.value_type):
        return 0
    return int(pc.sum(pc.binary_length(column.dictionary).take(column.indices).cast(pa.int64())).as_py() or 0)


def _bad_texts(column: pa.Array, cell_chars: int, name: str) -> dict[int, str]:
    """Rows whose text is too long or not UTF-8; Arrow itself checks neither."""
    if pa.types.is_dictionary(column.type):
        inner = _bad_texts(column.dictionary, cell_chars, name)
        if not inner:
            return {}
        codes = column.indices.to_pylist()
        return {row: inner[code] for row, code in enumerate(codes) if code in inner}
    if not is_text(column.type) or not len(column):
        return {}
    if pa.types.is_string_view(column.type):
        column = column.cast(pa.string())
    try:
        column.validate(full=True)
        if (pc.max(pc.binary_length(column)).as_py() or 0) <= cell_chars:
            return {}
    except pa.ArrowInvalid:
        pass
    raw = (column.view(pa.binary()) if pa.types.is_string(column.type) else column.view(pa.large_binary())).to_pylist()
    found = {row: _text_problem(value, cell_chars) for row, value in enumerate(raw) if value is not None}
    return {row: f"column {shown(name)}: {problem}" for row, problem in found.items() if problem}


def _text_problem(value: bytes, cell_chars: int) -> str:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return "its text is not UTF-8; write it as UTF-8"
    if len(text) > cell_chars:
        return f"its text is longer than {cell_chars:,} characters; shorten it"
    return ""
