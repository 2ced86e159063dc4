"""Takes single records out of a file's bytes, form by form; all else stays where it was."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, BinaryIO

from assets.errors import RejectedError
from assets.ingest.privacy.texts import text_layout
from assets.line.data import DataContract
from assets.readers.csvrows import Blocks, Lines, rows_of
from assets.records.forgotten import FORGOTTEN_REASON
from assets.records.limits import MAX_LINE_CHARS

if TYPE_CHECKING:
    import pyarrow as pa

LINE = "forgotten"
"""Stands for a row: one cell, so nothing reads it as a record."""
_ROWS_TOGETHER = 65_536


def blank_lines(data: DataContract, source: BinaryIO, firsts: frozenset[int]) -> Iterator[bytes]:
    """A text without the rows that begin on these lines; every line stays, and each of them has no cell.

    Args:
        source: seekable, at its start; it is read twice.
    """
    gone = _lines_of_rows(data, source, firsts)
    source.seek(0)
    text = io.TextIOWrapper(source, "utf-8", errors="surrogateescape", newline="")
    number, begins = 1, True
    while piece := text.readline(MAX_LINE_CHARS):
        ends = piece.endswith(("\n", "\r"))
        if number not in gone:
            yield piece.encode("utf-8", "surrogateescape")
        else:
            kept = LINE if begins and number in firsts else ""
            end = piece[len(piece.rstrip("\r\n")) :] if ends else ""
            yield f"{kept}{end}".encode()
        begins = ends
        number += ends
    text.detach()


def _lines_of_rows(data: DataContract, source: BinaryIO, firsts: frozenset[int]) -> set[int]:
    """Every line of the rows that begin on the lines `firsts`."""
    blocks = Blocks(source)
    first = blocks.take().removeprefix(b"\xef\xbb\xbf")
    form, _, number, taken = text_layout(first, data)
    blocks.put_back(first[taken:])
    found: set[int] = set()
    while block := blocks.take():
        lines = Lines(block, blocks, number)
        try:
            for row in rows_of(lines, form):
                if row.first in firsts:
                    found.update(range(row.first, row.last + 1))
        except RejectedError:
            break  # no record was ever read behind this
        number = lines.number
    return found | firsts


def blank_typed(source: BinaryIO, target: BinaryIO, rows: frozenset[int]) -> None:
    """A Parquet or Arrow file with rows (from 1) that have no value."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    head = source.read(6)
    source.seek(8 if head == b"ARROW1" else 0)
    if head.startswith(b"PAR1"):
        with pq.ParquetFile(pa.PythonFile(source, "r"), pre_buffer=False) as opened:
            schema = _nullable(opened.schema_arrow)
            with pq.ParquetWriter(target, schema, compression="zstd") as writer:
                for batch in _nulled(opened.iter_batches(_ROWS_TOGETHER, use_threads=False), rows, schema):
                    writer.write_batch(batch)
        return
    is_file = head == b"ARROW1"
    with pa.ipc.open_stream(pa.PythonFile(source, "r")) as opened:
        schema = _nullable(opened.schema)
        make = pa.ipc.new_file if is_file else pa.ipc.new_stream
        with make(target, schema, options=pa.ipc.IpcWriteOptions(unify_dictionaries=is_file)) as writer:
            for batch in _nulled(opened, rows, schema):
                writer.write_batch(batch)


def _nullable(schema: pa.Schema) -> pa.Schema:
    import pyarrow as pa

    return pa.schema([pa.field(field.name, field.type) for field in schema])


