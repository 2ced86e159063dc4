"""Where the records of a split are stored, and their bytes again: from the dataset's shards, one shard in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.errors import RejectedError
from assets.records.dataset import DatasetVersion, Split
from assets.records.forgotten import current, fetch_shard
from assets.records.read import Row, distinct_rows, empty_split, labels_of, read_columns
from assets.storage.sealed import MAGIC, is_sealed
from assets.storage.store import Store

AT_ONCE = 256
"""Records whose inputs are taken from a shard together."""


@dataclass(frozen=True)
class Stored:
    """The records of a split in the order of acceptance, and where each is.

    Attributes:
        origins: the batch that each record's group is of; "" where it is its shard's own.
        y: (records,) int64 classes, or float64 numbers.
        shard: (records,) positions in `DatasetVersion.shards`.
        row: (records,) positions in that shard.
        sealed: whether a shard is encrypted: nothing of it may be written to a disk in plain.
    """

    store: Store
    dataset: DatasetVersion
    split: Split
    ids: tuple[str, ...]
    groups: tuple[str, ...]
    origins: tuple[str, ...]
    y: NDArray[Any]
    shard: NDArray[np.int32]
    row: NDArray[np.int64]
    sealed: bool
    _held: list[tuple[int, list[bytes]]] = field(default_factory=list, compare=False, repr=False)

    def __len__(self) -> int:
        """How many there are."""
        return len(self.ids)

    def inputs(self) -> Iterator[list[bytes]]:
        """The stored `input` bytes of every record in order, some at a time; one shard's file is in memory.

        Raises:
            VerificationError: a shard is missing or its bytes were changed.
            RejectedError: a shard cannot be read.
        """
        for shard, ref in enumerate(self.dataset.shards):
            mine = self.row[self.shard == shard]  # ascending, as they were found
            if len(mine):
                yield from _pieces(fetch_shard(self.store, ref), ref.uri, mine)

    def input_of(self, record: int) -> bytes:
        """The stored `input` bytes of one record; the shard it is in stays in memory for the next."""
        shard = int(self.shard[record])
        if not self._held or self._held[0][0] != shard:
            self._held[:] = [(shard, self._column(shard))]
        return self._held[0][1][int(self.row[record])]

    def _column(self, shard: int) -> list[bytes]:
        ref = self.dataset.shards[shard]
        column: list[bytes] = read_columns(fetch_shard(self.store, ref), ref.uri, ["input"])["input"]
        return column


def find_stored(store: Store, dataset: DatasetVersion, split: Split) -> Stored:
    """Find the records of a split; reads ids, labels and groups only.

    Raises:
        VerificationError: a shard is missing or its bytes were changed.
        RejectedError: the split is empty, or a shard cannot be read.
    """
    rows: list[Row] = []
    shard: list[NDArray[np.int32]] = []
    for number, (_, found) in enumerate(distinct_rows(store, dataset.shards, dataset.classes, dataset)):
        mine = [row for row in found if row.split == split]
        rows += mine
        shard.append(np.full(len(mine), number, dtype=np.int32))
    if not rows:
        raise empty_split(dataset, split)
    return Stored(
        store,
        dataset,
        split,
        tuple(row.id for row in rows),
        tuple(row.group for row in rows),
        tuple(row.origin for row in rows),
        labels_of(dataset, rows),
        np.concatenate(shard),
        np.asarray([row.index for row in rows], dtype=np.int64),
        any_sealed(store, dataset),
    )


def _pieces(data: bytes, uri: str, rows: NDArray[np.int64]) -> Iterator[list[bytes]]:
    """The inputs at these rows, ascending, of a records Parquet."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    start = 0
    try:
        for batch in pq.ParquetFile(pa.BufferReader(data)).iter_batches(AT_ONCE, columns=["input"]):
            low, high = np.searchsorted(rows, (start, start + batch.num_rows))
            if high > low:
                yield batch.column(0).take(pa.array(rows[low:high] - start)).to_pylist()
            start += batch.num_rows
    except (pa.ArrowException, OSError) as error:
        raise RejectedError(f"{uri}: its inputs cannot be read ({error}); judge the batch again") from error


def any_sealed(store: Store, dataset: DatasetVersion) -> bool:
    """Whether a shard of the dataset is encrypted, which is told by its first bytes."""
    return any(is_sealed(store.start(current(store, ref).uri, len(MAGIC))) for ref in dataset.shards)
