"""What a step takes: seconds, CPU time and memory of all its processes, and an estimate of its energy."""

from __future__ import annotations

import ctypes
import os
import resource
import sys
import time
from pathlib import Path

from assets.training.documents import Cost

WATTS_PER_CORE = 8.0
"""What a busy core is taken to draw, with its share of the caches: server parts are rated at 4 to 12 W a core."""
RAPL = Path("/sys/class/powercap")
_PROC = Path("/proc")


class Meter:
    """Measures from its making on; `cost()` may be asked for more than once.

    Under `torch.distributed.run` it counts the launcher's whole tree, which holds every rank and its helpers; else this
    process and its children. Where there is no /proc (macOS), this process and its children that have ended.
    """

    def __init__(self) -> None:
        launched = "TORCHELASTIC_RUN_ID" in os.environ
        self._root = os.getppid() if launched else os.getpid()
        self._began = time.monotonic()
        self._cpu = _cpu_seconds(self._root)
        self._rapl = _rapl_joules()
        self._gpus = _gpu_joules()

    def cost(self) -> Cost:
        """What was taken so far."""
        seconds, cpu = time.monotonic() - self._began, max(_cpu_seconds(self._root) - self._cpu, 0.0)
        watt_hours, note = self._energy(cpu)
        return Cost(round(seconds, 3), round(cpu, 3), round(_peak_mb(self._root), 1), round(watt_hours, 4), note)

    def _energy(self, cpu_seconds: float) -> tuple[float, str]:
        rapl, notes = _rapl_joules(), []
        if rapl is not None and self._rapl is not None and rapl > self._rapl:
            joules = rapl - self._rapl
            notes.append("processors by their own counter (RAPL), with whatever else ran on this machine")
        else:
            joules = cpu_seconds * WATTS_PER_CORE
            notes.append(
                f"CPU seconds times {WATTS_PER_CORE:g} W per busy core, an assumption; it may be half or twice"
            )
        gpus = _gpu_joules()
        if gpus is not None and self._gpus is not None:
            joules += max(gpus - self._gpus, 0.0)
            notes.append("all GPUs of this machine by their own counter (NVML), with whatever else ran on them")
        notes.append("power supply, cooling and disks are not in it")
        return joules / 3600, "; ".join(notes)


def _tree(root: int) -> list[int]:
    """A process and every living descendant; empty where /proc tells nothing."""
    children: dict[int, list[int]] = {}
    for entry in _PROC.glob("[0-9]*"):
        if (fields := _stat(int(entry.name))) is not None:
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, queue = [], [root]
    while queue:
        pid = queue.pop()
        found.append(pid)
        queue += children.get(pid, [])
    return found


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/<pid>/stat from the state on; None where the process is gone."""
    try:
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def _cpu_seconds(root: int) -> float:
    """User and system time of the tree, children that were waited for included."""
    if not _PROC.is_dir():
        own, ended = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return own.ru_utime + own.ru_stime + ended.ru_utime + ended.ru_stime
    ticks = sum(sum(map(int, fields[11:15])) for pid in _tree(root) if (fields := _stat(pid)) is not None)
    return ticks / os.sysconf("SC_CLK_TCK")


def _peak_mb(root: int) -> float:
    """The most memory that one process of the tree has had in RAM, in MB of 1,000,000 bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    ended = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit
    if not _PROC.is_dir():
        return max(ended, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit) / 1e6
    # On Linux a process starts with the ru_maxrss of the one that started it; VmHWM is its own.
    return max([ended, *(_high_water(pid) for pid in _tree(root))]) / 1e6


def _high_water(pid: int) -> int:
    """VmHWM of a process in bytes; 0 where it is gone."""
    try:
        status = (_PROC / str(pid) / "status").read_text()
    except OSError:
        return 0
    found = [row.split() for row in status.splitlines() if row.startswith("VmHWM:")]
    return int(found[0][1]) * 1024 if found else 0


def _rapl_joules() -> float | None:
    """The processors' energy counters; None where they are missing or may not be read, as is usual."""
    total, found = 0.0, False
    for package in RAPL.glob("intel-rapl:?"):
        try:
            total += int((package / "energy_uj").read_text()) / 1e6
        except (OSError, ValueError):
            return None
        found = True
    return total if found else None


def _gpu_joules() -> float | None:
    """The energy counters of this machine's GPUs, by NVIDIA's library; None without any."""
    try:
        nvml = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return None
    if nvml.nvmlInit_v2() != 0:
        return None
    count, total, found = ctypes.c_uint(), 0.0, False
    if nvml.nvmlDeviceGetCount_v2(ctypes.byref(count)) == 0:
        for index in range(count.value):
            handle, used = ctypes.c_void_p(), ctypes.c_ulonglong()
            if nvml.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(handle)) != 0:
                continue
            if nvml.nvmlDeviceGetTotalEnergyConsumption(handle, ctypes.byref(used)) == 0:  # millijoules
                total, found = total + used.value / 1000, True
    nvml.nvmlShutdown()
    return total if found else None
