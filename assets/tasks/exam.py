"""What is said of a model on held-out records: the task's metrics with their intervals, and the user's own.

Teachers, smaller models, engines and a user's own ONNX file all take the same exam.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from assets.tasks.contract import Truth
from assets.tasks.task import Task
from assets.tasks.user_metrics import Outputs, Split, user_metrics_on
from edge.contracts import AnswerSpec, Metric
from edge.contracts.evidence import VerdictKind


class Labelled(Protocol):
    """Records whose labels are known, see `assets.fitting.contract.TrainingSet`."""

    @property
    def y(self) -> Truth:
        """(records,) int64 classes, or float64 numbers."""
        ...


@dataclass(frozen=True)
class Exam:
    """The held-out records of a task, and what is reported of answers on them.

    Attributes:
        classes: of the data; empty without classes.
        answer: what the outputs stand for; an anomaly's threshold is chosen by the model's validation answers.
        user_metrics: functions of the user's own (`training.metrics`) that are reported too.
    """

    task: Task
    classes: tuple[str, ...]
    answer: AnswerSpec
    validation: Labelled
    test: Labelled
    user_metrics: tuple[str, ...] = ()

    def metrics(self, validation: Outputs, test: Outputs, kind: VerdictKind = "measured") -> tuple[Metric, ...]:
        """Of a model's answers on both splits, (records, …) each, those on validation records first.

        Raises:
            RejectedError: an answer is not finite, or a metric of the user's own fails.
        """
        return (*self.metrics_on("validation", validation, kind), *self.metrics_on("test", test, kind))

    def metrics_on(self, split: Split, outputs: Outputs, kind: VerdictKind = "measured") -> tuple[Metric, ...]:
        """The same on one split."""
        y = (self.validation if split == "validation" else self.test).y
        return (
            *self.task.metrics.metrics(split, outputs, y, self.classes, kind, self.answer.threshold),
            *user_metrics_on(self.user_metrics, split, outputs, y, kind),
        )
