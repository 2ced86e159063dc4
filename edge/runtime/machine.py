"""What a latency was measured on."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Literal

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
