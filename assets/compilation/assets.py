"""The asset `engines`: one verified artifact per target of the line.

No postponed annotations here: Dagster compares the annotation of `context` with the class itself.
"""

import time
from collections.abc import Iterator
from importlib import metadata

import dagster as dg

from assets.compilation.documents import Engine, Engines
from assets.compression.documents import ChosenModel
from assets.errors import CompileError
from assets.evaluation.machine import machine_name
from assets.line.config import Line
from assets.processes.launch import refusals_fail_once, run_step
from assets.records.line_store import bind
from assets.storage.store import Store
from edge.contracts import chain_gap, digest, to_bytes
from edge.engine.library import installed_version

REVISION = "5"
"""Raised whenever this room would make something else from the same inputs."""
MATCHES = "engine_matches_onnx"


def build_assets(line: Line) -> list[dg.AssetsDefinition]:
    """The line's assets of this room."""

    @dg.asset(
        key=[line.name, "engines"],
        group_name=line.identifier,
        deps=[dg.AssetKey([line.name, "chosen_model"])],
        kinds={"onnx", "tensorrt"},
        description=(
            "One artifact per kind of device: the ONNX file for ONNX Runtime, real TensorRT-RTX plans, each built in a "
            "process of its own without a GPU, and for boards that build their own plan its file and recipe. Every "
            "file is linted, judged against its parent on held-out records, and ships with golden records that a "
            "device must answer before it serves."
        ),
        check_specs=[
            dg.AssetCheckSpec(
                MATCHES,
                asset=[line.name, "engines"],
                description="Every engine's parity verdicts lead without a gap from the teacher's ONNX to its bytes.",
            )
        ],
    )
    def engines(
        context: dg.AssetExecutionContext, store: dg.ResourceParam[Store]
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[None]]:
        bound = bind(store, line)
        started = time.monotonic()
        with refusals_fail_once():
            chosen = bound.newest(ChosenModel)

            def make() -> Engines:
                options = {"chosen": to_bytes(chosen).decode()}
                made = run_step(context, "assets.compilation.compile", Engines, bound, options)
                if gaps := _gaps(made):
                    raise CompileError(f"line {line.name!r}: {gaps}; the engines in use stay")
                return made

            inputs = (REVISION, digest(chosen), line.config.digest("targets", "data", "task", "features"), *_tools())
            try:
                result, reused = bound.cached_step(inputs, Engines, make)
            except CompileError as error:
                yield dg.AssetCheckResult(passed=False, check_name=MATCHES, description=str(error))
                raise
        yield dg.MaterializeResult(
            metadata={
                "chosen": chosen.candidate.name,
                "engines": dg.MetadataValue.md(_table(result)),
                "golden_records": len(result.golden.records),
                "golden_max_abs_diff": result.golden.max_abs_diff,
                "golden_min_agreement": result.golden.min_agreement,
                "reused": reused,
                "seconds": round(time.monotonic() - started, 2),
            },
            check_results=[_check(result)],
        )

    return [engines]


def _tools() -> tuple[str, ...]:
    """What else decides the result: versions of the compilers, and the machine that latencies belong to."""
    runtimes = (installed_version(runtime) for runtime in ("tensorrt_rtx", "tensorrt"))
    return *runtimes, metadata.version("onnx"), machine_name()


def _gaps(result: Engines) -> str:
    """Why engines are not proven to match the teacher's ONNX; empty where all are."""
    return "; ".join(
        f"{engine.target.name}: {gap}"
        for engine in result.engines
        if (gap := chain_gap(engine.parity, result.teacher, engine.file.sha256))
    )


def _check(result: Engines) -> dg.AssetCheckResult:
    gaps = _gaps(result)
    pending = [engine.target.name for engine in result.engines if engine.parity[-1].kind == "pending"]
    return dg.AssetCheckResult(
        check_name=MATCHES,
        passed=not gaps,
        metadata={
            "engines": len(result.engines),
            "gaps": gaps or "none",
            "pending_on_device": ", ".join(pending) or "none",
        },
    )


def _table(result: Engines) -> str:
    rows = ["| target | bytes | verdict | latency | memory | built for | sha256 |", "|---|---:|---|---|---|---|---|"]
    return "\n".join((*rows, *map(_row, result.engines)))


def _row(engine: Engine) -> str:
    verdicts = ", ".join(verdict.kind for verdict in engine.parity if verdict.stage in {"compile", "device"})
    timed = engine.evidence.latency
    speed = "unknown" if timed is None else f"{timed.median_ms:.3f} ms"
    plan = engine.plan
    least = f"{engine.target.runtime} {engine.target.runtime_version} or later"
    built = f"SM{plan.sm}, {plan.tag} {plan.version}" if plan else least
    if engine.recipe is not None:
        built = f"SM{engine.recipe.sm}, on the device by {least}"
    digest16 = engine.file.sha256[:16]
    memory = "unknown" if engine.evidence.peak_mb is None else f"{engine.evidence.peak_mb:.0f} MiB"
    name, size = engine.target.name, f"{engine.file.size:,}"
    return f"| {name} | {size} | {verdicts} | {speed} | {memory} | {built} | `{digest16}` |"
