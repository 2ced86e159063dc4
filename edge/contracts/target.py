"""Kinds of devices, and what one device says it is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from edge.contracts.codec import document

Runtime = Literal["onnxruntime", "tensorrt", "tensorrt_rtx"]
Dialect = Literal["float", "cpu", "tensorrt"]
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


def is_name(text: str) -> bool:
    """Whether a device, line or group may be called so: it becomes part of paths and URLs."""
    return bool(_NAME.fullmatch(text)) and ".." not in text


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
        cpu_features: instruction sets the artifact counts on, as Linux names them, e.g. "avx512_vnni": a processor
            without one of them would compute something else without a word.
        memory_mb: least free memory in MiB; None where unknown.
        below_version: the first version of the runtime that does not load or build the artifact; "" for none known.
        device: what it stands for, in words, e.g. "Jetson Orin with JetPack 6"; for people.
    """

    name: str
    runtime: Runtime
    arch: Literal["x86_64", "aarch64"]
    dialect: Dialect
    sm: int | None = None
    runtime_version: str = ""
    cpu_features: tuple[str, ...] = ()
    memory_mb: int | None = None
    below_version: str = ""
    device: str = ""


@document("edgeloop.device_profile", "1.1")
@dataclass(frozen=True)
class DeviceProfile:
    """What one device says it is; it decides for itself which artifact of a release it runs.

    Attributes:
        device: its name, unique in the fleet.
        line, group: what it runs, and the group that rollouts address it by.
        arch: "x86_64" or "aarch64".
        sm: of its GPU; None without one.
        runtimes: runtime name to installed version, e.g. {"onnxruntime": "1.31.1"}.
        cpu_features: instruction sets of its processor that artifacts may count on.
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
    cpu_features: tuple[str, ...] = ()


def _rtx(sm: int, device: str) -> TargetProfile:
    return TargetProfile(f"rtx-sm{sm}", "tensorrt_rtx", "x86_64", "tensorrt", sm=sm, device=device)


def _cpu(name: str, arch: Literal["x86_64", "aarch64"], device: str, *features: str) -> TargetProfile:
    return TargetProfile(name, "onnxruntime", arch, "cpu", None, "1.23", features, device=device)


def _jetson(name: str, sm: int, least: str, below: str, device: str) -> TargetProfile:
    return TargetProfile(name, "tensorrt", "aarch64", "tensorrt", sm, least, below_version=below, device=device)


def _data_centre(sm: int, device: str) -> TargetProfile:
    return TargetProfile(f"trt-sm{sm}", "tensorrt", "x86_64", "tensorrt", sm, "10.3", below_version="12", device=device)


TARGETS: Mapping[str, TargetProfile] = {
    profile.name: profile
    for profile in (
        _cpu("cpu-x86", "x86_64", "any x86-64 processor"),
        _cpu(
            "cpu-x86-vnni",
            "x86_64",
            "x86-64 with AVX512-VNNI: Intel Xeon since Cascade Lake, AMD since Zen 4",
            "avx512_vnni",
        ),
        _cpu("cpu-arm64", "aarch64", "any 64-bit Arm processor"),
        _rtx(75, "RTX 20, T4"),
        _rtx(80, "A100, A30"),
        _rtx(86, "RTX 30, A10, A40"),
        _rtx(89, "RTX 40, L4, L40"),
        _rtx(120, "RTX 50"),
        _rtx(121, "DGX Spark (GB10)"),
        _jetson("orin-jp6", 87, "10.3", "11", "Jetson Orin with JetPack 6"),
        _jetson("orin-jp7", 87, "10.16", "12", "Jetson Orin with JetPack 7"),
        _jetson("thor-jp7", 110, "10.13", "12", "Jetson Thor with JetPack 7"),
        _data_centre(80, "A100, A30"),
        _data_centre(86, "A10, A40, RTX 30"),
        _data_centre(89, "L4, L40, RTX 40"),
        _data_centre(90, "H100, H200"),
    )
}
"""The kinds of devices a line may name.

"cpu-x86" is any x86-64 processor, so nothing for it counts on VNNI; name "cpu-x86-vnni" besides where some have it, and
each device takes what fits it. JetPack 6 stays below TensorRT 11, JetPack 7 takes it from 7.2.2 on.

TensorRT-RTX builds for each of its SMs on a machine without a GPU. TensorRT builds for the GPU of its own machine
alone: elsewhere such a target ships the ONNX file with a recipe, and the device builds its plan."""
