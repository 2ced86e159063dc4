"""Builds a TensorRT-RTX plan from an ONNX file, without a GPU, in a process of its own.

The builder keeps state between builds, crashes on some damaged files and takes memory without asking. So: one build per
process, with a limit on its memory and its time, and whatever happens to it comes back as one clear error.

Equal inputs give equal plans only as far as the builder allows: it numbers some of its internal tensors in the order of
their addresses, so with randomized addresses plans of the same model differ in those names. The child therefore turns
address randomization off where the system lets it and gets the same environment each time; where it cannot, plans still
compute the same. Whoever needs stable bytes keeps a plan by (ONNX digest, SM, builder version, `FLAGS`).
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import edge
from edge.contracts import PlanHeader
from edge.engine.header import RTX_SMS, parse_plan
from edge.engine.library import load_tensorrt
from edge.errors import IncompatibleError, RejectedError, TransientError

FLAGS = "strongly-typed;batch=1..32,1"
"""What `edge.engine.build_child` asks of the builder: part of every cache key."""

_PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT", "CUDA_VISIBLE_DEVICES")
_LOG_BYTES = 1_000_000


@dataclass(frozen=True)
class BuildLog:
    """One finished build.

    Attributes:
        header: read back from the plan's bytes.
        size: bytes of the plan; `sha256` is their digest.
        seconds: wall time of the child process, its start included.
        peak_mb: largest resident memory of the child in MiB; 0 where the system does not tell.
        warnings: what the builder warned of.
    """

    header: PlanHeader
    size: int
    sha256: str
    seconds: float
    peak_mb: float
    warnings: tuple[str, ...]


def builder_version() -> str:
    """The exact version of the installed TensorRT-RTX, e.g. "1.7.1.116". Raises IncompatibleError without one."""
    return str(load_tensorrt("tensorrt_rtx").__version__)


def build_plan(
    onnx_path: str | Path, sm: int, out_path: str | Path, timeout_s: float = 600, memory_mb: int = 4096
) -> BuildLog:
    """Build one plan and write it to `out_path` in one step.

    Args:
        onnx_path: a model with one input whose batch axis is open, in the "tensorrt" Q/DQ dialect or in float.
        sm: compute capability times ten, one of `RTX_SMS`.
        timeout_s: seconds after which the child is ended.
        memory_mb: MiB of data the child may allocate (RLIMIT_DATA; the libraries' own code does not count).

    Raises:
        IncompatibleError: TensorRT-RTX is not installed, or does not build for this SM.
        RejectedError: the builder refuses the model, crashes on it, or needs more memory; names node and reason.
        TransientError: it took longer than `timeout_s`.
    """
    source, out = Path(onnx_path), Path(out_path)
    if sm not in RTX_SMS:
        raise IncompatibleError(f"TensorRT-RTX does not build for SM{sm}; it builds for {', '.join(map(str, RTX_SMS))}")
    try:
        model = source.read_bytes()
    except OSError as error:
        raise RejectedError(f"{source}: cannot be read ({error.strerror})") from error
    name = f"{source.name} for SM{sm}"
    with tempfile.TemporaryDirectory(prefix="plan-") as folder:
        work = Path(folder)
        (work / "model.onnx").write_bytes(model)
        started = time.perf_counter()
        code, stderr = _run_child(work, sm, memory_mb, timeout_s, name)
        seconds = time.perf_counter() - started
        log = _read_log(work, code, stderr, name, memory_mb)
        plan = (work / "model.plan").read_bytes()
    header = parse_plan(plan, name)
    if header.sms is None or sm not in header.sms:
        raise RejectedError(
            f"{name}: the builder made a plan for {header.sms}; edge.engine.header misreads this version"
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(f".tmp-{os.getpid()}-{out.name}")
    temporary.write_bytes(plan)
    temporary.replace(out)
    return BuildLog(
        header=header.plan_header(sm),
        size=len(plan),
        sha256=hashlib.sha256(plan).hexdigest(),
        seconds=seconds,
        peak_mb=float(log["peak_mb"]),
        warnings=tuple(map(str, log["warnings"])),
    )


def _run_child(work: Path, sm: int, memory_mb: int, timeout_s: float, name: str) -> tuple[int, str]:
    """Run the child in `work`; its exit code (negative: the signal that ended it) and the end of its stderr."""
    environment = {key: os.environ[key] for key in _PASSED_ON if key in os.environ}
    environment |= {"PYTHONPATH": str(Path(edge.__file__).parent.parent), "PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8"}
    command = [sys.executable, "-m", "edge.engine.build_child", str(sm), str(memory_mb)]
    with (work / "stderr").open("w+b") as stderr:
        try:
            done = subprocess.run(
                command, cwd=work, env=environment, stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr,
                timeout=timeout_s, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise TransientError(f"{name}: the build took longer than {timeout_s:g} s and was ended") from error
        stderr.seek(max(0, stderr.seek(0, os.SEEK_END) - 2000))
        return done.returncode, stderr.read().decode("utf-8", "replace")


def _read_log(work: Path, code: int, stderr: str, name: str, memory_mb: int) -> dict[str, Any]:
    """The child's own account, or a clear error in its place."""
    try:
        log: dict[str, Any] = json.loads((work / "log.json").read_bytes()[:_LOG_BYTES])
    except (OSError, ValueError):
        log = {}
    if error := log.get("error"):
        hint = f"; it may allocate {memory_mb} MiB here" if "bad_alloc" in error or "memory" in error.lower() else ""
        kind = IncompatibleError if log.get("missing") else RejectedError
        raise kind(f"{name}: {error}{hint}")
    if code < 0:
        raise RejectedError(
            f"{name}: TensorRT-RTX crashed on it ({signal.Signals(-code).name}); "
            "the file is damaged, or beyond this version: check it with onnx.checker and export it again"
        )
    if code or not log:
        tail = " / ".join(stderr.split("\n")[-4:]).strip()
        raise RejectedError(f"{name}: the build ended without an answer (exit code {code}): {tail}")
    return log
