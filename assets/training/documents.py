"""A dataset version, and a trained model with its evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from edge.contracts import CLASS_ANSWER, AnswerSpec, ArtifactRef, Evidence, InputSpec, Metric, document


@dataclass(frozen=True)
class Cost:
    """What training took.

    Attributes:
        seconds: of the whole step, on the clock.
        cpu_seconds: of all its processes.
        peak_memory_mb: of the largest process (1 MB is 1,000,000 bytes).
        energy_wh: an estimate: CPU seconds times the watts a core is assumed to take, or the GPU's own counter.
        energy_note: how it was estimated.
    """

    seconds: float
    cpu_seconds: float
    peak_memory_mb: float
    energy_wh: float
    energy_note: str


@dataclass(frozen=True)
class Start:
    """Which weights training started from, and why.

    Attributes:
        kind: "scratch", "last" (the line's newest accepted model) or "pretrained".
        parent: digest of those weights; "" from scratch.
        why: one sentence; with `start: better`, what both reached in the trial.
    """

    kind: Literal["scratch", "last", "pretrained"] = "scratch"
    parent: str = ""
    why: str = ""


FROM_SCRATCH = Start()


@document("edgeloop.trained_model", "1.1")
@dataclass(frozen=True)
class TrainedModel:
    """The teacher.

    Attributes:
        dataset: version (digest) it was trained on; `position` is that dataset's.
        weights: safetensors.
        onnx: float ONNX with a dynamic batch axis, IR version 10 or lower.
        labels: the classes, in the order of the outputs; empty where the answer is something else.
        evidence: bound to `onnx.sha256`: the task's metrics on validation and test with intervals, latency, seconds.
        architecture: what builds the network again, see `assets.families.build`.
        curve: one row per epoch: epoch, step, train_loss, validation_loss, validation_<metric>, learning_rate, seconds.
        task: a folder of `assets.tasks`.
        answer: what the output stands for.
        metric: what chose the epoch, on validation records.
        baseline: what a model that has seen labels only reaches.
        card: the model card's key below the store's root; "" before there was one.
        ended: why training ended: "epochs", "patience" or "time limit".
        epsilon: the privacy spent; None where training was not private.
        settings: what the hyperparameter search found, over the line's own; empty without one.
        folds: the metric of each part of the cross-validation; empty without one.
        versus: what the paired test against the model in use says, in one sentence; "" where there was none.
    """

    line: str
    dataset: str
    position: int
    family: str
    parameters: int
    input: InputSpec
    output: str
    labels: tuple[str, ...]
    weights: ArtifactRef
    onnx: ArtifactRef
    evidence: Evidence
    architecture: Mapping[str, Any]
    curve: tuple[Mapping[str, float], ...]
    task: str = "image_classification"
    answer: AnswerSpec = CLASS_ANSWER
    metric: str = "accuracy"
    baseline: tuple[Metric, ...] = ()
    start: Start = FROM_SCRATCH
    cost: Cost | None = None
    card: str = ""
    ended: str = "epochs"
    epsilon: float | None = None
    settings: Mapping[str, float] = field(default_factory=dict)
    folds: tuple[float, ...] = ()
    versus: str = ""
