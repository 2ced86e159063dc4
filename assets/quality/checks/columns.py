"""Columns of a batch as numpy arrays, for the computed checks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from assets.records.verdict import Finding

MAX_FINDINGS = 100_000
"""A check hands on so many findings; its columns say all. More would take a gigabyte, and nobody reads them."""
_HUGE = 1e15  # values beyond it overflow float32 once they are squared and summed


def id_bytes(column: pa.ChunkedArray) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Ids as (rows, 32) uint8, and which rows have one (the others are zeros)."""
    values = np.zeros((len(column), 32), dtype=np.uint8)
    there = np.zeros(len(column), dtype=bool)
    start = 0
    for chunk in column.chunks:
        stop = start + len(chunk)
        if len(chunk):
            raw = np.frombuffer(chunk.buffers()[1], dtype=np.uint8)
            values[start:stop] = raw[chunk.offset * 32 : (chunk.offset + len(chunk)) * 32].reshape(-1, 32)
            there[start:stop] = True if not chunk.null_count else np.asarray(chunk.is_valid())
        start = stop
    return values, there


def matrix(column: pa.ChunkedArray) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Embeddings as (rows, k) float32, and which rows have one: null, of another length, not finite or huge is none.

    k is the most common length; it is 0 where no row has an embedding. Rows without one are zeros.
    """
    lengths = np.concatenate([_lengths(chunk) for chunk in column.chunks] or [np.zeros(0, dtype=np.int64)])
    known = lengths[lengths > 0]
    width = int(np.bincount(known).argmax()) if known.size and known.max() <= 100_000 else 0
    values = np.zeros((len(column), width), dtype=np.float32)
    there = np.zeros(len(column), dtype=bool)
    start = 0
    for chunk in column.chunks if width else []:
        rows = np.flatnonzero(lengths[start : start + len(chunk)] == width)
        if rows.size:
            flat = chunk.values.to_numpy(zero_copy_only=False)
            firsts = np.asarray(chunk.offsets)[rows]
            if rows.size == len(chunk) and int(firsts[-1]) - int(firsts[0]) == width * (rows.size - 1):
                picked = flat[firsts[0] : firsts[0] + width * rows.size].reshape(-1, width)
            else:
                picked = flat[firsts[:, None] + np.arange(width)]
            sound = (np.abs(picked) < _HUGE).all(axis=1)  # False for NaN, too
            values[start + rows[sound]] = picked[sound]
            there[start + rows[sound]] = True
        start += len(chunk)
    return values, there


def _lengths(chunk: pa.ListArray) -> NDArray[np.int64]:
    lengths = np.zeros(len(chunk), dtype=np.int64)
    if len(chunk):
        offsets = np.asarray(chunk.offsets, dtype=np.int64)
        lengths[:] = offsets[1:] - offsets[:-1]
    if chunk.null_count:
        lengths[~np.asarray(chunk.is_valid())] = 0
    return lengths


def codes(column: pa.ChunkedArray) -> tuple[NDArray[np.int64], list[str]]:
    """A text column as (rows,) positions in the list of its distinct values; no value counts as ""."""
    if not len(column):
        return np.zeros(0, dtype=np.int64), []
    encoded = column.combine_chunks().fill_null("").dictionary_encode()
    return encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64), encoded.dictionary.to_pylist()


def numbers(column: pa.ChunkedArray) -> NDArray[np.float64]:
    """A numeric column as float64; NaN where it has no finite value."""
    values = np.array(column.cast(pa.float64()).to_numpy(), dtype=np.float64)
    values[~np.isfinite(values)] = np.nan
    return values


def class_codes(labels: pa.ChunkedArray, classes: Sequence[str]) -> NDArray[np.int64]:
    """Position of each label among the line's classes, -1 for any other."""
    found, words = codes(labels)
    places = {name: place for place, name in enumerate(classes)}
    return np.array([places.get(word, -1) for word in words] or [-1], dtype=np.int64)[found]


def surest(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """By descending score, then by row; at most `MAX_FINDINGS`."""
    return tuple(sorted(findings, key=lambda finding: (-finding.score, finding.row))[:MAX_FINDINGS])
