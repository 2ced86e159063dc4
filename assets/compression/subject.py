"""What is compressed and what it is judged on: of a line, or a user's own ONNX file alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from torch import nn

from assets.compression.choosing.choose import conversion_limit
from assets.compression.students.distill import Answers
from assets.errors import RejectedError
from assets.evaluation.answers import answers, open_session
from assets.evaluation.parity import ALL_LOST, compare_answers
from assets.families.build import build_network
from assets.families.weights import set_weights, weights_of
from assets.fitting.contract import TrainingSet
from assets.fitting.threads import set_up_torch
from assets.line.compression import Budget, CompressionPolicy
from assets.line.tasks import change_in_words
from assets.line.training import TrainingPolicy
from assets.loading.held_out import HeldOut, open_held_out
from assets.records.dataset import DatasetVersion
from assets.records.line_store import BoundLine
from assets.storage.store import Store
from assets.tasks.exam import Exam
from assets.tasks.task import Task, load_task
from assets.training.documents import TrainedModel
from edge.contracts import TARGETS, AnswerSpec, ArtifactRef, Evidence, InputSpec, ParityVerdict, TargetProfile, digest
from edge.contracts.evidence import VerdictKind

Outputs = NDArray[np.float32]


@dataclass(frozen=True)
class Trainable:
    """The network behind the float file, and what its students learn from.

    Attributes:
        family: of `assets.families`, which says what can be taken out of it.
        weights: its stored weights.
        train: what the teacher was fitted to.
        policy: how it was trained; students keep to it.
        outputs: how many numbers it answers per record.
    """

    network: nn.Module
    family: str
    weights: ArtifactRef
    train: TrainingSet
    policy: TrainingPolicy
    outputs: int

    @cached_property
    def answers(self) -> Answers:
        """What it answered when students asked."""
        return Answers(self.network)


@dataclass(frozen=True)
class Subject:
    """A float model, the records it is judged on, and what its smaller models may cost.

    Attributes:
        name: of the line or model; everything is stored below `store/<name>/`.
        metric: of the task: what models are chosen by.
        classes: of the data; empty without classes.
        labels: of the outputs; empty where the answer is no class.
        onnx, file: the float teacher and its bytes; `evidence` is about it: `metric` on validation and on test.
        targets: what the chosen model will run on, at least one; what they do not run decides nothing.
        calibration: the records that set INT8 ranges.
        trainable: None for an ONNX alone, or where nothing more may be learned from the records: then only its numbers'
            formats change.
        position, dataset: of the journal and of the records, see `Candidates`.
        report: tells people how far the search is.
        own_metrics: functions of the user's own that are reported too.
    """

    store: Store
    name: str
    task: Task
    metric: str
    classes: tuple[str, ...]
    answer: AnswerSpec
    input: InputSpec
    output: str
    labels: tuple[str, ...]
    onnx: ArtifactRef
    file: bytes
    evidence: Evidence
    policy: CompressionPolicy
    budget: Budget
    targets: tuple[TargetProfile, ...]
    calibration: TrainingSet
    validation: HeldOut
    test: HeldOut
    trainable: Trainable | None
    position: int
    dataset: str
    report: Callable[[str], None]
    own_metrics: tuple[str, ...] = ()

    @property
    def limit(self) -> float:
        """The most that one conversion may lose of the metric."""
        return conversion_limit(self.budget)

    @property
    def shipped(self) -> tuple[Literal["float", "cpu", "tensorrt"], ...]:
        """The dialects that the targets run."""
        return tuple(dict.fromkeys(target.dialect for target in self.targets))

    @property
    def exam(self) -> Exam:
        """What is reported of answers on the held-out records."""
        return Exam(self.task, self.classes, self.answer, self.validation, self.test, self.own_metrics)

    @cached_property
    def teacher_held(self) -> Outputs:
        """What the teacher's file answers on the validation records."""
        return answers(open_session(self.file), self.validation)

    @cached_property
    def teacher_test(self) -> Outputs:
        """The same on the test records."""
        return answers(open_session(self.file), self.test)

    def keep(self, network: nn.Module, parent: str) -> ArtifactRef:
        """Store a network's weights."""
        return self.store.put(self.name, weights_of(network), "safetensors", ".safetensors", (parent,))

    def keep_onnx(self, file: bytes, parent: str) -> ArtifactRef:
        """Store an ONNX file."""
        return self.store.put(self.name, file, "onnx", ".onnx", (parent,))

    def lost(self, before: Outputs, after: Outputs) -> float:
        """What the second answers on validation records lost of the metric, see `Task.drop`; all where not finite."""
        if not np.isfinite(after).all():
            return ALL_LOST
        return self.task.drop(self.metric, before, after, self.validation.y)

    def verdict(
        self,
        stage: Literal["prune", "distill", "quantize"],
        before: Outputs,
        after: Outputs,
        parent: str,
        child: str,
        dialect: str = "",
        teacher: Outputs | None = None,
    ) -> ParityVerdict:
        """What a conversion did to the answers on the validation records.

        Pruning passes with any finite answers, however wrong: the distillation that always follows repairs it, and is
        judged against the teacher, not against its ruined parent. `metric_drop` is against the parent at every stage,
        so that the drops of a chain add up.

        Args:
            before, after: (records, …) answers of parent and child.
            teacher: answers that the child is judged against; None for the parent's own.
        """
        found = compare_answers(before, after, self.lost)
        lost = found.drop if teacher is None or found.flaw else self.lost(teacher, after)
        told = change_in_words(self.metric, lost)
        if stage == "prune":
            note = f"{told}, which is judged after distillation"
        else:
            against = "" if teacher is None else " against the teacher"
            note = f"{dialect or 'float'}: {told}{against}, at most {self.limit:g} is a sound {stage}"
        passed = stage == "prune" or lost <= self.limit
        return found.verdict(stage, kind_of(dialect), parent, child, passed=passed, note=note)


