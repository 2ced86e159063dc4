"""The reader `table`: rows of named columns, of CSV, TSV, Parquet or Arrow; columns that are not named are left alone.

A file is refused as a whole where its header or its form is wrong; a row is refused where its form is wrong. A row
whose cells are wrong (empty, no number, infinite, an unknown word) is a record all the same: the gate quarantines it.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Iterator, Sequence
from functools import partial

import pyarrow as pa

from assets.errors import RejectedError
from assets.line.cell_form import PLAIN
from assets.line.data import DataContract
from assets.readers.cells import MAX_VALUE, missing, number, words
from assets.readers.csvblocks import Block
from assets.readers.files import Files
from assets.readers.headers import Wanted
from assets.readers.packing import pack_inputs, pack_labels, pooled, row_ids, to_chunk, to_tables
from assets.readers.rows import is_named_as_rows, read_blocks, split_of
from assets.readers.separators import hint
from assets.records.batch import LandedFile
from assets.records.reason import Reason, refusal
from assets.records.record import Record

NOT_A_TABLE = "not a table by its name; name it .csv, .tsv, .parquet or .arrow if it is one, else leave it out"
NO_VALUE = "the cell has no value"


def read_tables(files: Sequence[LandedFile], source: Files, data: DataContract) -> Iterator[pa.Table | Reason]:
    """Tables of records, one for each row, and a refusal for each row or file that has none.

    A record's `_file` is `path#line` for text, `path#row` (from 1) for Parquet and Arrow.

    Args:
        data: the line's contract, with its section `table`.

    Raises:
        LandingError: `source` found a fault of the landing zone, which says nothing about the data.
    """
    return pooled(_tables(files, source, data))


def row_id(values: bytes) -> str:
    """SHA-256 (hex) of a row's input values as little-endian float64."""
    return hashlib.sha256(values).hexdigest()


def record_of(
    stored: bytes, label: str, split: str, file: str, group: str, time: float | None, data: DataContract
) -> Record:
    """A row as a record, of its packed values; see `Record`. Raises RejectedError where there are not as many."""
    stored, facts, notes = row_facts(stored, data)
    assert data.table is not None
    label = checked_label(label, data.table.target, notes, data)
    return Record(row_id(stored), label, split, file, stored, group, None, facts, notes)


def row_facts(stored: bytes, data: DataContract) -> tuple[bytes, dict[str, float | str | None], dict[str, str]]:
    """Packed values as a reader packs them, the gate's columns, and a note for each without a value.

    Raises:
        RejectedError: there are not as many values as columns.
    """
    assert data.inputs is not None
    columns, categories = data.inputs.columns, data.inputs.categories
    if len(stored) != 8 * len(columns):
        raise RejectedError(f"it has {len(stored)} bytes, {len(columns)} columns are {8 * len(columns)}; make it anew")
    facts: dict[str, float | str | None] = {}
    notes: dict[str, str] = {}
    values = [value + 0.0 for value in struct.unpack(f"<{len(columns)}d", stored)]  # minus zero is zero
    for index, (name, value) in enumerate(zip(columns, values, strict=True)):
        known = categories.get(name)
        if known is None:
            sound = abs(value) <= MAX_VALUE
            facts[name] = value if sound else None
            if not sound:
                values[index] = math.nan if math.isnan(value) else math.copysign(math.inf, value)
        else:
            sound = value in range(len(known))
            facts[name] = known[int(value)] if sound else None  # as a reader packs it: no value is judged, none stored
            values[index] = value if sound else math.nan
        if not sound:
            notes[name] = NO_VALUE
    return struct.pack(f"<{len(columns)}d", *values), facts, notes


def checked_label(label: str, target: str, notes: dict[str, str], data: DataContract) -> str:
    """A label with its alias resolved; of a number its text, and a note where it is none.

    A number is written as records store it, with a point, whatever `data.cells` says of files.
    """
    if not data.regression:
        label = label.strip() if data.cells.trim else label
        return data.aliases.get(label, label)
    value, note = number(label)
    if note is not None:
        notes[target] = note.removesuffix(hint(label, PLAIN))
    return repr(value) if math.isfinite(value) else ""


def _tables(files: Sequence[LandedFile], source: Files, data: DataContract) -> Iterator[pa.Table | Reason]:
    table = data.table
    assert table is not None
    names = (table.target, *table.columns, *((table.group,) if table.group else ()))
    inputs = frozenset(table.columns) - set(table.categories)
    wanted = Wanted(
        "table",
        tuple(dict.fromkeys(names)),
        inputs | ({table.target} if data.regression else frozenset()),
        table.target,
        table.header,
        skip_lines=table.skip_lines,
        cells=data.cells,
    )
    for file in files:
        if not is_named_as_rows(file.path, plain=True):
            yield refusal(file.path, "its name", NOT_A_TABLE)
            continue
        split = split_of(file.path, data.splits_from)
        make = partial(_chunk, path=file.path, split=split, data=data)
        yield from to_tables(file.path, read_blocks(file, source, wanted), make)


def _chunk(block: Block, path: str, split: str, data: DataContract) -> pa.Table:
    table = data.table
    assert table is not None
    packed = pack_inputs(block, data)
    packed.labels = pack_labels(packed, block.columns[table.target], table.target, data)
    if table.group:
        packed.groups = words(block.columns[table.group], data.cells)
        packed.note(table.group, missing(packed.groups))
    packed.ids = row_ids(packed.values.tobytes(), 8 * packed.values.shape[1])
    return to_chunk(packed, data, split, path, block.places)
