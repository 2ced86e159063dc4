"""Makes every candidate of a line with its evidence: `python -m assets.compression.search`, answering `Candidates`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import nn

from assets.compression.bench import Bench, open_bench
from assets.compression.contract import Candidate, Candidates, Recipe
from assets.compression.distill import distillation
from assets.compression.measured import measured, timings_of
from assets.compression.prune import count_macs, prune
from assets.compression.quantize import needs_7_bits, quantize
from assets.errors import RejectedError
from assets.export import export_onnx, export_verdict
from assets.families.weights import architecture_of, parameters_of, predict
from assets.fitting.contract import Progress, Quiet
from assets.fitting.fit import fit
from assets.line import Line
from assets.measure import answers, open_session
from assets.store import Store
from assets.tasks.registry import change_in_words
from assets.training.contract import DatasetVersion, TrainedModel
from assets.worker import Job, serve
from edge.contracts import TARGETS, ArtifactRef, ParityVerdict, digest, from_bytes

DIALECTS = ("cpu", "tensorrt")


@dataclass(frozen=True)
class Made:
    """A candidate's network and files, before anything is measured on them."""

    name: str
    prune: float
    network: nn.Module
    files: Mapping[str, bytes]
    refs: Mapping[str, ArtifactRef]
    parity: Mapping[str, tuple[ParityVerdict, ...]]
    seconds: float

    def sound(self, dialects: Iterable[str]) -> bool:
        """Whether every conversion to these dialects passed."""
        return all(verdict.passed for dialect in dialects for verdict in self.parity[dialect])


def search(
    store: Store, line: Line, dataset: DatasetVersion, model: TrainedModel, report: Callable[[str], None]
) -> Candidates:
    """The teacher in INT8, and for each prune ratio a distilled student in INT8, each in every dialect.

    Students are made of families that can be pruned, and of answers that can be taught: classes and numbers. Where no
    candidate stands INT8, the teacher's float file is one too.

    Raises:
        RejectedError: the dataset is not the one the teacher was trained on, or records that cannot be read.
        VerificationError: stored records or weights that were changed.
    """
    if digest(dataset) != model.dataset:
        raise RejectedError(
            f"line {line.name!r}: the teacher was trained on dataset {model.dataset[:12]}…, not {digest(dataset)[:12]}…"
        )
    bench = open_bench(store, line, dataset, model, report)
    made = [_quantized("teacher-int8", 0.0, bench, bench.teacher, model.onnx, bench.teacher_onnx, (), 0.0)]
    if bench.prunable:
        made += [_student(bench, ratio) for ratio in dict.fromkeys(line.config.compress.prune)]
    shipped = {TARGETS[name].dialect for name in line.config.targets}
    if not any(item.sound(shipped) for item in made):
        report(f"no candidate stands INT8 ({made[0].parity['cpu'][-1].note}); the float file is one too")
        made.append(_float(bench))
    report(f"timing {2 * len(made)} files, interleaved, batch 1, one thread")
    timings = timings_of({item.name: item.files for item in made}, bench)
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
        answer=model.answer,
        metric=model.metric,
    )


def _student(bench: Bench, ratio: float) -> Made:
    """Prune the teacher, distil it into what is left, export and quantize that."""
    start = time.monotonic()
    model, name = bench.model, f"pruned-{ratio:g}-int8"
    student = prune(bench.teacher, model.input, bench.task.outputs(bench.classes, model.input), Recipe(prune=ratio))
    pruned = bench.keep(student, model.weights.sha256)
    before = predict(student, bench.validation).numpy()
    bench.report(f"{name}: pruned to {architecture_of(student)}")

    _teach(bench, student, name)
    distilled = bench.keep(student, pruned.sha256)
    after = predict(student, bench.validation).numpy()

    file = export_onnx(student, model.input)
    onnx = bench.store.put(bench.line.name, file, "onnx", ".onnx", (distilled.sha256,))
    chain = (
        bench.verdict("prune", bench.teacher_held, before, model.onnx.sha256, pruned.sha256),
        bench.verdict("distill", before, after, pruned.sha256, distilled.sha256, teacher=bench.teacher_held),
        export_verdict(student, file, distilled.sha256, onnx.sha256, bench.validation, drop=bench.lost),
    )
    return _quantized(name, ratio, bench, student, onnx, file, chain, time.monotonic() - start)


def _teach(bench: Bench, student: nn.Module, name: str) -> None:
    """Fit the student in place to the teacher's answers; its best validation weights stay. Raises RejectedError."""
    config, scale = bench.line.config, None
    if bench.model.answer.kind == "number":
        scale = float(np.std(bench.train.y)) or 1.0
    policy = config.training.model_copy(
        update={"epochs": config.compress.distill_epochs, "privacy": None, "patience": None}
    )
    fit(
        student,
        bench.task,
        bench.train,
        bench.validation,
        policy,
        classes=bench.classes,
        objective=distillation(bench.teacher, scale),
        metric=bench.metric,
        watch=_Told(bench.report, name),
    )


