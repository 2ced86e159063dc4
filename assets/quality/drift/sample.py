"""A small sample of embeddings, as a profile keeps it: one byte per number."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assets.quality.spool import Spool

RECORDS = 192
MAX_WIDTH = 144
_SEED = 20


@dataclass(frozen=True)
class Sample:
    """Embeddings of some records.

    Attributes:
        width: numbers per record.
        scales: base64 of (width,) little-endian float32; values: base64 of (records, width) int8. A number is the
            product of the two.
    """

    width: int
    scales: str
    values: str

    def array(self) -> NDArray[np.float32]:
        """(records, width) float32. Raises ValueError where the stored bytes do not fit each other."""
        scales = np.frombuffer(base64.b64decode(self.scales, validate=True), dtype="<f4")
        values = np.frombuffer(base64.b64decode(self.values, validate=True), dtype=np.int8)
        if self.width < 1 or scales.size != self.width or values.size % self.width:
            raise ValueError(f"a sample of width {self.width} has {scales.size} scales and {values.size} values")
        return np.asarray(values.reshape(-1, self.width) * scales, dtype=np.float32)


def pack(embeddings: NDArray[np.float32]) -> Sample:
    """(records, width) float32 as a sample; records in which a number is not finite are left out."""
    kept = embeddings[np.isfinite(embeddings).all(axis=1)]
    scales = (np.abs(kept).max(axis=0, initial=0) / 127).astype("<f4")
    values = np.rint(kept / np.where(scales > 0, scales, 1)).clip(-127, 127).astype(np.int8)
    return Sample(
        embeddings.shape[1], base64.b64encode(scales.tobytes()).decode(), base64.b64encode(values.tobytes()).decode()
    )


def take_sample(spool: Spool, good: NDArray[np.int64]) -> Sample | None:
    """Embeddings of at most `RECORDS` of the records at `good`; None where they have none.

    Wider embeddings than `MAX_WIDTH` are projected on as many random directions, always the same, which keeps
    distances well enough (Johnson and Lindenstrauss 1984).
    """
    generator = np.random.default_rng(_SEED)
    rows = np.sort(generator.choice(good, min(RECORDS, len(good)), replace=False)) if len(good) else good
    column = spool.take(rows, ["_embedding"]).column("_embedding").combine_chunks().drop_null()
    widths = np.diff(column.offsets.to_numpy()) if len(column) else np.zeros(0, dtype=np.int64)
    if not widths.size or not widths[0] or (widths != widths[0]).any():
        return None
    width = int(widths[0])
    embeddings = column.flatten().to_numpy(zero_copy_only=False).astype(np.float32).reshape(-1, width)
    if width > MAX_WIDTH:
        directions = np.random.default_rng(_SEED).standard_normal((width, MAX_WIDTH)) / np.sqrt(MAX_WIDTH)
        embeddings = (embeddings @ directions.astype(np.float32)).astype(np.float32)
    return pack(embeddings)


def join_samples(samples: Sequence[tuple[int, Sample]]) -> Sample | None:
    """One sample of all records: of each sample a share as large as its records' share.

    Args:
        samples: how many records each one stands for, and the sample. One of another width than the last is left out.
    """
    if not samples:
        return None
    same = [(records, sample) for records, sample in samples if sample.width == samples[-1][1].width]
    total = sum(records for records, _ in same) or 1
    generator = np.random.default_rng(_SEED)
    parts = []
    for records, sample in same:
        values = sample.array()
        # rounded at random, or a thousand small batches would be a sample of nothing
        wanted = min(len(values), int(RECORDS * records / total + generator.random()))
        parts.append(values[np.sort(generator.choice(len(values), wanted, replace=False))])
    joined = np.concatenate(parts)
    return pack(joined if len(joined) else same[-1][1].array())
