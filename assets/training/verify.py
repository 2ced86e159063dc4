"""Verifies a trained teacher as the file that leaves this room: exported to ONNX, answered by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assets.errors import RejectedError
from assets.evaluation.answers import answers, open_session
from assets.evaluation.latency import interleaved_ms, latency
from assets.families.export import export_onnx, export_verdict
from assets.families.weights import weights_of
from assets.line.config import Line
from assets.records.line_store import BoundLine
from assets.tasks.exam import Exam
from assets.tasks.task import Task
from assets.training.splits import Sets, truth_of
from assets.training.teacher import Teacher
from edge.contracts import AnswerSpec, ArtifactRef, Evidence, Metric


@dataclass(frozen=True)
class Verified:
    """An exported teacher with what was measured on its file.

    Attributes:
        outputs: (records, …) what the file answers on the test records.
        baseline: what a model that has seen labels only reaches on them.
    """

    weights: ArtifactRef
    onnx: ArtifactRef
    evidence: Evidence
    answer: AnswerSpec
    outputs: NDArray[np.float32]
    baseline: tuple[Metric, ...]


def export_and_verify(
    line: BoundLine, task: Task, teacher: Teacher, sets: Sets, parent: str, report: Callable[[str], None]
) -> Verified:
    """Export the teacher and measure the file on validation and test records.

    Args:
        parent: digest of the dataset version it was trained on.

    Raises:
        RejectedError: the file answers otherwise than the network, or not with numbers.
    """
    network = teacher.network.cpu().eval()
    weights = line.put(weights_of(network), "safetensors", ".safetensors", (parent,))
    model = export_onnx(network, sets.spec)
    onnx = line.put(model, "onnx", ".onnx", (weights.sha256,))
    session = open_session(model)
    held = answers(session, sets.validation)
    metric = line.config.metric

    def drop(before: NDArray[np.float32], after: NDArray[np.float32]) -> float:
        return task.drop(metric, before, after, sets.validation.y)

    verdict = export_verdict(network, model, weights.sha256, onnx.sha256, sets.validation, drop)
    if not verdict.passed:
        raise RejectedError(f"{onnx.uri}: the exported file does not answer as the network does ({verdict.note})")
    outputs = answers(session, sets.test)
    answer = task.metrics.answer(held, sets.validation.y)
    metrics = exam_of(task, line.line, sets, answer).metrics(held, outputs)
    timed = interleaved_ms({"teacher": session}, sets.test.batch(np.arange(1)).numpy())["teacher"]
    naive = task.metrics.baseline(truth_of(task, sets), sets.test.y, line.config.data.classes)
    baseline = task.metrics.metrics("test", naive, sets.test.y, line.config.data.classes)
    report(f"test {in_words(metrics, metric)}, {onnx.size / 1000:.0f} kB")
    return Verified(
        weights, onnx, Evidence(onnx.sha256, metrics, (verdict,), latency(timed)), answer, outputs, baseline
    )


def exam_of(task: Task, line: Line, sets: Sets, answer: AnswerSpec) -> Exam:
    """The held-out records of a line's training, for a model that answers so."""
    config = line.config
    return Exam(task, config.data.classes, answer, sets.validation, sets.test, config.training.metrics)


def in_words(metrics: tuple[Metric, ...], name: str) -> str:
    """The named metric on test records, with its interval."""
    (one,) = (metric for metric in metrics if (metric.name, metric.split) == (name, "test"))
    within = "" if one.low is None or one.high is None else f" ({one.low:.4f} to {one.high:.4f})"
    return f"{name} {one.value:.4f}{within} on {one.records} records"
