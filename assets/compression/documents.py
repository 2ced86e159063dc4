"""Candidates with their evidence, and the one that was chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from assets.line.compression import Allocation, Ranges
from assets.line.number_formats import AnyFormat
from edge.contracts import CLASS_ANSWER, AnswerSpec, ArtifactRef, Evidence, InputSpec, ParityVerdict, document

MOST_CONFUSED = 40
"""Of more classes no confusion matrix is kept."""


@dataclass(frozen=True)
class Recipe:
    """How a candidate is made of its teacher: what its trial is named by, together with the inputs.

    Attributes:
        prune: share of channels removed; 0 for none.
        allocate: how it is spread over layers; "cost" takes more from layers of more work.
        blocks: residual blocks taken out.
        heads: share of attention heads removed.
        halvings: how often the first layer halves the picture beyond what the teacher's does.
        epochs: of distillation; 0 where the teacher's weights stay.
        qat: epochs of training with INT8 simulated.
        format: of numbers, see `assets.line.number_formats`.
        ranges: how INT8 ranges were found.
        floats: layers (ONNX nodes) that stay in float, in the order they were given up.
    """

    prune: float = 0.0
    allocate: Allocation = "even"
    blocks: int = 0
    heads: float = 0.0
    halvings: int = 0
    epochs: int = 0
    qat: int = 0
    format: AnyFormat = "int8"
    ranges: Ranges = "minmax"
    floats: tuple[str, ...] = ()


@dataclass(frozen=True)
class LayerLoss:
    """What quantizing one layer alone costs.

    Attributes:
        layer, op: the ONNX node and its operator.
        drop: of the line's metric on some validation records, see `Task.drop`.
        error: root mean square of the outputs' difference, as a share of the outputs' own.
        bytes: of its weights in float.
    """

    layer: str
    op: str
    drop: float
    error: float
    bytes: int


@dataclass(frozen=True)
class Tried:
    """Something that was tried and did not become a candidate: a range method, a proxy, a technique that did not help.

    Attributes:
        name: e.g. "teacher-int8-entropy", "pruned-0.5-proxy".
        recipe: what was tried.
        drop: of the line's metric on validation records against the teacher; None where there is none to tell.
        ms: one call in ONNX Runtime; None where it was not timed.
        why: one sentence: why it went no further.
        seconds: what it took.
    """

    name: str
    recipe: Recipe
    drop: float | None
    ms: float | None
    why: str
    seconds: float


@dataclass(frozen=True)
class Candidate:
    """One smaller model, in each dialect.

    Attributes:
        name: e.g. "teacher-int8", "pruned-0.5-int8".
        recipe: how it was made.
        parameters, macs: of the network, per record.
        onnx: dialect ("float", "cpu", "tensorrt") to file; all three come from one set of weights and one calibration.
        evidence: dialect to evidence bound to that file. Validation metrics choose; test metrics report.
            What was lost against the teacher on test records, with its paired 95 % interval, is the metric
            "<metric>_drop", e.g. "accuracy_drop" (teacher minus candidate, in fractions, same records).
        parity: dialect to the chain of verdicts from the teacher's ONNX to that file, no gaps.
        speedup: median of (float ms / cpu-dialect ms) of this network, interleaved, batch 1, one thread; None unknown.
        seconds: what making it took.
        class_drops: class to what its recall lost on validation records, in the worst dialect; empty where the answer
            is no class.
        confusion: on test records in the CPU dialect, a row of counts per true class; empty without classes, and above
            `MOST_CONFUSED` of them.
        layers: sensitivity of its layers, where it was looked at.
    """

    name: str
    recipe: Recipe
    parameters: int
    macs: int
    onnx: Mapping[str, ArtifactRef]
    evidence: Mapping[str, Evidence]
    parity: Mapping[str, tuple[ParityVerdict, ...]]
    speedup: float | None
    seconds: float
    class_drops: Mapping[str, float] = field(default_factory=dict)
    confusion: tuple[tuple[int, ...], ...] = ()
    layers: tuple[LayerLoss, ...] = ()


@document("edgeloop.candidates", "2.0")
@dataclass(frozen=True)
class Candidates:
    """Everything the search made from one teacher.

    Attributes:
        teacher: digest of its float ONNX; `teacher_size` is that file's bytes, `teacher_evidence` about it.
        tried: what did not become a candidate, and why.
        confusion: the teacher's, see `Candidate`.
        seconds: of all trials, those of an interrupted search included.
        note: what a person should know of the search: what is not deterministic, what it had no time for.
    """

    line: str
    position: int
    dataset: str
    teacher: str
    teacher_size: int
    teacher_evidence: Evidence
    input: InputSpec
    output: str
    labels: tuple[str, ...]
    candidates: tuple[Candidate, ...]
    answer: AnswerSpec = CLASS_ANSWER
    metric: str = "accuracy"
    tried: tuple[Tried, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()
    seconds: float = 0.0
    note: str = ""


@document("edgeloop.chosen_model", "2.0")
@dataclass(frozen=True)
class ChosenModel:
    """The candidate that fits the budget and costs least.

    Attributes:
        why: one plain sentence.
        rejected: name of each other candidate to why it lost.
        front: names of the candidates that no other one beats, see `assets.compression.choosing.choose.front_of`.
        page: key of the page that shows the search, below the store's root; "" where there is none.
    """

    line: str
    position: int
    dataset: str
    teacher: str
    teacher_size: int
    teacher_evidence: Evidence
    input: InputSpec
    output: str
    labels: tuple[str, ...]
    candidate: Candidate
    why: str
    rejected: Mapping[str, str] = field(default_factory=dict)
    answer: AnswerSpec = CLASS_ANSWER
    metric: str = "accuracy"
    front: tuple[str, ...] = ()
    page: str = ""
