"""Units: of their batch unless names hold for good; no window joins two machines that share a name."""

from __future__ import annotations

import tempfile
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.errors import RejectedError
from assets.line.config import Line, parse_line
from assets.loading.records import open_split
from assets.loading.series import Series, read_series
from assets.loading.units import shard_batches
from assets.records.dataset import DatasetVersion
from assets.records.line_store import bind
from assets.storage.store import Store
from assets.training.normalize import input_spec
from edge.contracts import InputSpec
from tests.assets.loading.loading_parts import Stored, dataset_of, reading

STEPS = 3
OTHERS = (("validation", "held"), ("test", "out"))
Batch = dict[str, list[int]]
"""Unit to its times."""
BATCHES = st.lists(
    st.dictionaries(
        st.sampled_from("12"), st.lists(st.integers(0, 9), min_size=1, max_size=5, unique=True), min_size=1
    ),
    min_size=1,
    max_size=3,
)
Window = tuple[tuple[float, float], ...]
"""Time and machine of each of its readings."""


def machines(unit_ids: str) -> Line:
    series = {"unit": "u", "time": "t", "columns": ["time", "machine"], "target": "y", "unit_ids": unit_ids}
    attributes = {
        "data": {"reader": "series", "series": series},
        "model": "gru",
        "features": {"steps": STEPS, "stride": 1},
    }
    return parse_line("machines", attributes, "test")


def readings(batch: Batch, machine: float) -> list[Stored]:
    """Column time is the time, column machine tells batch and unit."""
    return [
        reading(unit, float(time), (float(time), machine + number), "0.5", "train")
        for number, (unit, times) in enumerate(sorted(batch.items()))
        for time in times
    ]


def landed(store: Store, line: Line, batches: Sequence[Batch]) -> DatasetVersion:
    held = [reading(unit, 0.0, (0.0, -1.0), "0.5", split) for split, unit in OTHERS]
    for number, batch in enumerate(batches):
        dataset = dataset_of(bind(store, line), [*readings(batch, 100.0 * number), *held])
    return dataset


def opened(store: Store, dataset: DatasetVersion, line: Line) -> Series:
    spec = InputSpec("series", "input", (STEPS, 2), (0.0, 0.0), (1.0, 1.0), ("time", "machine"), {})
    assert line.config.data.series is not None
    return read_series(store, dataset, "train", spec, line.config.features, line.config.data.series.unit_ids)


def windows_of(series: Series) -> Counter[Window]:
    found = series.values[series.windows.readings(np.arange(len(series)))]
    return Counter(tuple((time, machine) for time, machine in window) for window in found.tolist())


def expected(units: Sequence[Sequence[tuple[float, float]]]) -> Counter[Window]:
    """The windows of units that are told apart rightly: the last `STEPS` readings up to each, once enough are there."""
    found: Counter[Window] = Counter()
    for unit in map(sorted, units):
        for last in range(min(STEPS, len(unit)) - 1, len(unit)):
            window = unit[max(0, last + 1 - STEPS) : last + 1]
            found[tuple([window[0]] * (STEPS - len(window)) + window)] += 1
    return found


@given(BATCHES)
@settings(max_examples=25)
def test_no_window_has_readings_of_two_batches(batches: list[Batch]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store, line = Store(folder), machines("batch")
        series = opened(store, landed(store, line, batches), line)
    units: dict[float, list[tuple[float, float]]] = defaultdict(list)
    for number, batch in enumerate(batches):
        for record in readings(batch, 100.0 * number):
            time, machine = np.frombuffer(record.input, "<f8").tolist()
            units[machine].append((time, machine))
    found = windows_of(series)
    assert all(len({machine for _, machine in window}) == 1 for window in found)
    assert found == expected(list(units.values()))
    names = {(group, machine) for group, machine in zip(series.groups, machines_of(series), strict=True)}
    assert len({group for group, _ in names}) == len(names) == len(units)  # what is told by unit tells them apart


def machines_of(series: Series) -> list[float]:
    """The machine that each window is of."""
    found: list[float] = series.values[series.windows.last, 1].tolist()
    return found


@given(BATCHES)
@settings(max_examples=25)
def test_global_units_go_on_as_if_their_batches_were_one(batches: list[Batch]) -> None:
    later = [{unit: [time + 10 * number for time in times] for unit, times in batch.items()}
             for number, batch in enumerate(batches)]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        store, line = Store(folder), machines("global")
        series = opened(store, landed(store, line, later), line)
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        rows = [record for number, batch in enumerate(later) for record in readings(batch, 100.0 * number)]
        held = [reading(unit, 0.0, (0.0, -1.0), "0.5", split) for split, unit in OTHERS]
        whole = opened(store, dataset_of(bind(store, line), [*rows, *held]), line)
    assert windows_of(series) == windows_of(whole)
    assert sorted(zip(series.ids, series.groups, strict=True)) == sorted(zip(whole.ids, whole.groups, strict=True))


def test_a_reading_that_returned_is_of_the_unit_it_was_taken_out_of(tmp_path: Path) -> None:
    store, line = Store(str(tmp_path)), machines("batch")
    landed(store, line, [{"1": [0, 1, 3]}, {"1": [0, 1, 2]}])
    first = bind(store, line).accepted_batches()[0][1].batch
    back = replace(reading("1", 2.0, (2.0, 0.0), "0.5", "train"), origin=first)
    dataset = dataset_of(bind(store, line), [back], shards=1)
    found = windows_of(opened(store, dataset, line))
    assert found == expected([[(time, 0.0) for time in range(4)], [(time, 100.0) for time in range(3)]])


def test_units_are_told_apart_by_name_where_people_and_measures_count_them(tmp_path: Path) -> None:
    store, line = Store(str(tmp_path)), machines("batch")
    dataset = landed(store, line, [{"1": [0, 1, 2], "2": [0]}, {"1": [0, 1, 2]}])
    found = open_split(store, dataset, "train", input_spec(store, dataset, line.config), line.config)
    batches = [entry.batch[:12] for _, entry in bind(store, line).accepted_batches()]
    assert sorted(set(found.groups)) == ["1 (batch " + min(batches) + ")", "1 (batch " + max(batches) + ")", "2"]


def test_the_batch_of_a_shard_is_found_without_its_reference_saying_it(tmp_path: Path) -> None:
    store, line = Store(str(tmp_path)), machines("batch")
    dataset = landed(store, line, [{"1": [0, 1, 2]}, {"1": [0, 1, 2]}])
    plain = replace(dataset, shards=tuple(replace(ref, parents=()) for ref in dataset.shards))
    assert shard_batches(store, plain) == shard_batches(store, dataset)
    assert set(shard_batches(store, dataset)) == set(dataset.batches)
    astray = replace(plain, batches=plain.batches[:1])
    with pytest.raises(RejectedError, match="nothing says which batch it is of; materialize the dataset again"):
        shard_batches(store, astray)
