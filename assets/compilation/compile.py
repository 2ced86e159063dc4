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
from assets.compilation.lint import check_models
from assets.compilation.plans import CompiledPlan, build_plans
from assets.compression.contract import ChosenModel
from assets.errors import CompileError
from assets.line import Line
from assets.loading.judged import Judged, open_judged
from assets.measure import answers, logits, open_session
from assets.records import load_dataset
from assets.simulate import as_tensorrt_reads
from assets.store import Store
from assets.tasks.contract import Split, Task, load_task
from assets.tasks.own_metrics import own_metrics
from assets.tasks.registry import change_in_words, metric_drop
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

    line: Line
    task: Task
    chosen: ChosenModel
    files: dict[Dialect, bytes]
    held: Judged
    test: Judged

    def metrics(self, split: Split, outputs: NDArray[np.float32], kind: VerdictKind) -> tuple[Metric, ...]:
        """The task's metrics and the user's own."""
        y, config = (self.held if split == "validation" else self.test).y, self.line.config
        return (
            *self.task.metrics.metrics(split, outputs, y, config.data.classes, kind, self.chosen.answer.threshold),
            *own_metrics(config.training.metrics, split, outputs, y, kind),
        )


def compile_targets(store: Store, line: Line, chosen: ChosenModel, report: Callable[[str], None]) -> Engines:
    """One engine per target of the line, with the golden set that devices test them against.

    Only the dialects that the targets run are judged and shipped; the float file answers the golden records. An engine
    that answers otherwise than its parent carries a verdict that did not pass: the caller must not release it.

    Raises:
        CompileError: a target that is not built here, or a model that a rule or a compiler refuses.
        RejectedError: records that cannot be read.
        VerificationError: a stored file that was changed.
    """
    spec = line.config.task_spec
    assert spec is not None, "a line with a chosen model has a task"
    targets = [TARGETS[name] for name in line.config.targets]
    dialects: tuple[Dialect, ...] = ("float", *(target.dialect for target in targets))
    files = {dialect: store.fetch(chosen.candidate.onnx[dialect]) for dialect in dict.fromkeys(dialects)}
    sms = [target.sm for target in targets if target.runtime == "tensorrt_rtx" and target.sm is not None]
    check_models([(data, dialect, chosen.candidate.onnx[dialect].uri) for dialect, data in files.items()], sms=sms)
    report(f"{chosen.candidate.name}: {', '.join(files)} keep every rule")
    dataset = load_dataset(store, line.name, chosen.dataset)
    bench = _Bench(
        line,
        load_task(spec.name),
        chosen,
        files,
        open_judged(store, dataset, "validation", chosen.input, line.config),
        open_judged(store, dataset, "test", chosen.input, line.config),
    )
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
        answer=chosen.answer,
        metric=chosen.metric,
    )


def _onnx_engine(bench: _Bench, target: TargetProfile) -> Engine:
    """The dialect's very file, run as a device runs it."""
    candidate = bench.chosen.candidate
    file, data = candidate.onnx[target.dialect], bench.files[target.dialect]
    before = answers(open_session(data), bench.held, DEVICE_RECORDS)
    here = target.arch == machine_arch()
    verdict = _verdict(
        bench,
        "measured" if here else "simulated",
        file.sha256,
        file.sha256,
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
    literal = open_session(as_tensorrt_reads(data), as_written=True)
    before, after = answers(open_session(data), bench.held), answers(literal, bench.held)
    metrics = _simulated_metrics(bench, after, answers(literal, bench.test))
    told = change_in_words(bench.chosen.metric, metrics[-1].value)
    verdict = _verdict(
        bench,
        "simulated",
        source.sha256,
        plan.file.sha256,
        before,
        after,
        f"its Q/DQ operators one by one in ONNX Runtime; on test records it {told} against the teacher",
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

    The teacher is known by its test metric, not record by record, so this difference has no paired interval.
    """
    metric = bench.chosen.metric
    reported = bench.metrics("test", test, "simulated")
    (after,) = (one.value for one in reported if one.name == metric)
    drop = metric_drop(metric, bench.chosen.teacher_evidence.metric(metric, "test").value, after)
    return (
        *bench.metrics("validation", held, "simulated"),
        *reported,
        Metric(f"{metric}_drop", drop, "test", len(bench.test.y), kind="simulated"),
    )


def _verdict(
    bench: _Bench,
    kind: VerdictKind,
    parent: str,
    child: str,
    before: NDArray[np.float32],
    after: NDArray[np.float32],
    how: str,
) -> ParityVerdict:
    """What compiling did to the answers on held-out records: the first ones, as many as were answered."""
    note, records = f"{kind}: {how}", len(after)
    if not (np.isfinite(before).all() and np.isfinite(after).all()):
        most = float(np.finfo(np.float32).max)
        note = f"an answer is NaN or infinite, quantize the model again; {note}"
        return ParityVerdict("compile", kind, parent, child, False, 1.0, most, records, note)
    metric = bench.chosen.metric
    y = bench.held.y if bench.chosen.answer.kind == "image" else bench.held.y[:records]
    drop = bench.task.drop(metric, before, after, y)
    if drop > MAX_DROP:
        note = f"{change_in_words(metric, drop)}, at most {MAX_DROP} is sound; {note}"
    diff = float(np.abs(before - after).max())
    return ParityVerdict("compile", kind, parent, child, drop <= MAX_DROP, drop, diff, records, note)


def _pending(sha256: str) -> ParityVerdict:
    note = "only the device itself can tell; its golden self-test will"
    return ParityVerdict("device", "pending", sha256, sha256, None, None, None, 0, note)


def _as_device(bench: _Bench, data: bytes) -> NDArray[np.float32]:
    """Answers of the session that devices use, one record at a time."""
    chosen, count = bench.chosen, min(len(bench.held), DEVICE_RECORDS)
    with tempfile.TemporaryDirectory(prefix="edgeloop-engine-") as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(data)
        session = OnnxSession(path)
        check_signature(session, chosen.input, chosen.output, chosen.labels, chosen.answer)
        return np.concatenate([session.run(bench.held.batch(np.arange(at, at + 1)).numpy()) for at in range(count)])


def _golden(bench: _Bench) -> GoldenSet:
    chosen, test = bench.chosen, bench.test
    picked = pick_records(bench.task, test, bench.line.config.data.classes)
    x = test.batch(np.asarray(picked, np.int64)).numpy()
    outputs: dict[str, NDArray[np.float32]] = {
        dialect: logits(open_session(data), x) for dialect, data in bench.files.items()
    }
    expected = outputs.pop("float")
    return make_golden(chosen.input, bench.task, bench.line.config.data.classes, test, picked, expected, outputs)


def step(job: Job) -> Engines:
    """`Job.options`: "chosen", the `ChosenModel` document as text."""
    chosen = from_bytes(ChosenModel, str(job.options["chosen"]).encode(), "options.chosen")
    return compile_targets(job.store, job.line, chosen, job.report)


if __name__ == "__main__":
    serve(step)
