"""Records as Arrow tables of bounded size: how readers hand them on, and what the gate's table shows of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa

from assets.line.data import DataContract
from assets.records.reason import Reason
from assets.records.record import Record

MAX_CHUNK_RECORDS = 100_000
MAX_CHUNK_BYTES = 8 * 1024**2

_PICTURE = {
    "width": pa.float64(),
    "height": pa.float64(),
    "mode": pa.string(),
    "format": pa.string(),
    "brightness": pa.float64(),
    "contrast": pa.float64(),
    "sharpness": pa.float64(),
    "entropy": pa.float64(),
}
_TEXT = {"chars": pa.float64(), "words": pa.float64(), "letters": pa.float64(), "text": pa.string()}
_AUDIO = {
    "rate": pa.float64(),
    "channels": pa.float64(),
    "seconds": pa.float64(),
    "loudness": pa.float64(),
    "peak": pa.float64(),
    "clipped": pa.float64(),
    "silent": pa.float64(),
}


def fact_fields(data: DataContract) -> list[pa.Field]:
    """The columns that a record's kind adds to the gate's table, under the names users write in expectations.

    Pictures: width and height in pixels (as stored), mode and format (Pillow's names); of the grey picture, its longest
    side at most 256: brightness and contrast (mean and standard deviation, 8-bit values), sharpness (variance of the
    Laplacian), entropy (bits of the histogram).
    Texts: chars, words, letters (share of letters and spaces), text.
    Sounds: rate (samples per second), channels, seconds, loudness (RMS in dBFS), peak (0 to 1), clipped and silent
    (shares of samples).
    Tables and series: the contract's columns, float64 (null without a value), categories as their word.
    """
    if data.inputs is not None:
        words = data.inputs.categories
        return [pa.field(name, pa.string() if name in words else pa.float64()) for name in data.inputs.columns]
    kinds = _PICTURE if data.image is not None else _TEXT if data.text is not None else _AUDIO
    return [pa.field(name, kind) for name, kind in kinds.items()]


def chunk_schema(data: DataContract) -> pa.Schema:
    """Every column of a chunk.

    `_id` is 32 bytes (the SHA-256 itself), `_notes` a JSON object of `Record.notes` (null where there are none),
    `_origin` is there for series only.
    """
    return pa.schema(
        [
            pa.field("_id", pa.binary(32)),
            pa.field("_label", pa.string()),
            pa.field("_split", pa.string()),
            pa.field("_file", pa.string()),
            pa.field("_group", pa.string()),
            pa.field("_time", pa.float64()),
            pa.field("_input", pa.binary()),
            pa.field("_notes", pa.string()),
            pa.field("_embedding", pa.list_(pa.float32())),
            pa.field("_phash", pa.uint64()),
            *([pa.field("_origin", pa.string())] if data.series is not None else []),
            *fact_fields(data),
        ]
    )


def chunked(items: Iterable[Record | pa.Table | Reason], data: DataContract) -> Iterator[pa.Table | Reason]:
    """Pack consecutive records into tables; tables (of `chunk_schema`) and reasons go through in their order."""
    schema = chunk_schema(data)
    waiting: list[Record] = []
    size = 0
    for item in items:
        if isinstance(item, Reason):
            yield item  # order among reasons and records does not matter: a reason names its place
            continue
        if isinstance(item, pa.Table):
            if waiting:
                yield to_table(waiting, schema)
                waiting, size = [], 0
            yield item
            continue
        waiting.append(item)
        size += len(item.input)
        if len(waiting) >= MAX_CHUNK_RECORDS or size >= MAX_CHUNK_BYTES:
            yield to_table(waiting, schema)
            waiting, size = [], 0
    if waiting:
        yield to_table(waiting, schema)


def to_table(records: Sequence[Record], schema: pa.Schema) -> pa.Table:
    """Records as one table of `schema`."""
    own = {
        "_id": [bytes.fromhex(record.id) for record in records],
        "_label": [record.label for record in records],
        "_split": [record.split for record in records],
        "_file": [record.file for record in records],
        "_group": [record.group for record in records],
        "_time": [record.time for record in records],
        "_input": [record.input for record in records],
        "_notes": [json.dumps(dict(record.notes)) if record.notes else None for record in records],
        "_embedding": [record.embedding for record in records],
        "_phash": [record.phash for record in records],
        "_origin": [record.origin for record in records],
    }
    columns = []
    for field in schema:
        values = own[field.name] if field.name in own else [record.facts.get(field.name) for record in records]
        columns.append(pa.array(values, type=field.type, from_pandas=True))  # NaN is no value: null
    return pa.Table.from_arrays(columns, schema=schema)
