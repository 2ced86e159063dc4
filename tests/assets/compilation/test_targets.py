"""The table of targets in the room's README is what the code says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import assets.compilation
from assets.compilation import plans
from assets.compilation.plans import why_not_here
from edge.contracts import TARGETS, TargetProfile, to_bytes
from edge.contracts.target import DeviceProfile
from edge.engine.library import installed_version
from edge.engine.versions import RTX_SMS, TABLE, rules_for, version_numbers
from edge.errors import IncompatibleError
from edge.runtime.machine import cpu_features, is_here


def _table() -> str:
    """One row of Markdown for each of `TARGETS`."""
    rows = ["| target | device | runtime | ships | made |", "|---|---|---|---|---|"]
    return "\n".join((*rows, *map(_row, TARGETS.values())))


def _row(target: TargetProfile) -> str:
    if target.runtime == "onnxruntime":
        counts = f", counts on {', '.join(target.cpu_features)}" if target.cpu_features else ""
        runtime = f"`onnxruntime` {target.runtime_version} or later"
        return f"| `{target.name}` | {target.device} | {runtime} | ONNX, CPU dialect{counts} | on any machine |"
    if target.runtime == "tensorrt_rtx":
        runtime, made = f"`tensorrt_rtx`, SM{target.sm}", "on any x86-64 machine, without a GPU"
        return (
            f"| `{target.name}` | {target.device} | {runtime}, the builder's exact version | plan (`vtrt`) | {made} |"
        )
    versions = f"{target.runtime_version} to below {target.below_version}"
    made = "on such a device; elsewhere a recipe ships"
    ships = "plan (`ftrt`), or ONNX, TensorRT dialect, with a recipe"
    return f"| `{target.name}` | {target.device} | `tensorrt` {versions}, SM{target.sm} | {ships} | {made} |"


def test_the_readme_has_every_target() -> None:
    text = (Path(assets.compilation.__file__).parent / "README.md").read_text("utf-8")
    assert _table() in text


def test_every_target_is_one_that_is_driven() -> None:
    assert {target.sm for target in TARGETS.values() if target.runtime == "tensorrt_rtx"} == set(RTX_SMS)
    for name, target in TARGETS.items():
        assert name == target.name
        assert target.device
        assert (target.sm is None) == (target.runtime == "onnxruntime")
        assert target.dialect == ("cpu" if target.sm is None else "tensorrt")
        if target.runtime == "tensorrt":
            rules_for("tensorrt", target.runtime_version)
            assert max(rules.below for rules in TABLE if rules.runtime == "tensorrt") >= version_numbers(
                target.below_version
            )


def test_a_machine_says_what_it_is_and_what_it_cannot_build() -> None:
    here = TargetProfile("x", "onnxruntime", "x86_64", "cpu", cpu_features=("avx9000",))
    assert not is_here(here)
    assert set(cpu_features()) <= {"avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimd", "asimddp", "i8mm"}
    assert b"cpu_features" in to_bytes(DeviceProfile("d", "l", "g", "x86_64", "a" * 64))
    if installed_version("tensorrt"):
        pytest.skip("TensorRT is installed here")
    reasons = {why_not_here(TARGETS[name]) for name in ("orin-jp6", "trt-sm90")}
    assert reasons <= {"TensorRT is not installed here", "this machine is no aarch64", "this machine is no x86_64"}


def test_a_version_that_the_target_does_not_take_builds_no_plan_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_gpu() -> Any:
        raise IncompatibleError("no GPU")

    monkeypatch.setattr(plans, "machine_arch", lambda: "aarch64")
    monkeypatch.setattr(plans, "Cuda", no_gpu)
    for version, takes in {"10.2.0": set(), "10.3.0": {"orin-jp6"}, "11.4.1.2": {"orin-jp7"}}.items():
        monkeypatch.setattr(plans, "installed_version", lambda _, version=version: version)
        found = {name: why_not_here(TARGETS[name]) for name in ("orin-jp6", "orin-jp7")}
        assert {name for name, why in found.items() if why == "no GPU"} == takes
        assert all(f"TensorRT {version} is installed here" in why for name, why in found.items() if name not in takes)
