"""Makes the artifact of every target: `python -m assets.compilation.compile`, answering `Engines`."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assets.compilation.contract import Engine, Engines
from assets.compilation.golden import make_golden, pick_records
from assets.compilation.lint import check_model
from assets.compilation.plans import CompiledPlan, build_plans
from assets.compression.contract import ChosenModel
from assets.errors import CompileError
from assets.line import Line
from assets.measure import accuracy_metrics, hits, logits, open_session
from assets.records import Records, load_dataset, load_split
from assets.store import Store
from assets.worker import Job, serve
from edge.contracts import TARGETS, GoldenSet, Metric, ParityVerdict, TargetProfile, from_bytes
from edge.contracts.evidence import VerdictKind
from edge.contracts.target import Dialect
from edge.runtime.machine import machine_arch
from edge.runtime.session import OnnxSession, check_signature

MAX_DROP = 0.01
"""Compiling rounds; a compiler that loses more accuracy than this against its own input has made another model."""
DEVICE_RECORDS = 1000
"""Held-out records that are run one by one as a device does, at most."""


@dataclass(frozen=True)
class _Bench:
    """What every target is made from and judged on: the chosen model's files, and the held-out records."""

    chosen: ChosenModel
    files: dict[Dialect, bytes]
    held: Records
    test: Records


def compile_targets(store: Store, line: Line, chosen: ChosenModel, report: Callable[[str], None]) -> Engines:
    """One engine per target of the line, with the golden set that devices test them against.

    Only the dialects that the targets run are judged and shipped; the float file answers the golden records. An engine
    that answers otherwise than its parent carries a verdict that did not pass: the caller must not release it.

    Raises:
        CompileError: a target that is not built here, or a model that a rule or a compiler refuses.
        RejectedError: records that cannot be read.
        VerificationError: a stored file that was changed.
    """
    targets = [TARGETS[name] for name in line.config.targets]
    dialects: tuple[Dialect, ...] = ("float", *(target.dialect for target in targets))
    files = {dialect: store.fetch(chosen.candidate.onnx[dialect]) for dialect in dict.fromkeys(dialects)}
    for dialect, data in files.items():
        check_model(data, dialect, chosen.candidate.onnx[dialect].uri)
    report(f"{chosen.candidate.name}: {', '.join(files)} keep every rule")
    dataset = load_dataset(store, line.name, chosen.dataset)
    held = load_split(store, dataset, "validation", chosen.input)
    bench = _Bench(chosen, files, held, load_split(store, dataset, "test", chosen.input))
    sms = [target.sm for target in targets if target.runtime == "tensorrt_rtx" and target.sm is not None]
    plans = build_plans(store, line.name, chosen.candidate.onnx["tensorrt"], sms, report)
    engines = []
    for target in targets:
        if target.runtime == "onnxruntime":
            engines.append(_onnx_engine(bench, target))
        elif target.sm in plans:
            engines.append(_plan_engine(bench, target, *plans[target.sm]))
        else:
            raise CompileError(f"line {line.name!r}: target {target.name!r} is built on the device only; take it out")
        report(f"{target.name}: {engines[-1].parity[-1].note}")
    return Engines(
        line=line.name,
        position=chosen.position,
        dataset=chosen.dataset,
        teacher=chosen.teacher,
        chosen=chosen.candidate.onnx[targets[0].dialect].sha256,
        input=chosen.input,
        output=chosen.output,
        labels=chosen.labels,
        golden=_golden(bench),
        engines=tuple(engines),
    )


def _onnx_engine(bench: _Bench, target: TargetProfile) -> Engine:
    """The dialect's very file, run as a device runs it."""
    candidate = bench.chosen.candidate
    file, data = candidate.onnx[target.dialect], bench.files[target.dialect]
    held = _first(bench.held, DEVICE_RECORDS)
    before = logits(open_session(data), held.x)
    here = target.arch == machine_arch()
    verdict = _verdict(
        "measured" if here else "simulated",
        file.sha256,
        file.sha256,
        held,
        before,
        _as_device(bench, data),
        f"the file that ships, one record at a time on one thread{'' if here else f', not on {target.arch}'}",
    )
    chain = (*candidate.parity[target.dialect], verdict)
    evidence = candidate.evidence[target.dialect]
    if not here:
        chain = (*chain, _pending(file.sha256))
        metrics = tuple(replace(metric, kind="simulated") for metric in evidence.metrics)
        evidence = replace(evidence, metrics=metrics, latency=None)  # measured on the target or unknown, never guessed
    return Engine(target, file, replace(evidence, parity=chain), chain)


