"""Intervals against published numbers, and timings against sessions that are known to differ."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets import measure


def test_wilson_matches_the_textbook() -> None:
    # Newcombe 1998 (Statistics in Medicine 17:857-872), table I: 81 of 263 and 0 of 20.
    share = measure.wilson(81, 263)
    assert (round(share.low, 4), round(share.high, 4)) == (0.2553, 0.3662)
    none = measure.wilson(0, 20)
    assert (none.low, round(none.high, 4)) == (0.0, 0.1611)


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_its_share(counts: tuple[int, int]) -> None:
    interval = measure.wilson(*counts)
    assert 0 <= interval.low <= interval.value <= interval.high <= 1
    assert interval.high - interval.low > 0


@pytest.mark.parametrize(("good", "records"), [(1, 0), (-1, 5), (6, 5)])
def test_wilson_refuses_what_is_no_share(good: int, records: int) -> None:
    with pytest.raises(ValueError, match="not a share"):
        measure.wilson(good, records)


def test_paired_difference_matches_newcombe() -> None:
    # Newcombe 1998 (Statistics in Medicine 17:2635-2650), the 50 pairs with cells 20, 12, 2, 16, method 10.
    first = np.repeat([True, True, False, False], [20, 12, 2, 16])
    second = np.repeat([True, False, True, False], [20, 12, 2, 16])
    interval = measure.paired_difference(first, second)
    assert interval.value == pytest.approx(0.2)
    assert (round(interval.low, 4), round(interval.high, 4)) == (0.0562, 0.3292)


def test_paired_difference_of_equal_models_is_not_certain() -> None:
    answers = np.ones(300, dtype=bool)
    interval = measure.paired_difference(answers, answers)
    assert interval.value == 0
    assert interval.low < 0 < interval.high


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=200))
def test_paired_difference_is_antisymmetric(pairs: list[tuple[bool, bool]]) -> None:
    first, second = np.array(pairs).T
    there, back = measure.paired_difference(first, second), measure.paired_difference(second, first)
    assert there.low <= there.value <= there.high
    assert (there.value, there.low, there.high) == pytest.approx((-back.value, -back.high, -back.low))


def test_paired_difference_refuses_other_records() -> None:
    with pytest.raises(ValueError, match="same records"):
        measure.paired_difference(np.ones(3, dtype=bool), np.ones(4, dtype=bool))


def test_macro_f1_weighs_rare_classes_as_much_as_common_ones() -> None:
    outputs = np.zeros((10, 3), dtype=np.float32)
    outputs[:, 0] = 1  # always class 0; class 2 is neither true nor answered
    y = np.array([0] * 9 + [1])
    assert measure.macro_f1(outputs, y) == pytest.approx((18 / 19 + 0) / 2)
    assert measure.accuracy_metrics("test", outputs, y)[0].value == pytest.approx(0.9)


class _Sleeper:
    """A session whose calls take a known time."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def get_inputs(self) -> list[Any]:
        return [type("Input", (), {"name": "input"})]

    def run(self, _outputs: None, feed: dict[str, Any]) -> list[Any]:
        assert list(feed) == ["input"]
        time.sleep(self.seconds)
        return []


def test_interleaved_timings_tell_slow_from_fast() -> None:
    x = np.zeros((1, 2), dtype=np.float32)
    taken = measure.interleaved_ms({"slow": _Sleeper(0.004), "fast": _Sleeper(0.001)}, x, rounds=5, calls=3)
    assert taken["slow"].shape == (5, 3)
    assert measure.speedup(taken["slow"], taken["fast"]) > 1.5
    found = measure.latency(taken["slow"])
    assert 4 <= found.median_ms <= found.p95_ms
    assert "onnxruntime" in found.machine


def test_naming_the_machine_loads_no_runtime() -> None:
    code = "import sys, assets.measure as m; print(m.machine_name()); assert 'onnxruntime' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ", onnxruntime 1." in done.stdout
