"""Takes single records out of landed files, in whatever form they lie there.

A picture or sound that is a file of its own becomes a tombstone. A row of a text becomes a line without its cells, a
row of Parquet or Arrow one without values, a picture among many a black one. All else in the file stays where it was.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import BinaryIO, cast

from assets.errors import RejectedError
from assets.forgotten import SAID
from assets.ingest.contract import LandedFile
from assets.ingest.erased import ErasedFile, erased_key, load_erased
from assets.ingest.guard import KIND
from assets.ingest.landing import find_landing, load_manifest
from assets.ingest.limits import MAX_LINE_CHARS, RETURNED_SUFFIX
from assets.ingest.privacy_text import text_layout
from assets.ingest.readers.csvrows import Blocks, Lines, rows_of
from assets.ingest.storage import file_size, holds
from assets.line import Line
from assets.store import Store
from assets.vault import is_sealed, seal, unseal

TOMBSTONE = b"edgeloop: this file was forgotten on request\n"
LINE = "forgotten"
"""Stands for a row: one cell, so nothing reads it as a record."""


def erase(store: Store, line: Line, batch: str, records: Mapping[str, bytes], ids: frozenset[str]) -> tuple[str, ...]:
    """Take records out of a landed batch's files; what was taken out before is left as it is.

    Args:
        records: the record's place (`Record.file`) to its stored input (b"" where that is gone already).
        ids: every forgotten id (hex), for files of returned records, which name them.

    Returns:
        Places that could not be found in the landing zone; a file that is lost is as good as erased.

    Raises:
        LandingError: no such batch, or its manifest was changed.
    """
    landing = find_landing(store, line.name, batch)
    manifest = load_manifest(store, line.name, landing.drop, batch)
    known = {file.path: file for file in manifest.files}
    asked: dict[str, set[str]] = {path: set() for path in known if path.endswith(RETURNED_SUFFIX)}
    missing = []
    for place in records:
        path = place if place in known else place.rpartition("#")[0]
        if path in known:
            asked.setdefault(path, set()).add(place)
        elif not asked:
            missing.append(place)
    for path, places in asked.items():
        wanted = {place: records[place] for place in places}
        missing += _erase_file(store, line, landing.drop, known[path], wanted, ids)
    return tuple(missing)


def _erase_file(
    store: Store, line: Line, drop: str, declared: LandedFile, records: Mapping[str, bytes], ids: frozenset[str]
) -> list[str]:
    """Note what the file will be, then make it that: a reader knows it in either state.

    Returns:
        Places that were asked for, and are not there.
    """
    erased = load_erased(store, line.name, drop)
    entry = erased.of(declared.path) or ErasedFile(declared.path, (), (declared,))
    key = f"landing/{line.name}/{drop}/files/{declared.path}"
    newest = entry.versions[-1]
    done = set(records) <= set(entry.places) and not declared.path.endswith(RETURNED_SUFFIX)
    if (done and holds(store, key, newest.sha256, newest.size)) or file_size(store, key) is None:
        return []
    raw = store.read(key)
    content = unseal(raw)
    new = _without(line, declared.path, content, {**dict.fromkeys(entry.places, b""), **records}, ids)
    if new == content:
        return [place for place in records if place not in entry.places]
    if is_sealed(raw):
        new = seal(new, line.name, KIND)
    now = LandedFile(declared.path, hashlib.sha256(new).hexdigest(), len(new))
    places = tuple(sorted({*entry.places, *records}))
    versions = (*(version for version in entry.versions if version != now), now)
    others = tuple(file for file in erased.files if file.path != declared.path)
    store.save(
        erased_key(line.name, drop), replace(erased, files=(*others, ErasedFile(declared.path, places, versions)))
    )
    store.write(key, new)
    return []


def _without(line: Line, path: str, content: bytes, records: Mapping[str, bytes], ids: frozenset[str]) -> bytes:
    """A file's bytes without these records."""
    if path.endswith(RETURNED_SUFFIX):
        return blank_rows(content, ids)
    if path in records:
        return TOMBSTONE
    numbers = {int(number): records[place] for place in records if (number := place.rpartition("#")[2]).isdecimal()}
    if content.startswith(b"\x1f\x8b"):
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as packed:
            plain = packed.read()
        new = _without_rows(line, plain, numbers)
        return content if new == plain else gzip.compress(new, mtime=0)
    return _without_rows(line, content, numbers)