def _plan_engine(bench: _Bench, target: TargetProfile, plan: CompiledPlan, reused: bool) -> Engine:
    """A plan; no GPU is here, so what it computes is simulated: its Q/DQ graph, operator by operator as written."""
    candidate = bench.chosen.candidate
    source, data = candidate.onnx["tensorrt"], bench.files["tensorrt"]
    literal = open_session(data, as_written=True)
    before, after = logits(open_session(data), bench.held.x), logits(literal, bench.held.x)
    metrics = _simulated_metrics(bench, after, logits(literal, bench.test.x))
    verdict = _verdict(
        "simulated",
        source.sha256,
        plan.file.sha256,
        bench.held,
        before,
        after,
        f"its Q/DQ operators one by one in ONNX Runtime; {metrics[-1].value:.4f} of test accuracy below the teacher",
    )
    chain = (*candidate.parity["tensorrt"], verdict, _pending(plan.file.sha256))
    evidence = replace(
        candidate.evidence["tensorrt"],
        artifact=plan.file.sha256,
        metrics=metrics,
        parity=chain,
        latency=None,  # nothing here could measure it
        seconds=plan.seconds,
    )
    exact = replace(target, runtime_version=plan.header.version)
    return Engine(exact, plan.file, evidence, chain, plan.header, reused)


def _simulated_metrics(bench: _Bench, held: NDArray[np.float32], test: NDArray[np.float32]) -> tuple[Metric, ...]:
    """What a plan should answer, from answers of its Q/DQ graph as written; the last is its loss against the teacher.

    The teacher is known by its test accuracy, not record by record, so this difference has no paired interval.
    """
    reported = accuracy_metrics("test", test, bench.test.y, "simulated")
    drop = bench.chosen.teacher_evidence.metric("accuracy", "test").value - reported[0].value
    return (
        *accuracy_metrics("validation", held, bench.held.y, "simulated"),
        *reported,
        Metric("accuracy_drop", drop, "test", len(bench.test.y), kind="simulated"),
    )


def _verdict(
    kind: VerdictKind,
    parent: str,
    child: str,
    held: Records,
    before: NDArray[np.float32],
    after: NDArray[np.float32],
    how: str,
) -> ParityVerdict:
    """What compiling did to the answers on held-out records."""
    numbers = bool(np.isfinite(before).all() and np.isfinite(after).all())
    drop = float(hits(before, held.y).mean() - hits(after, held.y).mean())
    diff = float(np.abs(before - after).max()) if numbers else float(np.finfo(np.float32).max)
    note = f"{kind}: {how}"
    if not numbers:
        note = f"an answer is NaN or infinite, quantize the model again; {note}"
    elif drop > MAX_DROP:
        note = f"loses {drop:.4f} of accuracy, at most {MAX_DROP} is sound; {note}"
    return ParityVerdict("compile", kind, parent, child, numbers and drop <= MAX_DROP, drop, diff, len(held.y), note)


def _pending(sha256: str) -> ParityVerdict:
    note = "only the device itself can tell; its golden self-test will"
    return ParityVerdict("device", "pending", sha256, sha256, None, None, None, 0, note)


def _as_device(bench: _Bench, data: bytes) -> NDArray[np.float32]:
    """Answers of the session that devices use, one record at a time."""
    held = _first(bench.held, DEVICE_RECORDS)
    with tempfile.TemporaryDirectory(prefix="edgeloop-engine-") as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(data)
        session = OnnxSession(path)
        check_signature(session, bench.chosen.input, bench.chosen.output, bench.chosen.labels)
        return np.concatenate([session.run(record[np.newaxis]) for record in held.x])


def _golden(bench: _Bench) -> GoldenSet:
    chosen, test = bench.chosen, bench.test
    picked = pick_records(test, chosen.labels)
    outputs: dict[str, NDArray[np.float32]] = {
        dialect: logits(open_session(data), test.x[picked]) for dialect, data in bench.files.items()
    }
    expected = outputs.pop("float")
    return make_golden(chosen.input, chosen.labels, test, picked, expected, outputs)


def _first(records: Records, count: int) -> Records:
    return Records(records.x[:count], records.y[:count], records.ids[:count], records.inputs[:count])


def step(job: Job) -> Engines:
    """`Job.options`: "chosen", the `ChosenModel` document as text."""
    chosen = from_bytes(ChosenModel, str(job.options["chosen"]).encode(), "options.chosen")
    return compile_targets(job.store, job.line, chosen, job.report)


if __name__ == "__main__":
    serve(step)
