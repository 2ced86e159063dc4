"""Timings against sessions that are known to differ."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import numpy as np
import pytest

from assets import measure


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
