"""Timings against sessions that are known to differ."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import numpy as np

from assets.evaluation import latency


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
    taken = latency.interleaved_ms({"slow": _Sleeper(0.004), "fast": _Sleeper(0.001)}, x, rounds=5, calls=3)
    assert taken["slow"].shape == (5, 3)
    assert latency.speedup(taken["slow"], taken["fast"]) > 1.5
    found = latency.latency(taken["slow"])
    assert 4 <= found.median_ms <= found.p95_ms
    assert "onnxruntime" in found.machine
    assert (found.batch, latency.latency(taken["slow"], 4).batch) == (1, 4)


def test_a_slow_model_is_called_less_often() -> None:
    x = np.zeros((1, 2), dtype=np.float32)
    assert latency.bounded_ms({"slow": _Sleeper(0.04)}, x, rounds=1)["slow"].shape == (1, 1)
    fast = latency.bounded_ms({"fast": _Sleeper(0)}, x, rounds=2, calls=3)["fast"]
    assert fast.shape == (2, 3)


def test_naming_the_machine_loads_no_runtime() -> None:
    code = (
        "import sys, assets.evaluation.latency as m; print(m.machine_name()); assert 'onnxruntime' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ", onnxruntime 1." in done.stdout
