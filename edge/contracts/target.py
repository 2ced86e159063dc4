"""Kinds of devices, and what one device says it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from edge.contracts.codec import document

Runtime = Literal["onnxruntime", "tensorrt", "tensorrt_rtx"]
Dialect = Literal["float", "cpu", "tensorrt"]


@dataclass(frozen=True)
class TargetProfile:
    """A kind of device that artifacts are made for.

    Attributes:
        name: e.g. "cpu-x86", "rtx-sm86"; unique within a release.
        runtime: what executes the artifact.
        arch: "x86_64" or "aarch64".
        sm: CUDA compute capability times ten (86 for 8.6); None for a CPU.
        dialect: which Q/DQ form of the model this target executes.
        runtime_version: least version of the runtime that loads the artifact; for a plan, the exact builder version.
        cpu_features: instruction sets the artifact counts on, e.g. "avx512_vnni"; for information.
        memory_mb: least free memory in MiB; None where unknown.
    """

    name: str
    runtime: Runtime
    arch: Literal["x86_64", "aarch64"]
    dialect: Dialect
    sm: int | None = None
    runtime_version: str = ""
    cpu_features: tuple[str, ...] = ()
    memory_mb: int | None = None


@document("edgeloop.device_profile")
@dataclass(frozen=True)
class DeviceProfile:
    """What one device says it is; it decides for itself which artifact of a release it runs.

    Attributes:
        device: its name, unique in the fleet.
        line, group: what it runs, and the group that rollouts address it by.
        arch: "x86_64" or "aarch64".
        sm: of its GPU; None without one.
        runtimes: runtime name to installed version, e.g. {"onnxruntime": "1.31.1"}.
        public_key: its own ed25519 report key, 64 hex digits of the raw public key.
    """

    device: str
    line: str
    group: str
    arch: Literal["x86_64", "aarch64"]
    public_key: str
    sm: int | None = None
    runtimes: Mapping[str, str] = field(default_factory=dict)
    memory_mb: int | None = None
    machine: str = ""


def _rtx(sm: int) -> TargetProfile:
    return TargetProfile(f"rtx-sm{sm}", "tensorrt_rtx", "x86_64", "tensorrt", sm=sm)


TARGETS: Mapping[str, TargetProfile] = {
    profile.name: profile
    for profile in (
        TargetProfile("cpu-x86", "onnxruntime", "x86_64", "cpu", runtime_version="1.23"),
        TargetProfile("cpu-arm64", "onnxruntime", "aarch64", "cpu", runtime_version="1.23"),
        *(_rtx(sm) for sm in (75, 80, 86, 89, 120, 121)),
    )
}
"""The kinds of devices a line may name. "cpu-x86" is any x86-64 processor, so nothing for it counts on VNNI.
TensorRT-RTX builds for each of its SMs on a machine without a GPU."""
