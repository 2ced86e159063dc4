"""The kinds of devices in words, for the room's README."""

from __future__ import annotations

from edge.contracts import TARGETS, TargetProfile


def targets_table() -> str:
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