def open_subject(
    line: BoundLine, dataset: DatasetVersion, model: TrainedModel, report: Callable[[str], None]
) -> Subject:
    """A line's teacher with its records.

    A student of a private teacher would be taught on the very records that its training protects: such a teacher is not
    trainable, and is calibrated on validation records. Generators of pictures have no students either.

    Raises:
        RejectedError: the dataset is not the one the teacher was trained on, records that cannot be read, or weights
            that do not fit.
        VerificationError: stored records or weights that were changed.
    """
    if digest(dataset) != model.dataset:
        raise RejectedError(
            f"line {line.name!r}: the teacher was trained on dataset {model.dataset[:12]}…, not {digest(dataset)[:12]}…"
        )
    config, task, private = line.config, load_task(model.task), model.epsilon is not None
    set_up_torch(config.training, model.input.shape)
    train = None if private else open_held_out(line.store, dataset, "train", model.input, config)
    validation = open_held_out(line.store, dataset, "validation", model.input, config)
    trainable = None
    if train is not None and model.answer.kind != "image":
        outputs = task.outputs(config.data.classes, model.input)
        network = build_network(model.family, model.input, outputs, model.architecture)
        set_weights(network, line.store.fetch(model.weights), model.weights.uri)
        trainable = Trainable(network.eval(), model.family, model.weights, train, config.training, outputs)
    return Subject(
        store=line.store,
        name=line.name,
        task=task,
        metric=model.metric,
        classes=config.data.classes,
        answer=model.answer,
        input=model.input,
        output=model.output,
        labels=model.labels,
        onnx=model.onnx,
        file=line.store.fetch(model.onnx),
        evidence=model.evidence,
        policy=config.compress,
        budget=config.budget,
        targets=tuple(TARGETS[name] for name in config.targets),
        calibration=validation if train is None else train,
        validation=validation,
        test=open_held_out(line.store, dataset, "test", model.input, config),
        trainable=trainable,
        position=model.position,
        dataset=model.dataset,
        report=report,
        own_metrics=config.training.metrics,
    )


def kind_of(dialect: str) -> VerdictKind:
    """The TensorRT dialect is executed in ONNX Runtime here, which simulates what TensorRT will do."""
    return "simulated" if dialect == "tensorrt" else "measured"
