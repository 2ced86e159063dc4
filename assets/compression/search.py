"""Makes every candidate of a line with its evidence: `python -m assets.compression.search`, answering `Candidates`.

The rule, in order: the formats of the teacher; where INT8 loses more than the budget allows, its most sensitive layers
back in float, then training with INT8 simulated; students, proxies first (see `assets.compression.rule`), each in INT8;
and at the end all files that run on a CPU timed in turn. What is chosen is chosen on validation records; test records
are for reports only.
"""

from __future__ import annotations

import numpy as np

from assets.compression.documents import Candidates, Recipe
from assets.compression.evidence import confusion_of
from assets.compression.formats.every_format import formats_of_teacher
from assets.compression.formats.network import Network
from assets.compression.prune import count_macs
from assets.compression.search_state import SearchState
from assets.compression.size import macs_of_file, parameters_of_file
from assets.compression.students.selecting import taught_students
from assets.compression.subject import Subject, open_subject
from assets.compression.timing import timed
from assets.compression.trials import Made, Trials
from assets.evaluation.answers import feeds, open_session
from assets.families.weights import architecture_of, parameters_of
from assets.processes.worker import Job, serve
from assets.records.dataset import DatasetVersion
from assets.training.documents import TrainedModel
from edge.contracts import from_bytes


def search(subject: Subject) -> Candidates:
    """Every candidate of a subject, from its journal of trials and from trials made now.

    The float teacher is always a candidate, so that a model that INT8 breaks still has one.

    Raises:
        RejectedError: records that cannot be read, or a training that diverges.
        VerificationError: stored records or weights that were changed.
    """
    state = SearchState(Trials(subject))
    teacher = Network(subject, _teacher(subject))
    formats_of_teacher(state, teacher)
    if subject.trainable is not None:
        taught_students(state, subject.trainable)
    candidates, seconds = timed(state)
    return Candidates(
        line=subject.name,
        position=subject.position,
        dataset=subject.dataset,
        teacher=subject.onnx.sha256,
        teacher_size=subject.onnx.size,
        teacher_evidence=subject.evidence,
        input=subject.input,
        output=subject.output,
        labels=subject.labels,
        candidates=candidates,
        answer=subject.answer,
        metric=subject.metric,
        tried=tuple(state.tried),
        confusion=confusion_of(subject, subject.teacher_test),
        seconds=state.trials.seconds + seconds,
        note=_note(state),
    )


def _teacher(subject: Subject) -> Made:
    """The float file that all begins with, counted on its network where there is one."""
    teacher = subject.trainable
    if teacher is None:
        shapes = shapes_of(subject)
        return Made(
            "teacher", Recipe(), subject.onnx, (), parameters_of_file(subject.file), macs_of_file(subject.file, shapes)
        )
    return Made(
        "teacher",
        Recipe(),
        subject.onnx,
        (),
        parameters_of(teacher.network),
        count_macs(teacher.network, subject.input),
        architecture=architecture_of(teacher.network),
        weights=teacher.weights,
    )


def shapes_of(subject: Subject) -> dict[str, tuple[int, ...]]:
    """Each input's shape with one record."""
    fed = feeds(open_session(subject.file), subject.validation.batch(np.arange(1)))
    return {name: tuple(array.shape) for name, array in fed.items()}


def _note(state: SearchState) -> str:
    """What a person should know of the search."""
    sentences = [
        "Latencies are measured, so candidates within 5 % of each other may change places from run to run; all else "
        "is the same for the same records, line and number of threads."
    ]
    if state.subject.trainable is not None:
        sentences.append(
            "Which students are taught to the end depends on their proxies' measured latency too, which the journal of "
            "trials keeps: another journal may have other students survive."
        )
    if state.no_time_for:
        minutes = state.subject.policy.max_minutes
        sentences.append(f"After {minutes:g} minutes no time was left for {', '.join(state.no_time_for)}.")
    return " ".join(sentences)


def step(job: Job) -> Candidates:
    """`Job.options`: "dataset" and "model", the documents as text."""
    dataset = from_bytes(DatasetVersion, str(job.options["dataset"]).encode(), "options.dataset")
    model = from_bytes(TrainedModel, str(job.options["model"]).encode(), "options.model")
    return search(open_subject(job.line, dataset, model, job.report))


if __name__ == "__main__":
    serve(step)
