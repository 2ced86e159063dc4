"""Makes the artifact of every target: `python -m assets.compilation.compile`, answering `Engines`."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assets.compilation.build import build_targets, check_files
from assets.compilation.documents import Engines
from assets.compilation.golden_set import make_golden, pick_records
from assets.compilation.verify import DEVICE_RECORDS, Source, Verifier
from assets.compression.documents import ChosenModel
from assets.evaluation.answers import logits, open_session
from assets.evaluation.as_tensorrt import open_as_tensorrt
from assets.loading.held_out import HeldOut, open_held_out
from assets.processes.worker import Job, serve
from assets.records.line_store import BoundLine
from assets.tasks.task import load_task
from edge.contracts import TARGETS, GoldenSet, from_bytes
from edge.contracts.target import Dialect
from edge.runtime.onnx import OnnxSession
from edge.runtime.signature import check_signature


def compile_targets(line: BoundLine, chosen: ChosenModel, report: Callable[[str], None]) -> Engines:
    """One engine per target of the line, with the golden set that devices test them against.

    Only the dialects that the targets run are judged and shipped; the float file answers the golden records. An engine
    that answers otherwise than its parent carries a verdict that did not pass: the caller must not release it. A target
    that nothing here can build for gets its ONNX file and a recipe.

    Raises:
        CompileError: a model that a rule or a compiler refuses.
        RejectedError: records that cannot be read.
        VerificationError: a stored file that was changed.
    """
    config, candidate = line.config, chosen.candidate
    assert config.task_spec is not None, "a line with a chosen model has a task"
    targets = [TARGETS[name] for name in config.targets]
    dialects: tuple[Dialect, ...] = ("float", *(target.dialect for target in targets))
    files = {dialect: line.store.fetch(candidate.onnx[dialect]) for dialect in dict.fromkeys(dialects)}
    sms = [target.sm for target in targets if target.runtime == "tensorrt_rtx" and target.sm is not None]
    check_files(line.store, line.name, {dialect: candidate.onnx[dialect] for dialect in files}, files, sms)
    report(f"{candidate.name}: {', '.join(files)} keep every rule")
    dataset = line.dataset(chosen.dataset)
    held, test = (open_held_out(line.store, dataset, split, chosen.input, config) for split in ("validation", "test"))
    verifier = Verifier(
        task=load_task(config.task_spec.name),
        metric=chosen.metric,
        classes=config.data.classes,
        answer=chosen.answer,
        held=held,
        test=test,
        teacher=chosen.teacher_evidence.metric(chosen.metric, "test").value,
        own=config.training.metrics,
        as_device=lambda data: _as_device(chosen, held, data),
    )
    sources = {
        dialect: Source(candidate.onnx[dialect], data, candidate.evidence[dialect], candidate.parity[dialect])
        for dialect, data in files.items()
    }
    built = build_targets(line.store, line.name, candidate.onnx, targets, linted=True, report=report)
    engines = []
    for target in targets:
        engines.append(verifier.engine(line.store, built[target.name], sources[target.dialect]))
        told = engines[-1].parity[-1 if engines[-1].recipe is None else -2].note
        report(f"{target.name}: {built[target.name].note}; {told}")
    return Engines(
        line=line.name,
        position=chosen.position,
        dataset=chosen.dataset,
        teacher=chosen.teacher,
        chosen=candidate.onnx[targets[0].dialect].sha256,
        input=chosen.input,
        output=chosen.output,
        labels=chosen.labels,
        golden=_golden(verifier, chosen, files),
        engines=tuple(engines),
        answer=chosen.answer,
        metric=chosen.metric,
    )


def _as_device(chosen: ChosenModel, held: HeldOut, data: bytes) -> NDArray[np.float32]:
    """Answers of the session that devices use, one record at a time."""
    count = min(len(held), DEVICE_RECORDS)
    with tempfile.TemporaryDirectory(prefix="edgeloop-engine-") as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(data)
        session = OnnxSession(path)
        check_signature(session, chosen.input, chosen.output, chosen.labels, chosen.answer)
        return np.concatenate([session.run(held.batch(np.arange(at, at + 1)).numpy()) for at in range(count)])


def _golden(verifier: Verifier, chosen: ChosenModel, files: dict[Dialect, bytes]) -> GoldenSet:
    picked = pick_records(verifier.task, verifier.test, verifier.classes)
    x = verifier.test.batch(np.asarray(picked, np.int64)).numpy()
    outputs: dict[str, NDArray[np.float32]] = {
        dialect: logits(open_as_tensorrt(data) if dialect == "tensorrt" else open_session(data), x)
        for dialect, data in files.items()
    }
    expected = outputs.pop("float")
    return make_golden(chosen.input, verifier.task, verifier.classes, verifier.test, picked, expected, outputs)


def step(job: Job) -> Engines:
    """`Job.options`: "chosen", the `ChosenModel` document as text."""
    chosen = from_bytes(ChosenModel, str(job.options["chosen"]).encode(), "options.chosen")
    return compile_targets(job.line, chosen, job.report)


if __name__ == "__main__":
    serve(step)
