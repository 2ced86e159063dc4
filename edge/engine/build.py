"""Builds a TensorRT plan from an ONNX file in a process of its own.

The builder keeps state between builds, crashes on some damaged files and takes memory without asking. So: one build per
process, with a limit on its memory and its time, and whatever happens to it comes back as one clear error. TensorRT-RTX
needs no GPU for it; TensorRT builds for the GPU of its own machine.

Equal inputs give equal plans only as far as the builder allows: it numbers some of its internal tensors in the order of
their addresses, so with randomized addresses plans of the same model differ in those names. The child therefore turns
address randomization off where the system lets it and gets the same environment each time; where it cannot, plans still
compute the same. Whoever needs stable bytes keeps a plan by (ONNX digest, SM, builder version, `flags_of` its request).
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from edge.child import Ended, bare_environment, ending, python_module, run_child
from edge.contracts import InputShapes, PlanHeader, to_bytes
from edge.engine.header import parse_plan
from edge.engine.library import load_tensorrt
from edge.engine.request import BuildRequest, flags_of
from edge.engine.versions import RTX_SMS, modules_of, same_version
from edge.errors import IncompatibleError, RejectedError, TransientError

_LOG_BYTES = 1_000_000
_OF_MEMORY = ("bad_alloc", "memory", "resource temporarily unavailable")
"""What the libraries say where the limit was met; the last is a thread that could not be started."""
FLAGS = flags_of()
"""Of a build with one open axis, the batch, and no options."""


@dataclass(frozen=True)
class BuildLimits:
    """What a build may take.

    Attributes:
        seconds: after which its process is ended.
        memory_mb: MiB. TensorRT-RTX: of data that the child may allocate (RLIMIT_DATA; the libraries' own code does
            not count). TensorRT: so much must be free at the start, and bounds its workspace.
    """

    seconds: float = 600
    memory_mb: int = 4096


@dataclass(frozen=True)
class BuildLog:
    """One finished build.

    Attributes:
        header: read back from the plan's bytes.
        size: bytes of the plan; `sha256` is their digest.
        seconds: wall time of the child process, its start included.
        peak_mb: largest resident memory of the child in MiB; 0 where the system does not tell.
        warnings: what the builder warned of.
        flags: what it was asked, see `edge.engine.request.flags_of`.
    """

    header: PlanHeader
    size: int
    sha256: str
    seconds: float
    peak_mb: float
    warnings: tuple[str, ...]
    flags: str = ""


def builder_version(runtime: str = "tensorrt_rtx") -> str:
    """The exact version of the installed library, e.g. "1.7.1.116". Raises IncompatibleError without one."""
    return str(load_tensorrt(runtime).__version__)


def build_plan(
    onnx_path: str | Path,
    sm: int,
    out_path: str | Path,
    limits: BuildLimits = BuildLimits(),
    *,
    runtime: Literal["tensorrt", "tensorrt_rtx"] = "tensorrt_rtx",
    shapes: Sequence[InputShapes] = (),
    options: Sequence[str] = (),
    timing_cache: str | Path | None = None,
) -> BuildLog:
    """Build one plan and write it to `out_path` in one step.

    Args:
        onnx_path: a model in the "tensorrt" Q/DQ dialect or in float.
        sm: compute capability times ten: one of `RTX_SMS`, or for TensorRT that of this machine's GPU.
        limits: what the build may take.
        shapes: of every input with open axes; none where the first axis of each, and only it, is open.
        options: see `edge.engine.versions.OPTIONS`.
        timing_cache: a file of kernel timings that is read where it is there, and written; not for TensorRT-RTX, which
            times nothing.

    Raises:
        IncompatibleError: the library is not installed, of an unknown version, or does not build for this SM here.
        RejectedError: the builder refuses the model, crashes on it, would change it silently, or needs more memory;
            names node and reason.
        TransientError: it took longer than it may, or too little memory is free now.
    """
    source, out = Path(onnx_path), Path(out_path)
    if runtime == "tensorrt_rtx" and sm not in RTX_SMS:
        raise IncompatibleError(f"TensorRT-RTX does not build for SM{sm}; it builds for {', '.join(map(str, RTX_SMS))}")
    try:
        model = source.read_bytes()
    except OSError as error:
        raise RejectedError(f"{source}: cannot be read ({error.strerror})") from error
    name = f"{source.name} for SM{sm}"
    request = BuildRequest(runtime, sm, limits.memory_mb, tuple(shapes), tuple(options))
    if runtime == "tensorrt":
        _check_free_memory(limits.memory_mb, name)
    with tempfile.TemporaryDirectory(prefix="plan-") as folder:
        work = Path(folder)
        (work / "model.onnx").write_bytes(model)
        (work / "request.json").write_bytes(to_bytes(request))
        _copy(timing_cache, work / "timing.cache")
        started = time.perf_counter()
        ended = run_child(
            python_module("edge.engine.build_child"),
            limits.seconds,
            folder=work,
            environment=bare_environment("CUDA_VISIBLE_DEVICES", PYTHONHASHSEED="0"),
        )
        seconds = time.perf_counter() - started
        if ended.late:
            raise TransientError(f"{name}: the build took longer than {limits.seconds:g} s and was ended{_node(work)}")
        log = _read_log(work, ended, request, name)
        plan = (work / "model.plan").read_bytes()
        _copy(work / "timing.cache", timing_cache)
    header = parse_plan(plan, name)
    version = str(log["version"])
    known = header.runtime == runtime and same_version(header.version, version)
    if not known or (header.sms is not None and sm not in header.sms):
        raise RejectedError(
            f"{name}: {runtime} {version} made a plan that reads as {header}; edge.engine.header misreads this version"
        )
    _write(out, plan)
    return BuildLog(
        header=header.plan_header(sm),
        size=len(plan),
        sha256=hashlib.sha256(plan).hexdigest(),
        seconds=seconds,
        peak_mb=float(log["peak_mb"]),
        warnings=tuple(map(str, log["warnings"])),
        flags=flags_of(shapes, options),
    )


def _check_free_memory(memory_mb: int, name: str) -> None:
    """A build on a small board takes what the serving model needs, unless it waits until enough is free."""
    try:
        rows = dict(row.split(":", 1) for row in Path("/proc/meminfo").read_text("ascii").splitlines())
        free_mb = int(rows["MemAvailable"].split()[0]) // 1024
    except (OSError, KeyError, ValueError):
        return  # a system that does not say it is not gated
    if free_mb < memory_mb:
        raise TransientError(
            f"{name}: the build needs about {memory_mb} MiB, {free_mb} MiB are free; it waits for more memory"
        )


def _copy(source: str | Path | None, target: str | Path | None) -> None:
    if source is not None and target is not None and Path(source).exists():
        _write(Path(target), Path(source).read_bytes())


def _write(path: Path, data: bytes) -> None:
    """In one step: whoever reads finds all of it or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".tmp-{os.getpid()}-{path.name}")
    temporary.write_bytes(data)
    temporary.replace(path)


