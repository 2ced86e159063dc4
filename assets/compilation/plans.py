"""TensorRT plans of one model for several SMs, each built once and kept."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from assets.compilation.recipes import memory_needed
from assets.errors import CompileError, EdgeError
from assets.records.line_store import LineStore
from assets.storage import layout
from assets.storage.store import Store
from edge.contracts import ArtifactRef, InputShapes, PlanHeader, TargetProfile, document
from edge.engine.build import BuildLimits, build_plan, builder_version
from edge.engine.cuda import Cuda
from edge.engine.header import parse_plan
from edge.engine.library import installed_version
from edge.engine.request import flags_of
from edge.engine.versions import rules_for, version_numbers
from edge.errors import ContractError, IncompatibleError, RejectedError
from edge.runtime.machine import machine_arch

TIMEOUT_SECONDS = 900.0
MEMORY_MB = 4096
Runtime = Literal["tensorrt", "tensorrt_rtx"]


@document("edgeloop.compiled_plan", "1.1")
@dataclass(frozen=True)
class CompiledPlan:
    """A plan that is kept under what it was made from: model, runtime, SM, builder version and flags.

    Attributes:
        seconds, peak_mb: what building it took.
        warnings: of the builder.
        flags: what the builder was asked.
    """

    file: ArtifactRef
    header: PlanHeader
    seconds: float
    peak_mb: float
    warnings: tuple[str, ...]
    flags: str = ""


def why_not_here(target: TargetProfile) -> str:
    """Why this machine cannot build a plan for a target; "" where it can.

    TensorRT-RTX builds anywhere. TensorRT must be installed in a version that the target takes, beside its very GPU.
    """
    if target.runtime == "tensorrt_rtx":
        return "" if installed_version("tensorrt_rtx") else "TensorRT-RTX is not installed here"
    if target.arch != machine_arch():
        return f"this machine is no {target.arch}"
    version = installed_version("tensorrt")
    if not version:
        return "TensorRT is not installed here"
    here, below = version_numbers(version), version_numbers(target.below_version)
    if here < version_numbers(target.runtime_version) or (below and here >= below):
        return (
            f"TensorRT {version} is installed here, it takes {target.runtime_version} to below {target.below_version}"
        )
    try:
        rules_for("tensorrt", version)
        sm = Cuda().sm
    except IncompatibleError as error:
        return str(error)
    return "" if sm == target.sm else f"the GPU of this machine is SM{sm}"


def build_plans(
    line: LineStore,
    model: ArtifactRef,
    sms: Sequence[int],
    report: Callable[[str], None],
    *,
    runtime: Runtime = "tensorrt_rtx",
    shapes: Sequence[InputShapes] = (),
) -> dict[int, tuple[CompiledPlan, bool]]:
    """Build, or find again, a plan for each SM; as many at once as there are cores.

    Args:
        model: the ONNX file in the "tensorrt" dialect, linted.
        shapes: of every input with open axes; none where only batches are open.

    Returns:
        SM to the plan, and whether it was there before: then no process was started for it.

    Raises:
        CompileError: the library is missing, or refuses the model; names the SM, the node and the reason.
        VerificationError: a kept plan was changed.
    """
    if not sms:
        return {}
    try:
        version = builder_version(runtime)
    except IncompatibleError as error:
        raise CompileError(f"line {line.name!r} names {runtime} targets, but {error}") from error
    data = line.store.fetch(model)
    with (
        tempfile.TemporaryDirectory(prefix="edgeloop-plans-") as folder,
        ThreadPoolExecutor(max_workers=min(len(sms), os.cpu_count() or 1)) as pool,
    ):
        source = Path(folder) / "model.onnx"
        source.write_bytes(data)
        made = _Maker(line.store, line.name, model, source, version, runtime, tuple(shapes))
        futures = {sm: pool.submit(made.plan, sm) for sm in sms}
        plans = {sm: future.result() for sm, future in futures.items()}
    for sm, (plan, reused) in plans.items():
        done = "was built before" if reused else f"built in {plan.seconds:.1f} s, {plan.peak_mb:.0f} MiB at most"
        report(f"plan for SM{sm}: {plan.file.size:,} bytes, {done}")
    return plans


@dataclass(frozen=True)
class _Maker:
    """One model, one builder, several SMs."""

    store: Store
    line: str
    model: ArtifactRef
    source: Path
    version: str
    runtime: Runtime
    shapes: tuple[InputShapes, ...]

    def plan(self, sm: int) -> tuple[CompiledPlan, bool]:
        store, key = self.store, self._key(sm)
        try:
            plan = store.load(key, CompiledPlan)
            known = store.exists(plan.file.uri)
        except (FileNotFoundError, ContractError):  # none yet, or one that another version wrote
            known = False
        if known:
            _check(store.fetch(plan.file), plan.header)
            return plan, True
        out = self.source.with_name(f"sm{sm}.plan")
        try:
            limits = BuildLimits(TIMEOUT_SECONDS, self._memory_mb())
            log = build_plan(self.source, sm, out, limits, runtime=self.runtime, shapes=self.shapes)
        except RejectedError as error:
            raise CompileError(f"line {self.line!r}: {self.model.uri}: {error}") from error
        ref = store.put(self.line, out.read_bytes(), "plan", ".plan", (self.model.sha256,))
        plan = CompiledPlan(ref, log.header, log.seconds, log.peak_mb, log.warnings, log.flags)
        _check(store.fetch(ref), plan.header)
        store.save(key, plan)
        return plan, False

    def _memory_mb(self) -> int:
        """What TensorRT-RTX may allocate; what must be free on a GPU's own machine, which may be a small board."""
        if self.runtime == "tensorrt_rtx":
            return MEMORY_MB
        return memory_needed(self.source.read_bytes(), self.shapes)[0]

    def _key(self, sm: int) -> str:
        inputs = "\0".join((self.model.sha256, self.runtime, str(sm), self.version, flags_of(self.shapes)))
        return layout.plan(self.line, hashlib.sha256(inputs.encode()).hexdigest())


def _check(data: bytes, expected: PlanHeader) -> None:
    """The header read back from what is stored."""
    header = parse_plan(data)
    if header.plan_header(expected.sm) != expected or (header.sms is not None and expected.sm not in header.sms):
        raise EdgeError(f"a stored plan for SM{expected.sm} reads back as {header}")
