"""The records of one split as training asks for them: by position, in any order, as often as it likes.

Tables, texts and series are in memory as numbers. Pictures are decoded once, where their pixels fit
`training.cache_gb` and the disk; else their files are kept together on the disk, and decoded as they are asked for.
Where stored records are encrypted, nothing of them is written in plain (see `assets.loading.sources`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from assets.line.config import LineConfig
from assets.loading.series import Series, read_series
from assets.loading.sources import open_pictures
from assets.loading.stored import Stored, find_stored
from assets.records.dataset import DatasetVersion, Split
from assets.records.read import Records, checked_tensor
from assets.storage.store import Store
from edge.contracts import InputSpec
from edge.runtime.preprocess import input_type


class Source(Protocol):
    """Where the tensors of a split come from."""

    def batch(self, rows: NDArray[np.int64]) -> Tensor:
        """(rows, *shape), a tensor of its own."""
        ...

    def input_of(self, row: int) -> bytes:
        """The stored bytes of one record."""
        ...


@dataclass(frozen=True)
class RecordSet:
    """The records of one split in the order of acceptance; of a series its windows, unit after unit.

    Attributes:
        spec: how a record becomes a tensor.
        y: (records,) int64 classes; float64 numbers, with the line's cap applied.
        uncapped: `y` as it was before the cap.
        ids: of the records; of a window its last reading's.
        groups: e.g. the unit of a window; "" for a record on its own.
    """

    spec: InputSpec
    y: NDArray[Any]
    uncapped: NDArray[Any]
    ids: tuple[str, ...]
    groups: tuple[str, ...]
    source: Source

    def __len__(self) -> int:
        """How many records there are."""
        return len(self.ids)

    def batch(self, rows: NDArray[np.int64]) -> Tensor:
        """(rows, *spec.shape) float32, normalized as the device does it; int64 token numbers of texts.

        Raises:
            RejectedError: pictures that are decoded as they are asked for cannot be read.
        """
        return self.source.batch(np.asarray(rows, dtype=np.int64))

    def input_of(self, row: int) -> bytes:
        """The stored bytes that record `row` is made from; of a window its readings, one after another."""
        return self.source.input_of(row)

    def arrays(self) -> Records:
        """All records in memory, for small splits."""
        inputs = tuple(self.input_of(row) for row in range(len(self)))
        return Records(self.batch(np.arange(len(self))).numpy(), self.y, self.ids, inputs)


def open_split(
    store: Store,
    dataset: DatasetVersion,
    split: Split,
    spec: InputSpec,
    config: LineConfig,
    *,
    scratch: Path | None = None,
    report: Callable[[str], None] = lambda text: None,
) -> RecordSet:
    """The records of a split, ready for any number of epochs; the landing zone is not read.

    Args:
        spec: of the records, as `assets.training.normalize.input_spec` makes it.
        config: says how series are cut (`features`) and how much disk decoded pictures may take (`training.cache_gb`).
        scratch: where cached pictures lie; by default see `assets.loading.cache`.
        report: told in words how far a cache is built.

    Raises:
        VerificationError: a shard is missing or its bytes were changed.
        RejectedError: the split is empty, or a record cannot be read; says which.
        TransientError: the disk of the cache is full.
    """
    if spec.kind == "series":
        section = config.data.series
        unit_ids = section.unit_ids if section is not None else "batch"
        series = read_series(store, dataset, split, spec, config.features, unit_ids)
        return RecordSet(spec, series.y, series.uncapped, series.ids, series.groups, _Windows(series))
    stored = find_stored(store, dataset, split)
    if spec.kind == "image":
        source: Source = open_pictures(stored, spec, config.training.cache_gb, scratch, report)
    else:
        source = _Rows(stored, _tensors(stored, spec))
    capped = stored.y
    if config.features.cap is not None and not dataset.classes:
        capped = np.minimum(stored.y, config.features.cap)
    return RecordSet(spec, capped, stored.y, stored.ids, stored.groups, source)


def _tensors(stored: Stored, spec: InputSpec) -> NDArray[Any]:
    """(records, *shape) in memory; token numbers as int32, half of what they take in a batch."""
    kind = input_type(spec) if spec.kind != "text" else np.int32
    x = np.empty((len(stored), *spec.shape), dtype=kind)
    at = 0
    for inputs in stored.inputs():
        for data in inputs:
            x[at] = checked_tensor(stored.dataset, stored.split, spec, stored.ids[at], data)
            at += 1
    return x


@dataclass(frozen=True)
class _Rows:
    """Tensors in memory."""

    stored: Stored
    x: NDArray[Any]

    def batch(self, rows: NDArray[np.int64]) -> Tensor:
        """See `Source`."""
        found = self.x[rows]
        return torch.from_numpy(found if found.dtype == np.float32 else found.astype(np.int64))

    def input_of(self, row: int) -> bytes:
        """See `Source`."""
        return self.stored.input_of(row)


@dataclass(frozen=True)
class _Windows:
    """Windows over readings in memory."""

    series: Series

    def batch(self, rows: NDArray[np.int64]) -> Tensor:
        """See `Source`."""
        return torch.from_numpy(self.series.x(rows))

    def input_of(self, row: int) -> bytes:
        """See `Source`."""
        return self.series.input_of(row)