def _quantized(
    name: str,
    ratio: float,
    bench: Bench,
    network: nn.Module,
    onnx: ArtifactRef,
    file: bytes,
    chain: tuple[ParityVerdict, ...],
    seconds: float,
) -> Made:
    """Quantize a float file into both dialects; `chain` is what led to it.

    A model that does not stand INT8 in all of its layers is tried once more with every MatMul in float.
    """
    start = time.monotonic()
    rows = _spread(len(bench.calibration), bench.line.config.compress.calibration_records)
    x = bench.calibration.batch(rows).numpy()
    narrow = needs_7_bits(TARGETS[target] for target in bench.line.config.targets)
    before = answers(open_session(file), bench.validation)
    files: dict[str, bytes] = {}
    verdicts: dict[str, ParityVerdict] = {}
    for matmul in (True, False):
        made = quantize(file, x, reduce_range=narrow, matmul=matmul)
        if made == files:  # there is no MatMul
            break
        files = {"cpu": made["cpu"], "tensorrt": made["tensorrt"]}
        refs = {
            dialect: bench.store.put(bench.line.name, data, "onnx", ".onnx", (onnx.sha256,))
            for dialect, data in files.items()
        }
        for dialect, data in files.items():
            after = answers(open_session(data), bench.validation)
            verdicts[dialect] = bench.verdict("quantize", before, after, onnx.sha256, refs[dialect].sha256, dialect)
        if all(verdict.passed for verdict in verdicts.values()):
            break
    bench.report(f"{name}: {len(file) / 1000:.0f} kB in float, {len(files['cpu']) / 1000:.0f} kB in INT8")
    return Made(
        name,
        ratio,
        network,
        {"float": file, **files},
        {"float": onnx, **refs},
        {"float": chain, **{dialect: (*chain, verdict) for dialect, verdict in verdicts.items()}},
        seconds + time.monotonic() - start,
    )


def _float(bench: Bench) -> Made:
    """The teacher as it is, in the place of every dialect."""
    dialects = ("float", *DIALECTS)
    return Made(
        "teacher-float",
        0.0,
        bench.teacher,
        dict.fromkeys(dialects, bench.teacher_onnx),
        dict.fromkeys(dialects, bench.model.onnx),
        dict.fromkeys(dialects, ()),
        0.0,
    )


def _candidate(bench: Bench, made: Made, timings: Mapping[str, NDArray[np.float64]]) -> Candidate:
    start = time.monotonic()
    evidence, faster = measured(bench, made.name, made.files, made.refs, made.parity, timings, made.seconds)
    drop = evidence["cpu"].metric(f"{bench.metric}_drop", "test")
    told = change_in_words(bench.metric, drop.value)
    bench.report(f"{made.name}: {told} on test records, INT8 {faster:.2f} times as fast as float")
    return Candidate(
        name=made.name,
        recipe=Recipe(
            prune=made.prune,
            epochs=bench.line.config.compress.distill_epochs if made.prune else 0,
            format="float32" if made.name.endswith("float") else "int8",
        ),
        parameters=parameters_of(made.network),
        macs=count_macs(made.network, bench.model.input),
        onnx=made.refs,
        evidence=evidence,
        parity=made.parity,
        speedup=faster,
        seconds=made.seconds + time.monotonic() - start,
    )


def _spread(records: int, wanted: int) -> NDArray[np.int64]:
    """At most `wanted` row numbers, evenly over all records, so that every batch has its say."""
    return np.unique(np.linspace(0, records - 1, min(wanted, records)).astype(np.int64))


class _Told(Quiet):
    """Tells of each epoch of a student."""

    def __init__(self, report: Callable[[str], None], name: str) -> None:
        self._report, self._name = report, name

    def epoch(self, row: Mapping[str, float], progress: Progress) -> None:
        """One line."""
        self._report(f"{self._name}: epoch {progress.epoch}/{progress.epochs}  loss {row['train_loss']:.3f}")

    def note(self, text: str) -> None:
        """One line."""
        self._report(f"{self._name}: {text}")


def step(job: Job) -> Candidates:
    """`Job.options`: "dataset" and "model", the documents as text."""
    dataset = from_bytes(DatasetVersion, str(job.options["dataset"]).encode(), "options.dataset")
    model = from_bytes(TrainedModel, str(job.options["model"]).encode(), "options.model")
    return search(job.store, job.line, dataset, model, job.report)


if __name__ == "__main__":
    serve(step)
