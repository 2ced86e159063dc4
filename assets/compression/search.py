"""Makes every candidate of a line with its evidence: `python -m assets.compression.search`, answering `Candidates`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from assets.compression.contract import Candidate, Candidates
from assets.compression.distill import distill
from assets.compression.prune import count_macs, prune
from assets.compression.quantize import needs_7_bits, quantize
from assets.errors import RejectedError
from assets.export import export_onnx, export_verdict
from assets.fitting.old import recipe_of, set_up_torch
from assets.line import Line
from assets.measure import (
    accuracy_metrics,
    hits,
    interleaved_ms,
    latency,
    logits,
    open_session,
    paired_difference,
    speedup,
)
from assets.networks import Network, architecture_of, build_network, parameters_of, predict, set_weights, weights_of
from assets.records import Records, load_split
from assets.store import Store
from assets.training.contract import DatasetVersion, TrainedModel
from assets.worker import Job, serve
from edge.contracts import TARGETS, ArtifactRef, Evidence, Metric, ParityVerdict, digest, from_bytes
from edge.contracts.evidence import VerdictKind

MAX_CONVERSION_DROP = 0.05
"""A conversion that loses more accuracy than this is broken, whatever the budget says; less is for the budget."""


@dataclass(frozen=True)
class _Bench:
    """What every candidate is made from and measured on."""

    store: Store
    line: Line
    model: TrainedModel
    teacher: Network
    teacher_onnx: bytes
    train: Records
    validation: Records
    test: Records
    report: Callable[[str], None]


@dataclass(frozen=True)
class _Made:
    """A candidate's network and files, before anything is measured on them."""

    name: str
    prune: float
    network: Network
    files: Mapping[str, bytes]
    refs: Mapping[str, ArtifactRef]
    parity: Mapping[str, tuple[ParityVerdict, ...]]
    seconds: float


def search(
    store: Store, line: Line, dataset: DatasetVersion, model: TrainedModel, report: Callable[[str], None]
) -> Candidates:
    """The teacher in INT8, and for each prune ratio a distilled student in INT8, each in every dialect.

    Raises:
        RejectedError: the dataset is not the one the teacher was trained on, or records that cannot be read.
        VerificationError: stored records or weights that were changed.
    """
    if digest(dataset) != model.dataset:
        raise RejectedError(
            f"line {line.name!r}: the teacher was trained on dataset {model.dataset[:12]}…, not {digest(dataset)[:12]}…"
        )
    bench = _open_bench(store, line, dataset, model, report)
    made = [_quantized("teacher-int8", 0.0, bench, bench.teacher, model.onnx, bench.teacher_onnx, (), 0.0)]
    made += [_student(bench, ratio) for ratio in dict.fromkeys(line.config.compress.prune)]
    timings = _timings(made, bench)
    return Candidates(
        line=line.name,
        position=model.position,
        dataset=model.dataset,
        teacher=model.onnx.sha256,
        teacher_size=model.onnx.size,
        teacher_evidence=model.evidence,
        input=model.input,
        output=model.output,
        labels=model.labels,
        candidates=tuple(_candidate(bench, item, timings) for item in made),
    )


def _open_bench(
    store: Store, line: Line, dataset: DatasetVersion, model: TrainedModel, report: Callable[[str], None]
) -> _Bench:
    set_up_torch(line.config.training, model.input.shape)
    teacher = build_network(model.family, model.input.shape, len(model.labels), model.architecture)
    set_weights(teacher, store.fetch(model.weights), model.weights.uri)
    return _Bench(
        store,
        line,
        model,
        teacher.eval(),
        store.fetch(model.onnx),
        load_split(store, dataset, "train", model.input),
        load_split(store, dataset, "validation", model.input),
        load_split(store, dataset, "test", model.input),
        report,
    )


