"""Pictures that come many to a file, raw and of one size, as tables of records with a PNG each."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import BinaryIO

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from assets.errors import RejectedError
from assets.line.data import DataContract
from assets.readers.images import record_of
from assets.readers.pictures import COARSE, as_grey, measure_stack, picture_digest
from assets.records.chunks import chunk_schema, to_table

BLOCK_BYTES = 16 * 1024**2
BLOCK_RECORDS = 10_000

_MEASURED = 512
"""Pictures whose float copies are made at once."""

_PNG = b"\x89PNG\r\n\x1a\n"
_END = b"\0\0\0\0IEND\xaeB`\x82"


def block_size(height: int, width: int, channels: int) -> int:
    """How many such pictures are read at once: at least one."""
    return max(1, min(BLOCK_RECORDS, BLOCK_BYTES // max(1, height * width * channels)))


def stack_table(
    pixels: NDArray[np.uint8], labels: Sequence[str], path: str, first: int, split: str, data: DataContract
) -> pa.Table:
    """Records of raw pictures, columns as in `chunk_schema`; the same as `record_of` of each one's PNG.

    Args:
        pixels: (n, height, width, 1 or 3).
        labels: n of them, aliases not resolved yet.
        first: position in the file `path` of the first one; records are `path#position`.
    """
    assert data.image is not None
    files = [f"{path}#{first + index}" for index in range(len(pixels))]
    stored = [png(picture) for picture in pixels]
    schema = chunk_schema(data)
    if max(pixels.shape[1:3]) > COARSE:
        rows = zip(stored, labels, files, strict=True)
        return to_table([record_of(file, label, split, name, "", None, data) for file, label, name in rows], schema)
    wanted = _channels(pixels, data.image.channels)
    parts = [measure_stack(wanted[start : start + _MEASURED]) for start in range(0, len(wanted), _MEASURED)]
    count, (height, width, channels) = len(pixels), pixels.shape[1:]

    def measured(name: str) -> NDArray[np.float64]:
        return np.concatenate([getattr(part, name) for part in parts])

    columns = {
        "_id": [picture_digest(picture) for picture in wanted],
        "_label": [data.aliases.get(label, label) for label in labels],
        "_split": [split] * count,
        "_file": files,
        "_group": [""] * count,
        "_input": stored,
        "_embedding": _rows(np.concatenate([part.embedding for part in parts])),
        "_phash": np.concatenate([part.phash for part in parts]),
        "width": np.full(count, float(width)),
        "height": np.full(count, float(height)),
        "mode": ["L" if channels == 1 else "RGB"] * count,
        "format": ["PNG"] * count,
        **{name: measured(name) for name in ("brightness", "contrast", "sharpness", "entropy")},
    }
    arrays = [
        pa.nulls(count, field.type) if field.name not in columns else _array(columns[field.name], field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def label_names(numbers: NDArray[np.int64], classes: Sequence[str]) -> list[str]:
    """The class at each position; a number beyond them as a text that is no class, for the gate to quarantine."""
    odd = {number: _odd_name(number, classes) for number in np.unique(numbers).tolist()}
    return [odd[number] for number in numbers.tolist()]


def png(pixels: NDArray[np.uint8]) -> bytes:
    """(height, width, 1 or 3) as a PNG file; four times as fast as a general encoder for pictures this small."""
    height, width, channels = pixels.shape
    head = struct.pack(">IIBBBBB", width, height, 8, 0 if channels == 1 else 2, 0, 0, 0)
    lines = np.zeros((height, 1 + width * channels), dtype=np.uint8)  # each begins with its filter: none
    lines[:, 1:] = pixels.reshape(height, -1)
    return b"".join((_PNG, _chunk(b"IHDR", head), _chunk(b"IDAT", zlib.compress(lines.data, 1)), _END))


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(content, zlib.crc32(kind)))


def _channels(pixels: NDArray[np.uint8], channels: int) -> NDArray[np.uint8]:
    """As `decode_image` gives them."""
    if pixels.shape[-1] == channels:
        return pixels
    return as_grey(pixels)[..., None] if channels == 1 else np.repeat(pixels, 3, axis=-1)


def _odd_name(number: int, classes: Sequence[str]) -> str:
    if 0 <= number < len(classes):
        return classes[number]
    return str(number) if str(number) not in classes else f"number {number}"


def _rows(values: NDArray[np.float32]) -> pa.Array:
    count, width = values.shape
    offsets = pa.array(np.arange(count + 1, dtype=np.int32) * width)
    return pa.ListArray.from_arrays(offsets, pa.array(values.reshape(-1)))


def _array(values: object, kind: pa.DataType) -> pa.Array:
    return values if isinstance(values, pa.Array) else pa.array(values, type=kind)


def blocks(count: int, size: int) -> Iterator[tuple[int, int]]:
    """Start and stop of each block of at most `size`."""
    for start in range(0, count, size):
        yield start, min(start + size, count)


def read_exactly(stream: BinaryIO, size: int) -> bytes:
    """`size` bytes. Raises RejectedError where there are less, though the file was checked."""
    parts, missing = [], size
    while missing and (part := stream.read(missing)):
        parts.append(part)
        missing -= len(part)
    if missing:
        raise RejectedError("it ended earlier than when it was checked; copy it again")
    return b"".join(parts)