def _without_rows(line: Line, content: bytes, numbers: Mapping[int, bytes]) -> bytes:
    if line.config.data.image is not None:
        return _without_pictures(content, numbers)
    if content.startswith((b"PAR1", b"ARROW1", b"\xff\xff\xff\xff")):
        return _without_typed(content, frozenset(numbers))
    return b"".join(_without_lines(line, content, frozenset(numbers)))


def _without_lines(line: Line, content: bytes, firsts: frozenset[int]) -> Iterator[bytes]:
    """A text without the rows that begin on these lines; every line stays, and each of them has no cell."""
    gone = _lines_of_rows(line, content, firsts)
    text = io.TextIOWrapper(io.BytesIO(content), "utf-8", errors="surrogateescape", newline="")
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


def _lines_of_rows(line: Line, content: bytes, firsts: frozenset[int]) -> set[int]:
    """Every line of the rows that begin on the lines `firsts`."""
    blocks = Blocks(cast(BinaryIO, io.BytesIO(content)))
    first = blocks.take().removeprefix(b"\xef\xbb\xbf")
    form, _, number, taken = text_layout(first, line.config.data)
    blocks.put_back(first[taken:])
    found: set[int] = set()
    while block := blocks.take():
        lines = Lines(block, blocks, number)
        for row in rows_of(lines, form):
            if row.first in firsts:
                found.update(range(row.first, row.last + 1))
        number = lines.number
    return found | firsts


def _without_typed(content: bytes, rows: frozenset[int]) -> bytes:
    """A Parquet or Arrow file with rows (from 1) that have no value."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    target = io.BytesIO()
    if content.startswith(b"PAR1"):
        with pq.ParquetFile(io.BytesIO(content)) as opened:
            schema = _nullable(opened.schema_arrow)
            with pq.ParquetWriter(target, schema, compression="zstd") as writer:
                for batch in _nulled(opened.iter_batches(65_536), rows, schema):
                    writer.write_batch(batch)
        return target.getvalue()
    is_file = content.startswith(b"ARROW1")
    with pa.ipc.open_stream(content[8:] if is_file else content) as opened:
        schema = _nullable(opened.schema)
        make = pa.ipc.new_file if is_file else pa.ipc.new_stream
        with make(target, schema, options=pa.ipc.IpcWriteOptions(unify_dictionaries=is_file)) as writer:
            for batch in _nulled(opened, rows, schema):
                writer.write_batch(batch)
    return target.getvalue()


def _nullable(schema: object) -> object:
    import pyarrow as pa

    fields = [pa.field(field.name, field.type) for field in schema]  # type: ignore[attr-defined]
    return pa.schema(fields)


def _nulled(batches: Iterable[object], rows: frozenset[int], schema: object) -> Iterator[object]:
    import pyarrow as pa

    start = 1
    for batch in batches:
        count = batch.num_rows  # type: ignore[attr-defined]
        inside = {row - start for row in rows if start <= row < start + count}
        columns = batch.columns  # type: ignore[attr-defined]
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
        "input": b"", "group": "", "time": None, "reason": SAID, "remedy": "",
        "_phash": None, "_embedding": None,
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
                    said = pc.starts_with(table.column("reason"), SAID) if "reason" in columns else None
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


def _without_pictures(content: bytes, numbers: Mapping[int, bytes]) -> bytes:
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
