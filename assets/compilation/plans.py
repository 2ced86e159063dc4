"""TensorRT-RTX plans of one model for several SMs, each built once and kept."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from assets.errors import CompileError, EdgeError
from assets.store import Store
from edge.contracts import ArtifactRef, PlanHeader, document
from edge.engine.build import FLAGS, build_plan, builder_version
from edge.engine.header import parse_plan
from edge.errors import IncompatibleError, RejectedError

TIMEOUT_SECONDS = 900.0
MEMORY_MB = 4096


@document("edgeloop.compiled_plan")
@dataclass(frozen=True)
class CompiledPlan:
    """A plan that is kept under what it was made from: model, SM, builder version and flags.

    Attributes:
        seconds, peak_mb: what building it took.
        warnings: of the builder.
    """

    file: ArtifactRef
    header: PlanHeader
    seconds: float
    peak_mb: float
    warnings: tuple[str, ...]


def build_plans(
    store: Store, line: str, model: ArtifactRef, sms: Sequence[int], report: Callable[[str], None]
) -> dict[int, tuple[CompiledPlan, bool]]:
    """Build, or find again, a plan for each SM; as many at once as there are cores.

    Args:
        model: the ONNX file in the "tensorrt" dialect, linted.

    Returns:
        SM to the plan, and whether it was there before.

    Raises:
        CompileError: TensorRT-RTX is missing, or refuses the model; names the SM and the reason.
        VerificationError: a kept plan was changed.
    """
    if not sms:
        return {}
    try:
        version = builder_version()
    except IncompatibleError as error:
        raise CompileError(f"line {line!r} names TensorRT-RTX targets, but {error}") from error
    data = store.fetch(model)
    with (
        tempfile.TemporaryDirectory(prefix="edgeloop-plans-") as folder,
        ThreadPoolExecutor(max_workers=min(len(sms), os.cpu_count() or 1)) as pool,
    ):
        source = Path(folder) / "model.onnx"
        source.write_bytes(data)
        futures = {sm: pool.submit(_plan, store, line, model, source, sm, version) for sm in sms}
        plans = {sm: future.result() for sm, future in futures.items()}
    for sm, (plan, reused) in plans.items():
        done = "was built before" if reused else f"built in {plan.seconds:.1f} s, {plan.peak_mb:.0f} MiB at most"
        report(f"plan for SM{sm}: {plan.file.size:,} bytes, {done}")
    return plans


def _plan(
    store: Store, line: str, model: ArtifactRef, source: Path, sm: int, version: str
) -> tuple[CompiledPlan, bool]:
    inputs = "\0".join((model.sha256, str(sm), version, FLAGS))
    key = f"store/{line}/plans/{hashlib.sha256(inputs.encode()).hexdigest()}.json"
    try:
        plan = store.load(key, CompiledPlan)
        known = store.exists(plan.file.uri)
    except FileNotFoundError:
        known = False
    if known:
        _check(store.fetch(plan.file), plan.header)
        return plan, True
    out = source.with_name(f"sm{sm}.plan")
    try:
        log = build_plan(source, sm, out, TIMEOUT_SECONDS, MEMORY_MB)
    except RejectedError as error:
        raise CompileError(f"line {line!r}: {model.uri}: {error}") from error
    data = out.read_bytes()
    ref = store.put(line, data, "plan", ".plan", (model.sha256,))
    plan = CompiledPlan(ref, log.header, log.seconds, log.peak_mb, log.warnings)
    _check(store.fetch(ref), plan.header)
    store.save(key, plan)
    return plan, False


def _check(data: bytes, expected: PlanHeader) -> None:
    """The header read back from what is stored."""
    header = parse_plan(data)
    if header.plan_header(expected.sm) != expected or expected.sm not in (header.sms or ()):
        raise EdgeError(f"a stored plan for SM{expected.sm} reads back as {header}")