def _nulled(batches: Iterable[pa.RecordBatch], rows: frozenset[int], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    start = 1
    for batch in batches:
        count = batch.num_rows
        inside = {row - start for row in rows if start <= row < start + count}
        columns = batch.columns
        if inside:
            order = pa.array([None if row in inside else row for row in range(count)], pa.int64())
            columns = [column.take(order) for column in columns]
        yield pa.RecordBatch.from_arrays(columns, schema=schema)
        start += count


def blank_rows(content: bytes, ids: frozenset[str]) -> bytes:
    """A Parquet of records (column `id`, or `_id` of 32 bytes) in which these have no content; labels and files stay.

    The same bytes where none of them has any. Kept are id, label, split, file and rule: what counts are made of.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    empty: dict[str, object] = {
        "input": b"", "group": "", "time": None, "reason": FORGOTTEN_REASON, "remedy": "",
        "_phash": None, "_embedding": None, "_group": "", "_time": None, "drawn_by": None, "_drawn_by": None,
    }  # fmt: skip
    with pq.ParquetFile(io.BytesIO(content)) as opened:
        schema = opened.schema_arrow
        key = "id" if "id" in schema.names else "_id"
        wanted = pa.array([bytes.fromhex(one) for one in ids] if key == "_id" else sorted(ids), schema.field(key).type)
        columns = [name for name in empty if name in schema.names]
        target, changed = io.BytesIO(), False
        with pq.ParquetWriter(target, schema, compression="zstd", use_dictionary=["label", "split"]) as writer:
            for group in range(opened.num_row_groups):
                table = opened.read_row_group(group, use_threads=False)
                hits = pc.is_in(table.column(key), value_set=wanted)
                if pc.any(hits).as_py():
                    order = pc.if_else(hits, pa.scalar(None, pa.int64()), pa.array(range(table.num_rows)))
                    said = pc.starts_with(table.column("reason"), FORGOTTEN_REASON) if "reason" in columns else None
                    for name in columns:
                        field = schema.field(name)
                        before = table.column(name)
                        after = before.take(order)
                        if name in {"reason", "remedy"}:  # what the gate said of a record that came in again stays
                            after = pc.if_else(said, before, after)
                        if empty[name] is not None:
                            after = pc.fill_null(after, pa.scalar(empty[name], field.type))
                        changed = changed or not after.equals(before)
                        table = table.set_column(schema.get_field_index(name), field, after)
                writer.write_table(table)
    return target.getvalue() if changed else content


def blank_pictures(content: bytes, numbers: Mapping[int, bytes]) -> bytes:
    """An idx or CIFAR file with black in place of pictures; each is looked for where its number says, else anywhere."""
    new = bytearray(content)
    for number, stored in numbers.items():
        if not stored:
            continue  # taken out before
        for pixels, black in _raw_forms(stored):
            place = next((at for at in _places(content, number, len(pixels)) if _at(new, at, pixels)), -1)
            if place < 0:
                place = new.find(pixels)
            if place >= 0:
                new[place : place + len(pixels)] = black
                break
    return bytes(new)


def _places(content: bytes, number: int, size: int) -> Sequence[int]:
    """Where picture `number` of `size` bytes begins in an idx file, or a CIFAR file of one or two label bytes."""
    dimensions = content[3] if len(content) > 3 else 0
    return (4 + 4 * dimensions + number * size, number * (size + 1) + 1, number * (size + 2) + 2)


def _at(content: bytearray, place: int, pixels: bytes) -> bool:
    return content[place : place + len(pixels)] == pixels


def _raw_forms(stored: bytes) -> Iterator[tuple[bytes, bytes]]:
    """A stored picture's pixels as files of many keep them, and what takes as much room in their place.

    Colours lie together, or a plane for each. Python 3 writes bytes of an old pickle protocol as text: each above 127
    takes two, and as many must stay.
    """
    import numpy as np
    from PIL import Image

    try:
        with Image.open(io.BytesIO(stored), formats=("PNG",)) as picture:
            pixels = np.asarray(picture)
    except (OSError, ValueError, struct.error) as error:
        raise RejectedError(f"a stored picture cannot be read ({error}); it was changed") from error
    planes = pixels if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    for raw in (pixels.tobytes(), np.ascontiguousarray(planes).tobytes()):
        yield raw, bytes(len(raw))
    text = np.ascontiguousarray(planes).tobytes().decode("latin-1").encode()
    twice = len(text) - planes.size
    yield text, b"\xc2\x80" * twice + bytes(planes.size - twice)