def _student(bench: _Bench, ratio: float) -> _Made:
    """Prune the teacher, distil it into what is left, export and quantize that."""
    start = time.monotonic()
    model, config, name = bench.model, bench.line.config, f"pruned-{ratio:g}-int8"
    x, y = _tensors(bench.train)
    student = prune(bench.teacher, model.family, model.input.shape, len(model.labels), ratio)
    pruned = _keep(bench, student, model.weights.sha256)
    before = predict(student, torch.from_numpy(bench.validation.x)).numpy()
    bench.report(f"{name}: pruned to {architecture_of(student)}")

    policy = config.training.model_copy(update={"epochs": config.compress.distill_epochs})
    recipe = recipe_of(policy, shift=model.family == "cnn")
    distill(student, bench.teacher, (x, y), _tensors(bench.validation), recipe, _prefixed(bench.report, name))
    distilled = _keep(bench, student, pruned.sha256)
    after = predict(student, torch.from_numpy(bench.validation.x)).numpy()

    file = export_onnx(student, model.input)
    onnx = bench.store.put(bench.line.name, file, "onnx", ".onnx", (distilled.sha256,))
    held = bench.validation
    teacher = logits(open_session(bench.teacher_onnx), held.x)
    chain = (
        _verdict("prune", teacher, before, held, model.onnx.sha256, pruned.sha256),
        _verdict("distill", before, after, held, pruned.sha256, distilled.sha256, teacher=teacher),
        export_verdict(student, file, distilled.sha256, onnx.sha256, held.x, held.y),
    )
    return _quantized(name, ratio, bench, student, onnx, file, chain, time.monotonic() - start)


def _quantized(
    name: str,
    ratio: float,
    bench: _Bench,
    network: Network,
    onnx: ArtifactRef,
    file: bytes,
    chain: tuple[ParityVerdict, ...],
    seconds: float,
) -> _Made:
    """Quantize a float file into both dialects; `chain` is what led to it."""
    start = time.monotonic()
    rows = _spread(len(bench.train.x), bench.line.config.compress.calibration_records)
    targets = [TARGETS[target] for target in bench.line.config.targets]
    quantized = quantize(file, bench.train.x[rows], reduce_range=needs_7_bits(targets))
    files = {"float": file, "cpu": quantized["cpu"], "tensorrt": quantized["tensorrt"]}
    refs, parity = {"float": onnx}, {"float": chain}
    before = logits(open_session(file), bench.validation.x)
    for dialect in ("cpu", "tensorrt"):
        refs[dialect] = bench.store.put(bench.line.name, files[dialect], "onnx", ".onnx", (onnx.sha256,))
        after = logits(open_session(files[dialect]), bench.validation.x)
        verdict = _verdict("quantize", before, after, bench.validation, onnx.sha256, refs[dialect].sha256, dialect)
        parity[dialect] = (*chain, verdict)
    bench.report(f"{name}: {len(file) / 1000:.0f} kB in float, {len(files['cpu']) / 1000:.0f} kB in INT8")
    return _Made(name, ratio, network, files, refs, parity, seconds + time.monotonic() - start)


def _verdict(
    stage: Literal["prune", "distill", "quantize"],
    before: NDArray[np.float32],
    after: NDArray[np.float32],
    records: Records,
    parent: str,
    child: str,
    dialect: str = "",
    teacher: NDArray[np.float32] | None = None,
) -> ParityVerdict:
    """What a conversion did to the answers on the validation records.

    Pruning passes with any finite answers, however wrong: the distillation that always follows repairs it, and is
    judged against the teacher, not against its ruined parent. `metric_drop` is against the parent at every stage, so
    that the drops of a chain add up.

    Args:
        before, after: (records, classes) answers of parent and child.
        teacher: answers that the child's accuracy is judged against; None for the parent's own.
    """
    numbers = np.isfinite(after).all()
    comparable = bool(numbers and np.isfinite(before).all())
    drop = _lost(before, after, records)
    lost = drop if teacher is None else _lost(teacher, after, records)
    diff = float(np.abs(before - after).max()) if comparable else float(np.finfo(np.float32).max)
    passed = bool(numbers and (stage == "prune" or lost <= MAX_CONVERSION_DROP))
    against = "" if teacher is None else " against the teacher"
    note = (
        f"{dialect or 'float'}: loses {lost:.4f} of accuracy{against}, at most {MAX_CONVERSION_DROP} is a sound {stage}"
    )
    if stage == "prune":
        note = f"loses {drop:.4f} of accuracy, which is judged after distillation"
    if not numbers:
        note = "an answer is not a finite number"
    return ParityVerdict(stage, _kind(dialect), parent, child, passed, drop, diff, len(records.y), note)


