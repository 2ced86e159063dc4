"""A dataset version, and a trained model with its evidence."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, cast

from edge.contracts import CLASS_ANSWER, AnswerSpec, ArtifactRef, Evidence, InputSpec, Metric, document

Split = Literal["train", "validation", "test"]


class Shares(Protocol):
    """How records are drawn to sides: a data contract, or a dataset version."""

    @property
    def validation_share(self) -> float: ...

    @property
    def test_share(self) -> float: ...

    @property
    def carve(self) -> tuple[str, ...]: ...


@document("edgeloop.dataset")
@dataclass(frozen=True)
class DatasetVersion:
    """The union of accepted records. Its version is the document's digest.

    Where a record was accepted twice, its first acceptance counts: no record ever changes side or label silently.

    Attributes:
        position: in the journal of accepted batches; a later dataset has a greater one.
        batches: ids in the order of acceptance.
        shards: the batches' records Parquets in order (see `assets.quality.contract.RECORD_COLUMNS`).
        classes: empty where a number is predicted.
        splits: number of distinct records in each split.
        validation_share, test_share, carve: as configured when it was made.
        forgotten: how many of these batches' records were forgotten when it was made; they are left out.
    """

    line: str
    position: int
    batches: tuple[str, ...]
    shards: tuple[ArtifactRef, ...]
    classes: tuple[str, ...]
    splits: Mapping[str, int]
    validation_share: float
    test_share: float
    carve: tuple[str, ...] = ()
    forgotten: int = 0


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


def dataset_key(line: str, version: str) -> str:
    """Where a dataset version is kept by its digest, so that later steps read the version a model was trained on."""
    return f"store/{line}/datasets/{version}.json"


def record_split(record_id: str, validation_share: float, test_share: float) -> Split:
    """The side of a record without a declared split: decided by its id alone, so it never changes.

    Args:
        record_id: 64 hex digits, or a group's name; the first 8 bytes of its SHA-256 give a uniform number in [0, 1).
    """
    draw = int.from_bytes(hashlib.sha256(b"split\0" + record_id.encode()).digest()[:8], "big") / 2**64
    if draw < test_share:
        return "test"
    return "validation" if draw < test_share + validation_share else "train"


def record_side(record_id: str, group: str, declared: str, data: Shares) -> Split:
    """The side of any record.

    A declared split wins, but train records give those that the source does not declare (`data.carve`). Records of one
    group are on one side: the group's name is drawn with, not the record's id.

    Args:
        declared: "train", "validation", "test", or "" where the source declares none.
        data: `validation_share`, `test_share` and `carve` of the line's contract, or of a dataset version.
    """
    if declared and (declared != "train" or not data.carve):
        return cast(Split, declared)
    carve = data.carve if declared else ("validation", "test")
    return record_split(
        f"group\0{group}" if group else record_id,
        data.validation_share if "validation" in carve else 0.0,
        data.test_share if "test" in carve else 0.0,
    )
