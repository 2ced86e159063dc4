"""A foreign ONNX file as a `Subject`: what it reads and answers, and how it does on held-out records."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from assets.compression.subject import Subject
from assets.errors import RejectedError
from assets.evaluation.answers import answers, feeds, fixed_batch, open_session
from assets.evaluation.parity import Outputs
from assets.line.compression import Budget, CompressionPolicy
from assets.loading.held_out import HeldOut as Judged
from assets.standalone.heldout import FloatTruth, HeldOut, SourceRecords, Truth, hold_out, truth_of
from assets.standalone.signature import Signature, read_signature
from assets.standalone.sources import Raw, Reading, read_source
from assets.storage.store import Store
from assets.tasks.exam import Exam
from assets.tasks.task import Task
from edge.contracts import AnswerSpec, Evidence, InputSpec, TargetProfile

PROBED = 2
"""Records that the model is tried on before anything else."""
_LUCK = 1.5


@dataclass(frozen=True)
class Ours:
    """What is known of one of our models, which counts on other records as far as its task can be judged on them.

    Attributes:
        metric: what its line chooses by.
        input: how its input is prepared.
        own_metrics: functions of its line's.
    """

    task: Task
    metric: str
    answer: AnswerSpec
    input: InputSpec
    own_metrics: tuple[str, ...] = ()


@dataclass(frozen=True)
class OnnxFile:
    """An ONNX file: its bytes, linted, and where it came from, for errors."""

    data: bytes
    source: str


@dataclass(frozen=True)
class SearchSettings:
    """What a search is to find, and where it keeps what it paid for.

    Attributes:
        store: of the trials.
        name: what the model's artifacts are stored under.
        metric: of the task; "" for the task's own, or for that of our model's line where the task is the same.
    """

    store: Store
    name: str
    metric: str
    budget: Budget
    policy: CompressionPolicy
    targets: tuple[TargetProfile, ...]
    report: Callable[[str], None]


def open_foreign(
    file: OnnxFile,
    data: Path,
    how: Reading,
    settings: SearchSettings,
    answered: Callable[[], None] = lambda: None,
    ours: Ours | None = None,
) -> tuple[Subject, str]:
    """An ONNX file and a source of records as a subject: quantization only, as there is no network to train.

    Args:
        answered: called once the model has answered its first records.
        ours: None for a model from elsewhere.

    Returns:
        The subject, and how the records were split and judged, in words.

    Raises:
        RejectedError: a model that does not load or answer, records that it does not read, labels that do not fit.
    """
    session = open_model(file)
    signature = read_signature(session, file.source)
    raw = read_source(data, signature, how, None if ours is None else ours.input)
    settings.report(f"{len(raw.ids):,} records in {data}")
    if not raw.ids:
        raise RejectedError(f"{data}: there is no record in it")
    shapes = probe(session, SourceRecords(raw, np.arange(min(PROBED, len(raw.ids))), np.zeros(0)), file.source)
    answered()
    try:
        truth = truth_of(raw.y, how.classes, raw.classes, shapes, len(signature.inputs[0].shape))
        held = hold_out(raw, truth, sum(int(np.prod(shape)) for shape in shapes))
    except RejectedError as error:
        raise RejectedError(f"{data}: {error}") from error
    return subject_of(file, signature, spec_of(raw, signature), held, truth, settings, ours)


def subject_of(
    file: OnnxFile,
    signature: Signature,
    spec: InputSpec,
    held: HeldOut,
    truth: Truth,
    settings: SearchSettings,
    ours: Ours | None = None,
) -> tuple[Subject, str]:
    """The same of records that are open already, see `open_foreign`."""
    task, metric, session, note = truth.task, settings.metric, open_model(file), held.note
    answer = AnswerSpec({"class": "class", "number": "number"}.get(task.spec.answer, "tensor"))  # type: ignore[arg-type]
    own: tuple[str, ...] = ()
    if ours is not None and ours.task.spec.answer == task.spec.answer:
        task, answer, own, metric = ours.task, ours.answer, ours.own_metrics, metric or ours.metric
    chosen = check_budget(task, metric, settings.budget, truth.classes, own)
    if (batch := fixed_batch(session) or 1) > 1:
        note += (
            f"; the file fixes {batch} records per call, so milliseconds and `max_ms` are of calls of {batch} records"
        )
    held_answers, test_answers = (
        float_answers(session, records, file.source) for records in (held.validation, held.test)
    )
    validation, test = held.validation, held.test
    if truth.y is None:
        validation, test = FloatTruth(validation, held_answers), FloatTruth(test, test_answers)
    onnx = settings.store.put(settings.name, file.data, "onnx", ".onnx")
    exam = Exam(task, truth.classes, answer, validation, test, own)
    evidence = Evidence(onnx.sha256, exam.metrics(held_answers, test_answers))
    reached = evidence.metric(chosen, "validation").value
    settings.report(f"the float model's {chosen} is {reached:.4f} on {len(validation):,} validation records")
    if chosen == "accuracy" and reached < _LUCK / len(truth.classes):
        note += (
            f"; the float model itself is right on {reached:.1%} of the records only, hardly more than by chance: see "
            "that the classes are in the outputs' order (--classes) and that inputs are normalized as in training"
        )
    subject = Subject(
        store=settings.store,
        name=settings.name,
        task=task,
        metric=chosen,
        classes=truth.classes,
        answer=answer,
        input=spec,
        output=signature.outputs[0].name,
        labels=truth.classes,
        onnx=onnx,
        file=file.data,
        evidence=evidence,
        policy=settings.policy,
        budget=settings.budget,
        targets=settings.targets,
        calibration=held.calibration,
        validation=validation,
        test=test,
        trainable=None,
        position=0,
        dataset=held.digest,
        report=settings.report,
        own_metrics=own,
    )
    return subject, note


def open_model(file: OnnxFile) -> Any:
    """A session of the file. Raises RejectedError where ONNX Runtime does not load it."""
    try:
        return open_session(file.data)
    except Exception as error:  # ONNX Runtime's own kinds, which are no common one
        raise RejectedError(
            f"{file.source}: ONNX Runtime does not load it ({_short(error)}); export it again"
        ) from error


def float_answers(session: Any, records: Judged, source: str) -> Outputs:
    """What the float model answers, all of it finite. Raises RejectedError."""
    try:
        found = answers(session, records)
    except RejectedError as error:
        raise RejectedError(f"{source}: {error}") from error
    except Exception as error:
        raise RejectedError(
            f"{source}: it cannot answer these records ({_short(error)}); see that they are what it reads"
        ) from error
    if not np.isfinite(found).all():
        at = int((~np.isfinite(found.reshape(len(found), -1)).all(axis=1)).argmax())
        raise RejectedError(
            f"{source}: the float model answers record {at} ({records.ids[at][:12]}…) with NaN or infinity"
        )
    return found


def probe(session: Any, records: Judged, source: str) -> list[tuple[int, ...]]:
    """The shape of one record's answer at each output, from a try on these few records. Raises RejectedError."""
    float_answers(session, records, source)
    size = fixed_batch(session) or 1
    fed = feeds(session, records.batch(np.zeros(size, dtype=np.int64)))
    return [tuple(output.shape[1:]) for output in session.run(None, fed)]


def spec_of(raw: Raw, signature: Signature) -> InputSpec:
    """How the model's first input is made: of pictures as a device does it, else as its owner does."""
    if raw.spec is not None:
        return raw.spec
    port = signature.inputs[0]
    return InputSpec("tensor", port.name, tuple(raw.feeds[port.name].shape[1:]), (), ())


def check_budget(task: Task, metric: str, budget: Budget, classes: tuple[str, ...], own: Sequence[str] = ()) -> str:
    """The metric that chooses. Raises RejectedError where it, or one that the budget limits, is not of this task.

    Args:
        own: metrics of the line's own (`training.metrics`); an ONNX file alone has none.
    """
    known = (*task.spec.metrics, *own)
    for name, where in ((metric, "--metric"), *((name, f"max_{name}_drop") for name in budget.max_drops)):
        if name and name not in known:
            raise RejectedError(
                f"{where}: {name!r} is not said of this model; it is judged by {', '.join(known)} ({task.spec.note})"
            )
    if budget.max_drop_per_class is not None and not classes:
        raise RejectedError(
            f"max_drop_per_class: the model is judged by {task.spec.metric} and has no classes; give labels, or a "
            "--budget without it"
        )
    return metric or task.spec.metric


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
