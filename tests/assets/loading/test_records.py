"""Series, texts and tables as training asks for them: the numbers that the device would see."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from assets.errors import RejectedError
from assets.loading.records import RecordSet, open_split
from assets.records.dataset import SPLITS
from assets.records.forgotten import Tombstone
from assets.records.line_store import bind
from assets.records.read import Records
from assets.storage import layout
from assets.storage.store import Store
from assets.training.normalize import input_spec
from edge.contracts import to_bytes
from edge.runtime.preprocess import record_tensor
from tests.assets.loading.loading_parts import (
    Stored,
    dataset_of,
    engines,
    load_split,
    reading,
    rows_line,
    series_line,
    texts_line,
)

LIVES = {"1": 12, "2": 3, "3": 40, "4": 9, "5": 30}
SIDES = {"1": "train", "2": "train", "3": "validation", "4": "test", "5": "test"}


def same(records: RecordSet, loaded: Records) -> None:
    """A record set has the records of `load_split`, and each tensor is what the device makes of the stored bytes."""
    arrays = records.arrays()
    np.testing.assert_array_equal(arrays.x, loaded.x)
    np.testing.assert_array_equal(arrays.y, loaded.y)
    assert (arrays.ids, arrays.inputs) == (loaded.ids, loaded.inputs)
    assert (arrays.x.dtype, arrays.y.dtype) == (loaded.x.dtype, loaded.y.dtype)
    assert len(records) == len(loaded.ids)
    for row in range(len(records)):
        np.testing.assert_array_equal(arrays.x[row], record_tensor(records.spec, records.input_of(row)))
    rows = np.asarray([0, len(records) - 1, 0])
    np.testing.assert_array_equal(records.batch(rows).numpy(), loaded.x[rows])


def test_windows_of_units(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    line = series_line(steps=5, stride=2, cap=20, judge="last")
    made = engines(LIVES, SIDES)
    shuffled = [made[at] for at in np.random.default_rng(0).permutation(len(made))]
    dataset = dataset_of(bind(store, line), shuffled, shards=3)
    spec = input_spec(store, dataset, line.config)
    assert (spec.kind, spec.shape, spec.columns) == ("series", (5, 2), ("a", "b"))
    assert spec.mean[0] == pytest.approx((sum(range(12)) + sum(range(3))) / 15)  # over training readings, each once
    sets = {split: open_split(store, dataset, split, spec, line.config) for split in SPLITS}
    for split, records in sets.items():
        same(records, load_split(store, dataset, split, spec, line.config.features))

    train = sets["train"]
    assert sorted(train.groups) == [*["1"] * 4, "2"]
    times = train.batch(np.arange(len(train))).numpy()[:, :, 0] * spec.std[0] + spec.mean[0]
    ends = np.rint(times[:, -1]).astype(int)
    assert sorted(ends[np.asarray(train.groups) == "1"]) == [5, 7, 9, 11]
    np.testing.assert_allclose(times[np.asarray(train.groups) == "2"], [[0, 0, 0, 1, 2]], atol=1e-5)
    lives = np.asarray([LIVES[unit] for unit in train.groups])
    np.testing.assert_array_equal(train.y, lives - 1 - ends)

    validation = sets["validation"]
    assert len(validation) == 20
    assert validation.y.max() == 20  # the cap
    assert validation.uncapped.max() == 35
    assert validation.y.min() == 0
    test = sets["test"]
    by_id = {record.id: record for record in made}
    found = zip(test.groups, test.y, test.ids, strict=True)
    assert sorted((unit, y, by_id[record].time) for unit, y, record in found) == [("4", 0, 8), ("5", 0, 29)]


def test_classes_of_windows_are_their_last_readings(tmp_path: Path) -> None:
    store, line = Store(str(tmp_path)), series_line(remaining=False, steps=2)
    made = [
        reading(unit, time, (time, 0.5), ("good", "bad")[time >= 2], split)
        for unit, split in (("a", "train"), ("b", "validation"), ("c", "test"))
        for time in range(4)
    ]
    dataset = dataset_of(bind(store, line), made)
    spec = input_spec(store, dataset, line.config)
    assert spec.std[1] == 1.0  # a constant column
    records = open_split(store, dataset, "test", spec, line.config)
    assert records.y.dtype == np.int64
    np.testing.assert_array_equal(records.y, [0, 1, 1])
    same(records, load_split(store, dataset, "test", spec, line.config.features))


def test_a_forgotten_reading_is_in_no_window(tmp_path: Path) -> None:
    store, line = Store(str(tmp_path)), series_line(steps=3)
    made = engines({"1": 8, "2": 6, "3": 6}, {"1": "train", "2": "validation", "3": "test"})
    dataset = dataset_of(bind(store, line), made)
    spec = input_spec(store, dataset, line.config)
    before = open_split(store, dataset, "train", spec, line.config)
    gone = made[4].id
    assert gone in before.ids
    store.write(layout.tombstone("engines", gone), to_bytes(Tombstone("engines", gone, 0.0, "me", "asked")))
    after = open_split(store, dataset, "train", spec, line.config)
    assert gone not in after.ids
    assert not any(made[4].input in after.input_of(row) for row in range(len(after)))
    assert len(after) == len(before) - 1


def test_a_reading_that_is_no_number_is_named(tmp_path: Path) -> None:
    store, line = Store(str(tmp_path)), series_line(steps=2)
    made = engines({"1": 4, "2": 4, "3": 4}, {"1": "train", "2": "validation", "3": "test"})
    spec = input_spec(store, dataset_of(bind(store, line), made), line.config)
    bad = reading("1", 2.5, (2.0, float("nan")), "1", "train")
    dataset = dataset_of(bind(store, line), [bad], shards=1)
    with pytest.raises(RejectedError, match="column 'b'"):
        input_spec(store, dataset, line.config)
    unit = r"of unit '1 \(batch [0-9a-f]{12}\)'"  # not the unit 1 that was there before
    with pytest.raises(RejectedError, match=rf"train record {bad.id[:12]}… {unit}: column 'b' is not a finite"):
        open_split(store, dataset, "train", spec, line.config)


def test_texts_become_token_numbers(tmp_path: Path) -> None:
    store, line = Store(str(tmp_path)), texts_line(tokens=6, buckets=64)
    words = ["free prize now", "hello", "call 0800 555", "see you, later!", "ok " * 30, "Grüße"]
    made = [
        Stored(hashlib.sha256(text.encode()).hexdigest(), ("ham", "spam")[at % 2], text.encode(), split)
        for at, text in enumerate(words)
        for split in [("train", "train", "validation", "test")[at % 4]]
    ]
    dataset = dataset_of(bind(store, line), made)
    spec = input_spec(store, dataset, line.config)
    assert (spec.kind, spec.shape, spec.buckets, spec.unit, spec.mean) == ("text", (6,), 64, "word", ())
    for split in SPLITS:
        records = open_split(store, dataset, split, spec, line.config)
        same(records, load_split(store, dataset, split, spec))
        assert records.batch(np.arange(len(records))).dtype == torch.int64


def test_rows_become_numbers_and_numbers_are_predicted(tmp_path: Path) -> None:
    store, line = Store(str(tmp_path)), rows_line(cap=30.0)
    draw = np.random.default_rng(0)
    made = []
    for at in range(40):
        data = np.asarray([draw.normal(5, 2), at % 2], dtype="<f8").tobytes()
        made.append(
            Stored(hashlib.sha256(data).hexdigest(), str(at), data, ("train", "train", "validation", "test")[at % 4])
        )
    dataset = dataset_of(bind(store, line), made, shards=3)
    spec = input_spec(store, dataset, line.config)
    assert spec.categories == {"b": ("low", "high")}
    for split in SPLITS:
        records = open_split(store, dataset, split, spec, line.config)
        loaded = load_split(store, dataset, split, spec)
        np.testing.assert_array_equal(records.y, np.minimum(loaded.y, 30))
        np.testing.assert_array_equal(records.uncapped, loaded.y)
        same(records, loaded._replace(y=np.minimum(loaded.y, 30)))


def test_a_constant_column_has_no_spread(tmp_path: Path) -> None:
    """518.67 has no exact mean in floats; taken as a spread, its rounding would blow the column up to +-1."""
    store, line = Store(str(tmp_path)), rows_line()
    made = []
    for at in range(3000):
        data = np.asarray([518.67, at % 2], dtype="<f8").tobytes()
        made.append(Stored(f"{at:064x}", "1", data, ("train", "validation", "test")[at % 3]))
    dataset = dataset_of(bind(store, line), made, shards=1)
    spec = input_spec(store, dataset, line.config)
    assert spec.std[0] == 1.0
    assert np.abs(load_split(store, dataset, "train", spec).x[:, 0]).max() < 1e-6


def test_an_empty_split_is_refused(tmp_path: Path) -> None:
    store, line = Store(str(tmp_path)), texts_line()
    made = [Stored(f"{at:064x}", "ham", b"x y", split) for at, split in enumerate(("train", "validation", "test"))]
    dataset = dataset_of(bind(store, line), made)
    spec = input_spec(store, dataset, line.config)
    gone = made[2].id
    store.write(layout.tombstone("sms", gone), to_bytes(Tombstone("sms", gone, 0.0, "me", "asked")))
    with pytest.raises(RejectedError, match="the test split has no record"):
        open_split(store, dataset, "test", spec, line.config)
