"""What every candidate is made from and measured on, and what a conversion did to a model's answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from torch import nn

from assets.compression.choose import conversion_limit
from assets.families.build import build_network
from assets.families.registry import FAMILIES
from assets.families.weights import set_weights, weights_of
from assets.fitting.contract import TrainingSet
from assets.fitting.threads import set_up_torch
from assets.line import Line
from assets.loading.judged import Judged, open_judged
from assets.measure import answers, open_session
from assets.store import Store
from assets.tasks.contract import Task, load_task
from assets.tasks.registry import change_in_words
from assets.training.contract import DatasetVersion, TrainedModel
from edge.contracts import ArtifactRef, ParityVerdict
from edge.contracts.evidence import VerdictKind


@dataclass(frozen=True)
class Bench:
    """What every candidate is made from and measured on."""

    store: Store
    line: Line
    task: Task
    model: TrainedModel
    teacher: nn.Module
    teacher_onnx: bytes
    train: TrainingSet
    validation: Judged
    test: Judged
    report: Callable[[str], None]

    @property
    def metric(self) -> str:
        """What models are chosen by."""
        return self.model.metric

    @property
    def classes(self) -> tuple[str, ...]:
        """Of the data; those of the model's outputs are `TrainedModel.labels`."""
        return self.line.config.data.classes

    @property
    def prunable(self) -> bool:
        """Whether channels can be taken out, and the rest be taught by the teacher.

        A student of a private teacher would be taught on the very records that its training protects.
        """
        family = FAMILIES.get(self.model.family)
        if self.private:
            return False
        return family is not None and family.prunable and self.model.answer.kind in {"class", "number"}

    @property
    def private(self) -> bool:
        """Whether the teacher was trained privately: nothing else may then come from its training records."""
        return self.model.epsilon is not None

    @property
    def calibration(self) -> TrainingSet:
        """The records that set INT8 ranges."""
        return self.validation if self.private else self.train

    @property
    def limit(self) -> float:
        """The most that one conversion may lose of the metric."""
        return conversion_limit(self.line.config.budget)

    @cached_property
    def teacher_held(self) -> NDArray[np.float32]:
        """What the teacher's file answers on the validation records."""
        return answers(open_session(self.teacher_onnx), self.validation)

    @cached_property
    def teacher_test(self) -> NDArray[np.float32]:
        """The same on the test records."""
        return answers(open_session(self.teacher_onnx), self.test)

    def keep(self, network: nn.Module, parent: str) -> ArtifactRef:
        """Store a network's weights."""
        return self.store.put(self.line.name, weights_of(network), "safetensors", ".safetensors", (parent,))

    def lost(self, before: NDArray[np.float32], after: NDArray[np.float32]) -> float:
        """What the second answers on validation records lost of the metric; see `Task.drop`."""
        return self.task.drop(self.metric, before, after, self.validation.y)

    def verdict(
        self,
        stage: Literal["prune", "distill", "quantize"],
        before: NDArray[np.float32],
        after: NDArray[np.float32],
        parent: str,
        child: str,
        dialect: str = "",
        teacher: NDArray[np.float32] | None = None,
    ) -> ParityVerdict:
        """What a conversion did to the answers on the validation records.

        Pruning passes with any finite answers, however wrong: the distillation that always follows repairs it, and is
        judged against the teacher, not against its ruined parent. `metric_drop` is against the parent at every stage,
        so that the drops of a chain add up.

        Args:
            before, after: (records, …) answers of parent and child.
            teacher: answers that the child is judged against; None for the parent's own.
        """
        kind, records = kind_of(dialect), len(after)
        if not np.isfinite(after).all() or not np.isfinite(before).all():
            note, most = "an answer is not a finite number", float(np.finfo(np.float32).max)
            return ParityVerdict(stage, kind, parent, child, False, 1.0, most, records, note)
        drop = self.lost(before, after)
        lost = drop if teacher is None else self.lost(teacher, after)
        diff = float(np.abs(before - after).max())
        against = "" if teacher is None else " against the teacher"
        told = change_in_words(self.metric, lost)
        note = f"{dialect or 'float'}: {told}{against}, at most {self.limit:g} is a sound {stage}"
        if stage == "prune":
            note = f"{told}, which is judged after distillation"
        passed = stage == "prune" or lost <= self.limit
        return ParityVerdict(stage, kind, parent, child, passed, drop, diff, records, note)


def open_bench(
    store: Store, line: Line, dataset: DatasetVersion, model: TrainedModel, report: Callable[[str], None]
) -> Bench:
    """Build the teacher again and open its records.

    Raises:
        RejectedError: records that cannot be read, or weights that do not fit.
        VerificationError: stored records or weights that were changed.
    """
    config, task = line.config, load_task(model.task)
    set_up_torch(config.training, model.input.shape)
    outputs = task.outputs(config.data.classes, model.input)
    teacher = build_network(model.family, model.input, outputs, model.architecture)
    set_weights(teacher, store.fetch(model.weights), model.weights.uri)
    return Bench(
        store,
        line,
        task,
        model,
        teacher.eval(),
        store.fetch(model.onnx),
        open_judged(store, dataset, "train", model.input, config),
        open_judged(store, dataset, "validation", model.input, config),
        open_judged(store, dataset, "test", model.input, config),
        report,
    )


def kind_of(dialect: str) -> VerdictKind:
    """The TensorRT dialect is executed in ONNX Runtime here, which simulates what TensorRT will do."""
    return "simulated" if dialect == "tensorrt" else "measured"
