"""Timings of sessions that are known to differ, by a clock of the test's own."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from assets.evaluation import latency


class _Clock:
    """A clock that goes on only while a session is called."""

    def __init__(self) -> None:
        self.now = 0

    def session(self, milliseconds: int) -> Any:
        """A session whose calls take so long."""

        def run(_outputs: None, feed: dict[str, Any]) -> list[Any]:
            assert list(feed) == ["input"]
            self.now += milliseconds * 1_000_000
            return []

        return SimpleNamespace(get_inputs=lambda: [SimpleNamespace(name="input")], run=run)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> _Clock:
    made = _Clock()
    monkeypatch.setattr("assets.evaluation.latency.time", SimpleNamespace(perf_counter_ns=lambda: made.now))
    return made


def test_interleaved_timings_tell_slow_from_fast(clock: _Clock) -> None:
    x = np.zeros((1, 2), dtype=np.float32)
    taken = latency.interleaved_ms({"slow": clock.session(4), "fast": clock.session(1)}, x, rounds=5, calls=3)
    assert taken["slow"].shape == (5, 3)
    assert latency.speedup(taken["slow"], taken["fast"]) == 4
    found = latency.latency(taken["slow"])
    assert (found.median_ms, found.p95_ms) == (4, 4)
    assert "onnxruntime" in found.machine
    assert (found.batch, latency.latency(taken["slow"], 4).batch) == (1, 4)


def test_a_slow_model_is_called_less_often(clock: _Clock) -> None:
    x = np.zeros((1, 2), dtype=np.float32)
    assert latency.bounded_ms({"slow": clock.session(40)}, x, rounds=1)["slow"].shape == (1, 1)
    fast = latency.bounded_ms({"fast": clock.session(0)}, x, rounds=2, calls=3)["fast"]
    assert fast.shape == (2, 3)


def test_naming_the_machine_loads_no_runtime() -> None:
    code = (
        "import sys, assets.evaluation.machine as m; print(m.machine_name()); assert 'onnxruntime' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ", onnxruntime 1." in done.stdout
