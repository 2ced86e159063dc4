"""What a step takes is measured over all its processes, and the energy says how it was estimated."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from assets.training import cost
from assets.training.cost import WATTS_PER_CORE, Meter

BURN = "import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass\nx = b'1' * 60_000_000"


@pytest.fixture
def no_counters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "_rapl_joules", lambda: None)
    monkeypatch.setattr(cost, "_gpu_joules", lambda: None)


@pytest.mark.usefixtures("no_counters")
def test_time_and_memory_of_children_count() -> None:
    meter = Meter()
    subprocess.run([sys.executable, "-c", BURN], check=True)
    took = meter.cost()
    assert took.cpu_seconds >= 0.29
    assert took.seconds >= 0.29
    assert took.peak_memory_mb >= 60
    assert took.energy_wh == pytest.approx(took.cpu_seconds * WATTS_PER_CORE / 3600, abs=1e-4)
    assert "an assumption" in took.energy_note


@pytest.mark.usefixtures("no_counters")
def test_ranks_beside_this_one_count(monkeypatch: pytest.MonkeyPatch) -> None:
    code = """
import os
from assets.training.cost import Meter
meter = Meter()
print(meter._root == os.getppid())
"""
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "made")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"


def test_counters_are_used_where_they_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "intel-rapl:0"
    package.mkdir()
    monkeypatch.setattr(cost, "RAPL", tmp_path)
    joules = iter([None, 7200.0])
    (package / "energy_uj").write_text("5000000")
    monkeypatch.setattr(cost, "_gpu_joules", lambda: next(joules))
    meter = Meter()
    (package / "energy_uj").write_text(str(5_000_000 + 3_600_000_000))
    took = meter.cost()
    assert took.energy_wh == pytest.approx(1.0)
    assert "RAPL" in took.energy_note
    assert "NVML" not in took.energy_note


def test_gpus_are_added(monkeypatch: pytest.MonkeyPatch) -> None:
    joules = iter([100.0, 3700.0])
    monkeypatch.setattr(cost, "_rapl_joules", lambda: None)
    monkeypatch.setattr(cost, "_gpu_joules", lambda: next(joules))
    took = Meter().cost()
    assert took.energy_wh == pytest.approx(1.0, abs=0.01)
    assert "NVML" in took.energy_note


def test_a_small_process_of_a_large_one_tells_its_own_peak() -> None:
    code = (
        "import subprocess, sys; held = bytearray(b'x' * 400_000_000); "
        "subprocess.run([sys.executable, '-c', 'import os; from assets.training.cost import _peak_mb; "
        "print(_peak_mb(os.getpid()))'], check=True)"
    )
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=280).stdout
    assert 5 < float(told) < 300