def _lost(before: NDArray[np.float32], after: NDArray[np.float32], records: Records) -> float:
    """Accuracy of the first answers less that of the second, in fractions."""
    return float(hits(before, records.y).mean() - hits(after, records.y).mean())


def _kind(dialect: str) -> VerdictKind:
    """The TensorRT dialect is executed in ONNX Runtime here, which simulates what TensorRT will do."""
    return "simulated" if dialect == "tensorrt" else "measured"


def _timings(made: list[_Made], bench: _Bench) -> dict[str, NDArray[np.float64]]:
    """Milliseconds of single calls of each candidate's float and cpu file, all measured in turn."""
    bench.report(f"timing {2 * len(made)} files, interleaved, batch 1, one thread")
    sessions = {
        f"{item.name}/{dialect}": open_session(item.files[dialect]) for item in made for dialect in ("float", "cpu")
    }
    return interleaved_ms(sessions, bench.test.x[:1])


def _candidate(bench: _Bench, made: _Made, timings: Mapping[str, NDArray[np.float64]]) -> Candidate:
    start = time.monotonic()
    teacher = hits(logits(open_session(bench.teacher_onnx), bench.test.x), bench.test.y)
    evidence = {}
    for dialect, file in made.files.items():
        session, key = open_session(file), f"{made.name}/{dialect}"
        evidence[dialect] = Evidence(
            artifact=made.refs[dialect].sha256,
            metrics=_metrics(session, teacher, bench, _kind(dialect)),
            parity=made.parity[dialect],
            latency=latency(timings[key]) if key in timings else None,
            seconds=made.seconds,
        )
    drop = evidence["cpu"].metric("accuracy_drop", "test")
    faster = speedup(timings[f"{made.name}/float"], timings[f"{made.name}/cpu"])
    bench.report(f"{made.name}: loses {drop.value:.4f} on test records, INT8 {faster:.2f} times as fast as float")
    return Candidate(
        name=made.name,
        prune=made.prune,
        parameters=parameters_of(made.network),
        macs=count_macs(made.network, bench.model.input.shape),
        onnx=made.refs,
        evidence=evidence,
        parity=made.parity,
        speedup=faster,
        seconds=made.seconds + time.monotonic() - start,
    )


def _metrics(session: Any, teacher: NDArray[np.bool_], bench: _Bench, kind: VerdictKind) -> tuple[Metric, ...]:
    outputs = logits(session, bench.test.x)
    drop = paired_difference(teacher, hits(outputs, bench.test.y))
    return (
        *accuracy_metrics("validation", logits(session, bench.validation.x), bench.validation.y, kind),
        *accuracy_metrics("test", outputs, bench.test.y, kind),
        Metric("accuracy_drop", drop.value, "test", len(bench.test.y), drop.low, drop.high, kind),
    )


def _keep(bench: _Bench, network: Network, parent: str) -> ArtifactRef:
    return bench.store.put(bench.line.name, weights_of(network), "safetensors", ".safetensors", (parent,))


def _tensors(records: Records) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(records.x), torch.from_numpy(records.y)


def _spread(records: int, wanted: int) -> NDArray[np.int64]:
    """At most `wanted` row numbers, evenly over all records, so that every batch has its say."""
    return np.unique(np.linspace(0, records - 1, min(wanted, records)).astype(np.int64))


def _prefixed(report: Callable[[str], None], name: str) -> Callable[[str], None]:
    return lambda text: report(f"{name}: {text}")


def step(job: Job) -> Candidates:
    """`Job.options`: "dataset" and "model", the documents as text."""
    dataset = from_bytes(DatasetVersion, str(job.options["dataset"]).encode(), "options.dataset")
    model = from_bytes(TrainedModel, str(job.options["model"]).encode(), "options.model")
    return search(job.store, job.line, dataset, model, job.report)


if __name__ == "__main__":
    serve(step)
