"""Evidence about a candidate's files: the task's metrics, what it lost against the teacher, and how fast it is."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.compression.documents import MOST_CONFUSED
from assets.compression.subject import Subject, kind_of
from assets.evaluation.answers import answers, feeds, fixed_batch, open_session
from assets.evaluation.as_tensorrt import misreading, open_as_tensorrt, unsigned
from assets.evaluation.latency import ROUNDS, bounded_ms
from assets.evaluation.parity import Outputs
from assets.fitting.contract import TrainingSet
from assets.line.tasks import lower_is_better, metric_drop
from assets.tasks.class_metrics import confusion
from assets.tasks.compare import compare
from edge.contracts import Metric
from edge.contracts.evidence import VerdictKind


def answers_of(dialect: str, file: bytes, records: TrainingSet, most: int | None = None) -> Outputs:
    """What a file answers as its target will execute it: the TensorRT dialect literally, as TensorRT reads it.

    Raises:
        CompileError: the TensorRT dialect is not what TensorRT can be said to read.
    """
    if dialect == "tensorrt":
        return answers(open_as_tensorrt(file), records, most)
    return answers(open_session(file), records, most)


def misread(subject: Subject, file: bytes) -> str:
    """Why TensorRT would answer otherwise than a file in its dialect is meant; "" where it reads it as written.

    Raises:
        CompileError: see `assets.evaluation.as_tensorrt.as_tensorrt_reads`.
    """
    if not unsigned(file):
        return ""

    def answer(model: bytes, as_written: bool) -> Outputs:
        return answers(open_session(model, as_written=as_written), subject.validation)

    return misreading(file, answer, subject.lost)


def timings_of(
    files: Iterable[tuple[str, bytes]], records: TrainingSet, rounds: int = ROUNDS
) -> dict[str, NDArray[Any]]:
    """Milliseconds of single calls of each file by name, (rounds, calls), in turn: one thread, batch 1 or as fixed."""
    sessions = {name: open_session(file) for name, file in files}
    first = next(iter(sessions.values()))
    x = feeds(first, records.batch(np.arange(fixed_batch(first) or 1) % len(records)))
    return bounded_ms(sessions, x, rounds)


def evidence_of(
    subject: Subject, dialect: str, file: bytes, held: Outputs | None, known: Mapping[str, tuple[Outputs, Outputs]]
) -> tuple[tuple[Metric, ...], Outputs, Outputs]:
    """A file's metrics on both splits, with its answers on them.

    Args:
        held: its answers on validation records, where they are known already.
        known: answers of other dialects' files by how they are executed, see `executed_as`, to be used again.

    Raises:
        RejectedError: an answer is not finite.
    """
    kind, same = kind_of(dialect), known.get(executed_as(dialect, file))
    if same is not None:
        held, test = same
    else:
        held = answers_of(dialect, file, subject.validation) if held is None else held
        test = answers_of(dialect, file, subject.test)
    return (*subject.exam.metrics(held, test, kind), _drop(subject, test, kind)), held, test


def executed_as(dialect: str, file: bytes) -> str:
    """Files of the same key give the same answers."""
    literal = dialect == "tensorrt" and b"QuantizeLinear" in file
    return f"{literal}{hashlib.sha256(file).hexdigest()}"


def of_teacher(subject: Subject) -> tuple[Metric, ...]:
    """What is known of the teacher's own file, which against itself lost nothing."""
    records = subject.evidence.metric(subject.metric, "test").records
    return (*subject.evidence.metrics, Metric(f"{subject.metric}_drop", 0.0, "test", records, 0.0, 0.0))


def recalls(subject: Subject, outputs: Outputs) -> dict[str, float]:
    """Class to the share of its validation records that are answered right; empty where the answer is no class."""
    if subject.task.spec.answer != "class" or not subject.classes:
        return {}
    right, y = outputs.argmax(axis=1) == subject.validation.y, subject.validation.y
    return {name: float(right[y == label].mean()) for label, name in enumerate(subject.classes) if (y == label).any()}


def class_drops(subject: Subject, outputs: Mapping[str, Outputs]) -> dict[str, float]:
    """What each class's recall lost on validation records, in the worst of these answers."""
    before = recalls(subject, subject.teacher_held)
    after = [recalls(subject, answered) for answered in outputs.values()]
    return {name: max(share - found[name] for found in after) for name, share in before.items()} if after else {}


def limited_drops(subject: Subject, outputs: Mapping[str, Outputs]) -> dict[str, float]:
    """What each metric of `budget.max_drops` lost on validation records, in the worst of these answers."""
    if not subject.budget.max_drops:
        return {}
    found: dict[str, float] = {}
    for dialect, answered in outputs.items():
        after = subject.exam.metrics_on("validation", answered, kind_of(dialect))
        for name, lost in drops_of(subject, after).items():
            found[name] = max(lost, found.get(name, lost))
    return found


def drops_of(subject: Subject, metrics: Sequence[Metric]) -> dict[str, float]:
    """What each metric of `budget.max_drops` lost; one that was not measured is no matter here, see `choose`."""
    before = {one.name: one.value for one in subject.evidence.metrics if one.split == "validation"}
    after = {one.name: one.value for one in metrics if one.split == "validation"}
    names = before.keys() & after.keys() & subject.budget.max_drops.keys()
    return {name: metric_drop(name, before[name], after[name]) for name in sorted(names)}


def confusion_of(subject: Subject, test: Outputs) -> tuple[tuple[int, ...], ...]:
    """A row of counts per true class on test records; empty without classes, and of too many."""
    if subject.task.spec.answer != "class" or not 0 < len(subject.classes) <= MOST_CONFUSED:
        return ()
    return tuple(tuple(int(count) for count in row) for row in confusion(test, subject.test.y))


def _drop(subject: Subject, outputs: Outputs, kind: VerdictKind) -> Metric:
    """What was lost against the teacher (see `Task.drop`), with the paired 95 % interval; pictures are no pairs."""
    task, metric, before, y = subject.task, subject.metric, subject.teacher_test, subject.test.y
    name = f"{metric}_drop"
    if task.spec.answer == "image":
        return Metric(name, task.drop(metric, before, outputs, y), "test", len(outputs), kind=kind)
    found = compare(task, metric, before, outputs, y)
    unit = 1 / max(abs(found.before), 1e-12) if lower_is_better(metric) else 1.0
    gain = found.gain
    return Metric(name, -gain.value * unit, "test", found.records, -gain.high * unit, -gain.low * unit, kind)
