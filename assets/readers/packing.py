"""Blocks of a table's rows to tables of `chunk_schema`, without a Python object for each cell."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from assets.errors import RejectedError
from assets.line.data import DataContract
from assets.readers.cells import numbers, positions, renamed, words
from assets.readers.csvblocks import Block
from assets.records.chunks import MAX_CHUNK_BYTES, chunk_schema
from assets.records.reason import Reason, refusal

_FEW_ROWS = 20_000


@dataclass
class Packed:
    """What a block's records are made of.

    Attributes:
        rows: how many.
        notes: row to column to why its cell has no value.
        values: (rows, columns) float64, the inputs in the contract's order.
        facts: the gate's columns, in the contract's order.
        ids: 32 bytes a row, one after the other.
        inputs: each row's bytes; None where they are its values.
    """

    rows: int
    notes: dict[int, dict[str, str]] = field(default_factory=dict)
    values: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 0)))
    facts: list[pa.Array] = field(default_factory=list)
    ids: bytes = b""
    labels: pa.Array | None = None
    groups: pa.Array | None = None
    times: pa.Array | None = None
    inputs: pa.Array | None = None
    embeddings: pa.Array | None = None

    def note(self, column: str, notes: Mapping[int, str]) -> None:
        """Add what is wrong in a column."""
        for row, text in notes.items():
            self.notes.setdefault(row, {})[column] = text


def pack_inputs(block: Block, data: DataContract) -> Packed:
    """The input columns of a block: numbers as they are, categories as their position. Raises RejectedError."""
    assert data.inputs is not None
    packed = Packed(len(block.places))
    packed.values = np.empty((packed.rows, len(data.inputs.columns)), dtype="<f8")
    hidden = set(data.privacy.private)
    for index, name in enumerate(data.inputs.columns):
        cells = block.columns[name]
        known = data.inputs.categories.get(name)
        if known is None:
            values, notes = numbers(cells, name in hidden, data.cells)
            finite = np.isfinite(values)
            packed.facts.append(pa.array(values, pa.float64(), mask=None if finite.all() else ~finite))
        else:
            texts = words(cells, data.cells)
            values, notes = positions(texts, known, name in hidden, data.inputs.other.get(name))
            packed.facts.append(judged_words(values, known))
        packed.values[:, index] = values
        packed.note(name, notes)
    return packed


def judged_words(values: NDArray[np.float64], known: tuple[str, ...]) -> pa.Array:
    """The words that positions stand for, null where there is none: what is judged is what is stored."""
    places = pa.array(np.nan_to_num(values), pa.int64(), mask=np.isnan(values))
    return pa.array(known, pa.string()).take(places)


def pack_labels(packed: Packed, cells: pa.Array, name: str, data: DataContract) -> pa.Array:
    """A target column as labels: a class as written, aliases resolved, or a number's text, noted where it is none."""
    if not data.regression:
        return renamed(words(cells, data.cells), data.aliases)
    values, notes = numbers(cells, name in data.privacy.private, data.cells)
    packed.note(name, notes)
    return number_labels(values)


def number_labels(values: NDArray[np.float64]) -> pa.Array:
    """Numbers as their shortest text, "" where one is not finite."""
    finite = np.isfinite(values).tolist()
    return pa.array(
        [repr(value) if sound else "" for value, sound in zip(values.tolist(), finite, strict=True)], pa.string()
    )


def to_chunk(packed: Packed, data: DataContract, split: str, path: str, places: NDArray[np.int64]) -> pa.Table:
    """A table of `chunk_schema`.

    Args:
        places: of each row in the file `path`.
    """
    rows = packed.rows
    schema = chunk_schema(data)
    columns = {
        "_id": pa.FixedSizeBinaryArray.from_buffers(pa.binary(32), rows, [None, pa.py_buffer(packed.ids)]),
        "_label": packed.labels,
        "_split": _same(split, rows),
        "_file": pc.binary_join_element_wise(f"{path}#", pa.array(places).cast(pa.string()), ""),
        "_group": _same("", rows) if packed.groups is None else packed.groups,
        "_time": pa.nulls(rows, pa.float64()) if packed.times is None else packed.times,
        "_input": row_bytes(packed.values) if packed.inputs is None else packed.inputs,
        "_notes": _notes(packed),
        "_embedding": pa.nulls(rows, pa.list_(pa.float32())) if packed.embeddings is None else packed.embeddings,
        "_phash": pa.nulls(rows, pa.uint64()),
    }
    if data.series is not None:
        columns["_origin"] = _same("", rows)
    assert schema.names[: len(columns)] == list(columns)
    return pa.Table.from_arrays([*columns.values(), *packed.facts], schema=schema)


def row_bytes(values: NDArray[np.float64]) -> pa.Array:
    """Each row of (rows, columns) float64 as its little-endian bytes."""
    raw = np.ascontiguousarray(values, dtype="<f8")
    offsets = np.arange(raw.shape[0] + 1, dtype=np.int32) * np.int32(8 * raw.shape[1])
    return pa.Array.from_buffers(pa.binary(), raw.shape[0], [None, pa.py_buffer(offsets), pa.py_buffer(raw)])


def row_ids(raw: bytes, width: int) -> bytes:
    """SHA-256 (32 bytes) of each `width` bytes of `raw`, one after the other."""
    digest = hashlib.sha256
    return b"".join([digest(raw[at : at + width]).digest() for at in range(0, len(raw), width)])


def to_tables(
    path: str, items: Iterable[Block | Reason], make: Callable[[Block], pa.Table]
) -> Iterator[pa.Table | Reason]:
    """A file's blocks as tables; where one cannot be made, a refusal, and the rest of the file is not read."""
    for item in items:
        if isinstance(item, Reason):
            yield item
            continue
        try:
            table = make(item)
        except (RejectedError, pa.ArrowException) as error:
            text = str(error) if isinstance(error, RejectedError) else f"{_first_line(error)}; write it as plain values"
            yield refusal(path, f"from row {item.places[0]} on", text)
            return
        yield table


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:160] or type(error).__name__


def pooled(items: Iterable[pa.Table | Reason]) -> Iterator[pa.Table | Reason]:
    """Small tables together: many small files must not make many small chunks."""
    waiting: list[pa.Table] = []
    rows = size = 0
    for item in items:
        if isinstance(item, Reason):
            yield item
            continue
        waiting.append(item)
        rows += item.num_rows
        size += item.nbytes
        if rows >= _FEW_ROWS or size >= MAX_CHUNK_BYTES // 2:
            yield waiting[0] if len(waiting) == 1 else pa.concat_tables(waiting)
            waiting, rows, size = [], 0, 0
    if waiting:
        yield waiting[0] if len(waiting) == 1 else pa.concat_tables(waiting)


def _notes(packed: Packed) -> pa.Array:
    if not packed.notes:
        return pa.nulls(packed.rows, pa.string())
    texts: list[str | None] = [None] * packed.rows
    for row, notes in packed.notes.items():
        texts[row] = json.dumps(notes)
    return pa.array(texts, pa.string())


def _same(text: str, rows: int) -> pa.Array:
    return pa.repeat(pa.scalar(text, pa.string()), rows)
