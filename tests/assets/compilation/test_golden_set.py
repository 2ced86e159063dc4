"""Golden sets: balanced, the same every time, and with tolerances that come from measurements."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from assets.compilation.golden_set import (
    GOLDEN_RECORDS,
    LEAST_AGREEMENT,
    LEAST_SHARE_OF_RANGE,
    MARGIN,
    golden_input,
    make_golden,
    pick_records,
)
from assets.errors import CompileError
from assets.tasks.class_golden import MAX_INPUT_BYTES
from assets.tasks.task import load_task
from edge.contracts import InputSpec
from edge.runtime.preprocess import golden_tensor, record_tensor

TABLE = InputSpec("table", "x", (2,), (0.0, 0.0), (1.0, 1.0), ("a", "b"))
LABELS = ("x", "y", "z")


CLASSES = load_task("tabular_classification")
NUMBERS = load_task("tabular_regression")


@dataclass(frozen=True)
class Held:
    """Records as golden sets ask for them."""

    y: Any
    ids: tuple[str, ...]
    inputs: tuple[bytes, ...]

    @property
    def groups(self) -> tuple[str, ...]:
        return ("",) * len(self.ids)

    def __len__(self) -> int:
        return len(self.ids)

    def batch(self, rows: Any) -> torch.Tensor:
        return torch.zeros((len(rows), 2))

    def input_of(self, row: int) -> bytes:
        return self.inputs[row]


def records(labels: list[int], sizes: dict[int, int] | None = None) -> Held:
    count = len(labels)
    inputs = [struct.pack("<2d", number, -0.1) for number in range(count)]
    for at, size in (sizes or {}).items():
        inputs[at] = bytes(size)
    ids = tuple(f"{number * 7919 % 10_000:064d}" for number in range(count))
    return Held(np.asarray(labels, np.int64), ids, tuple(inputs))


@given(st.lists(st.integers(0, 2), max_size=60), st.randoms())
def test_picks_are_balanced_and_do_not_depend_on_order(labels: list[int], random: object) -> None:
    test = records(labels)
    picked = pick_records(CLASSES, test, LABELS)
    assert len(picked) == len(set(picked)) == min(len(labels), GOLDEN_RECORDS)
    counts = [sum(int(test.y[at]) == label for at in picked) for label in range(3)]
    for label in range(3):
        if counts[label] < labels.count(label):  # a class that has more records is at most one behind
            assert counts[label] >= max(counts) - 1
    order = list(range(len(labels)))
    random.shuffle(order)  # type: ignore[attr-defined]
    shuffled = Held(test.y[order], tuple(test.ids[at] for at in order), tuple(test.inputs[at] for at in order))
    assert [shuffled.ids[at] for at in pick_records(CLASSES, shuffled, LABELS)] == [test.ids[at] for at in picked]


def test_huge_pictures_are_picked_last() -> None:
    test = records([0, 0, 0], {0: MAX_INPUT_BYTES + 1})
    assert set(pick_records(CLASSES, test, LABELS, 2)) == {1, 2}
    assert len(pick_records(CLASSES, test, LABELS, 3)) == 3


def test_a_row_is_carried_as_json_that_gives_the_same_tensor() -> None:
    data = struct.pack("<2d", 0.1 + 0.2, -1e-300)
    text = golden_input(TABLE, data)
    assert list(json.loads(text)) == ["a", "b"]
    np.testing.assert_array_equal(golden_tensor(TABLE, text), record_tensor(TABLE, data))


def test_a_category_is_carried_as_its_word() -> None:
    spec = InputSpec("table", "x", (2,), (0.0, 0.0), (1.0, 1.0), ("a", "b"), {"b": ("low", "high")})
    data = struct.pack("<2d", 0.5, 1.0)
    text = golden_input(spec, data)
    assert json.loads(text) == {"a": 0.5, "b": "high"}
    np.testing.assert_array_equal(golden_tensor(spec, text), record_tensor(spec, data))


@pytest.mark.parametrize(
    ("spec", "data"),
    [
        (
            InputSpec("series", "x", (3, 2), (0.5, 0.0), (2.0, 1.0), ("a", "b"), {"b": ("low", "high")}),
            struct.pack("<6d", 0.1, 0, 0.2, 1, 0.3, 0),
        ),
        (InputSpec("text", "x", (5,), (), (), buckets=64), 'Größe zählt, "sagt" man 🚀'.encode()),
        (InputSpec("noise", "x", (3,), (), ()), struct.pack("<3d", 0.1, -2.5, 1e-7)),
    ],
)
def test_every_kind_is_carried_as_text_that_gives_the_same_tensor(spec: InputSpec, data: bytes) -> None:
    np.testing.assert_array_equal(golden_tensor(spec, golden_input(spec, data)), record_tensor(spec, data))


def test_numbers_are_judged_by_how_far_they_are_off() -> None:
    test = records([0] * 20)
    expected = np.linspace(0, 100, 20, dtype=np.float32)[:, None]
    golden = make_golden(TABLE, NUMBERS, (), test, range(20), expected, {"cpu": expected + 3})
    assert golden.max_abs_diff == pytest.approx(MARGIN * 3, rel=1e-4)
    assert golden.min_agreement == 1.0
    assert golden.records[0].label == "0.0"
    with pytest.raises(CompileError, match="the cpu model answers"):
        make_golden(TABLE, NUMBERS, (), test, range(20), expected, {"cpu": expected + 30})


def test_a_model_that_answers_always_the_same_is_not_held_to_zero() -> None:
    expected = np.full((4, 1), 50, np.float32)
    golden = make_golden(TABLE, NUMBERS, (), records([0] * 4), range(4), expected, {"cpu": expected})
    assert golden.max_abs_diff == pytest.approx(LEAST_SHARE_OF_RANGE * 50)


def test_tolerances_come_from_the_worst_dialect() -> None:
    test = records([0, 1, 2, 0, 1, 2, 0, 1, 2, 0])
    picked = list(range(10))
    expected = np.eye(3, dtype=np.float32)[test.y]
    expected[3] = (1, 0.99, 0)
    near, far = expected + np.float32(0.001), expected.copy()
    far[3] = (0.99, 1.09, 0)
    golden = make_golden(TABLE, CLASSES, LABELS, test, picked, expected, {"cpu": near, "tensorrt": far})
    assert golden.max_abs_diff == pytest.approx(MARGIN * 0.1, rel=1e-4)
    assert golden.min_agreement == pytest.approx(0.9 - 0.1)
    assert [record.label for record in golden.records[:4]] == ["x", "y", "z", "x"]
    exact = make_golden(TABLE, CLASSES, LABELS, test, picked, expected, {"cpu": expected})
    assert exact.max_abs_diff == pytest.approx(LEAST_SHARE_OF_RANGE)
    assert exact.min_agreement == pytest.approx(1 - 0.1)


def test_a_dialect_that_answers_otherwise_sets_no_tolerance() -> None:
    test, picked = records([0, 1] * 5), list(range(10))
    expected = np.eye(3, dtype=np.float32)[test.y]
    for wrong in range(11):
        answers = expected.copy()
        answers[:wrong] = (0, 0, 1)
        if wrong > 2:
            with pytest.raises(CompileError, match=r"the tensorrt model answers .* of 10 golden records"):
                make_golden(TABLE, CLASSES, LABELS, test, picked, expected, {"cpu": expected, "tensorrt": answers})
        else:
            golden = make_golden(TABLE, CLASSES, LABELS, test, picked, expected, {"cpu": expected, "tensorrt": answers})
            assert golden.min_agreement >= LEAST_AGREEMENT


def test_nothing_and_nan_make_no_golden_set() -> None:
    empty = np.zeros((0, 3), np.float32)
    with pytest.raises(CompileError, match="no record"):
        make_golden(TABLE, CLASSES, LABELS, records([]), [], empty, {})
    broken = np.full((1, 3), np.nan, np.float32)
    with pytest.raises(CompileError, match="the cpu model answers"):
        make_golden(TABLE, CLASSES, LABELS, records([0]), [0], np.zeros((1, 3), np.float32), {"cpu": broken})
