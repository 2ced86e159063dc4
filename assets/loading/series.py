"""A split of a series: its units' readings in memory once, and its windows over them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.errors import RejectedError
from assets.line.data import UnitIds
from assets.line.model import FeaturePolicy
from assets.loading.stored import Stored, find_stored
from assets.loading.units import units_of
from assets.loading.windows import Windows, cut_windows, order_of
from assets.records.dataset import DatasetVersion, Split
from assets.records.forgotten import fetch_shard
from assets.records.read import Records, read_columns
from assets.storage.store import Store
from edge.contracts import InputSpec
from edge.runtime.inputs.rows import scaled_rows


@dataclass(frozen=True)
class Series:
    """Windows of a split.

    Attributes:
        values: (readings, columns) float64, unit after unit, each in the order of time.
        y, ids, groups: of the windows: of their last reading; `y` has the cap applied, `uncapped` has not.
    """

    spec: InputSpec
    values: NDArray[np.float64]
    windows: Windows
    y: NDArray[Any]
    uncapped: NDArray[Any]
    ids: tuple[str, ...]
    groups: tuple[str, ...]

    def __len__(self) -> int:
        """How many windows there are."""
        return len(self.windows)

    @cached_property
    def scaled(self) -> NDArray[np.float32]:
        """(readings, columns) float32, normalized as `edge.runtime.preprocess.series_tensor` does."""
        return scaled_rows(self.spec, self.values)

    def x(self, windows: NDArray[np.int64]) -> NDArray[np.float32]:
        """(windows, steps, columns) float32, normalized."""
        found: NDArray[np.float32] = self.scaled[self.windows.readings(windows)]
        return found

    def input_of(self, window: int) -> bytes:
        """Its readings, little-endian float64, one after another; where it was padded, the padding too."""
        rows: NDArray[np.float64] = self.values[self.windows.readings(np.asarray([window]))[0]]
        return rows.astype("<f8").tobytes()

    def arrays(self) -> Records:
        """All windows in memory."""
        inputs = tuple(self.input_of(window) for window in range(len(self)))
        return Records(self.x(np.arange(len(self))), self.y, self.ids, inputs)


@dataclass(frozen=True)
class Readings:
    """Every reading of a split, unit after unit, each unit's in the order of time; `stored.groups` names the units."""

    stored: Stored
    units: NDArray[np.int64]
    values: NDArray[np.float64]


def read_series(
    store: Store,
    dataset: DatasetVersion,
    split: Split,
    spec: InputSpec,
    features: FeaturePolicy,
    unit_ids: UnitIds = "batch",
) -> Series:
    """The windows of a split.

    Args:
        unit_ids: `data.series.unit_ids` of the line's contract.

    Raises:
        VerificationError: a shard is missing or its bytes were changed.
        RejectedError: the split is empty, or a reading cannot be used, which is named.
    """
    readings = read_readings(store, dataset, split, len(spec.columns), unit_ids)
    stored = readings.stored
    bad = np.flatnonzero(~np.isfinite(readings.values).all(axis=1))
    if len(bad):
        column = spec.columns[int(np.flatnonzero(~np.isfinite(readings.values[bad[0]]))[0])]
        raise RejectedError(
            f"line {dataset.line!r}: {split} record {stored.ids[bad[0]][:12]}… of unit {stored.groups[bad[0]]!r}: "
            f"column {column!r} is not a finite number; mend it in the source, or take it out of `data.series.columns`"
        )
    windows = cut_windows(readings.units, split, features.model_copy(update={"steps": spec.shape[0]}))
    uncapped = stored.y[windows.last]
    capped = uncapped if features.cap is None or dataset.classes else np.minimum(uncapped, features.cap)
    last = windows.last.tolist()
    ids, groups = (_at(names, last) for names in (stored.ids, stored.groups))
    return Series(spec, readings.values, windows, capped, uncapped, ids, groups)


def read_readings(
    store: Store, dataset: DatasetVersion, split: Split, columns: int, unit_ids: UnitIds = "batch"
) -> Readings:
    """Every reading of a split in memory, in order. Raises as `read_series` does."""
    stored = find_stored(store, dataset, split)
    values = np.empty((len(stored), columns))
    times = np.empty(len(stored))
    at = 0
    for number, ref in enumerate(dataset.shards):
        rows = stored.row[stored.shard == number]
        if not len(rows):
            continue
        found = read_columns(fetch_shard(store, ref), ref.uri, ["time", "input"])
        for row in rows.tolist():
            data, time = found["input"][row], found["time"][row]
            if not isinstance(data, bytes) or len(data) != 8 * columns or time is None:
                raise RejectedError(
                    f"{ref.uri}: row {row + 1} is no reading of {columns} columns with a time; judge its batch again"
                )
            values[at], times[at] = np.frombuffer(data, dtype="<f8"), time
            at += 1
    units, names = units_of(stored, unit_ids)
    order = order_of(units, times)
    places = order.tolist()
    ordered = replace(
        stored,
        ids=_at(stored.ids, places),
        groups=_at(names, units[order].tolist()),
        origins=_at(stored.origins, places),
        y=stored.y[order],
        shard=stored.shard[order],
        row=stored.row[order],
    )
    return Readings(ordered, units[order], values[order])


def _at(names: Sequence[str], places: Sequence[int]) -> tuple[str, ...]:
    return tuple(names[place] for place in places)
