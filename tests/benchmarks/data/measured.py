"""Runs one piece of work in a process of its own, and tells its seconds and its peak memory."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
SAMPLE_SECONDS = 0.05


def run_alone(
    module: str, *arguments: str, timeout: float = 3000, sample_seconds: float = SAMPLE_SECONDS
) -> dict[str, Any]:
    """Run `python -m module arguments…`, whose last line is the JSON of what it found.

    Args:
        sample_seconds: between two looks at its memory; a look at a large process costs 10 ms and stops it.

    Returns:
        That, with `peak_mb`: the most memory that it and its children had resident at one time (10^6 bytes; pages
        that processes share are counted once each).
    """
    command = [sys.executable, "-W", "ignore", "-m", module, *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        watcher = _Watcher(child.pid, sample_seconds)
        watcher.start()
        try:
            out, err = child.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            child.kill()
            raise
        finally:
            watcher.stop.set()
    if child.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {child.returncode}: {err[-2000:]}")
    return {**json.loads(out.splitlines()[-1]), "peak_mb": round(watcher.peak / 1e6, 1)}


class _Watcher(threading.Thread):
    """Adds up the proportional memory of a process and its children, again and again."""

    def __init__(self, pid: int, sample_seconds: float) -> None:
        super().__init__(daemon=True)
        self._pid, self._seconds, self.peak, self.stop = pid, sample_seconds, 0, threading.Event()

    def run(self) -> None:
        while not self.stop.wait(self._seconds):
            self.peak = max(self.peak, sum(map(_proportional, _family(self._pid))))


def _family(pid: int) -> list[int]:
    found, waiting = [], [pid]
    while waiting:
        one = waiting.pop()
        found.append(one)
        try:
            for task in Path(f"/proc/{one}/task").iterdir():
                waiting += [int(child) for child in (task / "children").read_text().split()]
        except OSError:
            continue
    return found


def _proportional(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of wall clock that `work` takes, and what it returns."""
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


def cpu_seconds() -> float:
    """Processor seconds that this process and its children have used so far: what a busy machine cannot bend."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    ticks = 0
    for pid in _family(os.getpid()):
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK") + ended.ru_utime + ended.ru_stime
