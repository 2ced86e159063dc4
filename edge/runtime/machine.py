"""What a latency was measured on."""

from __future__ import annotations

import functools
import platform
from pathlib import Path
from typing import Literal

from edge.contracts import TargetProfile

FEATURES = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimd", "asimddp", "i8mm")
"""Instruction sets that decide how fast or how exactly INT8 and float are computed, as Linux names them."""
Arch = Literal["x86_64", "aarch64"]


def machine_name() -> str:
    """The board's or the processor's name, e.g. "NVIDIA Jetson Orin Nano" or "AMD EPYC"; else the architecture."""
    try:
        return Path("/proc/device-tree/model").read_text("utf-8", "replace").rstrip("\0 \n") or platform.machine()
    except OSError:
        pass
    try:
        for row in Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines():
            name, _, value = row.partition(":")
            if name.strip() == "model name":
                return value.strip()
    except OSError:
        pass
    return platform.machine()


def machine_arch() -> Arch | None:
    """ "x86_64" or "aarch64"; None on anything else."""
    names: dict[str, Arch] = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}
    return names.get(platform.machine().lower())


@functools.cache
def cpu_features() -> tuple[str, ...]:
    """Those of `FEATURES` that this machine's processor has; none where the system does not say it."""
    try:
        rows = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        return ()
    found = next((row for row in rows if row.lower().startswith(("flags", "features"))), "")
    words = set(found.partition(":")[2].split())
    return tuple(feature for feature in FEATURES if feature in words)


def is_here(target: TargetProfile) -> bool:
    """Whether this machine is of a target's kind, so that what is measured here was measured on it; CPUs only."""
    fits = set(target.cpu_features) <= set(cpu_features())
    return target.runtime == "onnxruntime" and target.arch == machine_arch() and fits