def _read_log(work: Path, ended: Ended, request: BuildRequest, name: str) -> dict[str, Any]:
    """The child's own account, or a clear error in its place."""
    try:
        log: dict[str, Any] = json.loads((work / "log.json").read_bytes()[:_LOG_BYTES])
    except (OSError, ValueError):
        log = {}
    limit = f"it may allocate {request.memory_mb} MiB here"
    if error := log.get("error"):
        hint = f"; {limit}" if any(word in error.lower() for word in _OF_MEMORY) else ""
        kind = IncompatibleError if log.get("missing") else RejectedError
        raise kind(f"{name}: {error}{hint}")
    if ended.code < 0:
        raise RejectedError(
            f"{name}: {modules_of(request.runtime)[-1]} crashed on it ({ending(ended.code)}){_node(work)}; "
            f"the file is damaged, beyond this version, or needs more memory ({limit}): check it with onnx.checker "
            "and export it again"
        )
    if ended.code or not log:
        tail = " / ".join(ended.errors.split("\n")[-4:]).strip()
        raise RejectedError(f"{name}: the build ended without an answer (exit code {ended.code}){_node(work)}: {tail}")
    return log


def _node(work: Path) -> str:
    """Where the child was, for an error's text; "" where it read no node."""
    try:
        node = (work / "node").read_bytes()[:1000].decode("utf-8", "replace")
    except OSError:
        return ""
    return f" at {node}" if node else ""
