"""Candidates with their evidence, and the one that was chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from edge.contracts import CLASS_ANSWER, AnswerSpec, ArtifactRef, Evidence, InputSpec, ParityVerdict, document


@dataclass(frozen=True)
class Candidate:
    """One smaller model, in each dialect.

    Attributes:
        name: e.g. "teacher-int8", "pruned-0.5-int8".
        prune: share of channels removed, 0 for none.
        parameters, macs: of the network, per record.
        onnx: dialect ("float", "cpu", "tensorrt") to file; all three come from one set of weights and one calibration.
        evidence: dialect to evidence bound to that file. Validation metrics choose; test metrics report.
            What was lost against the teacher on test records, with its paired 95 % interval, is the metric
            "<metric>_drop", e.g. "accuracy_drop" (teacher minus candidate, in fractions, same records).
        parity: dialect to the chain of verdicts from the teacher's ONNX to that file, no gaps.
        speedup: median of (float ms / cpu-dialect ms) of this network, interleaved, batch 1, one thread; None unknown.
        seconds: what making it took.
    """

    name: str
    prune: float
    parameters: int
    macs: int
    onnx: Mapping[str, ArtifactRef]
    evidence: Mapping[str, Evidence]
    parity: Mapping[str, tuple[ParityVerdict, ...]]
    speedup: float | None
    seconds: float


@document("edgeloop.candidates", "1.2")
@dataclass(frozen=True)
class Candidates:
    """Everything the search made from one teacher (`teacher`: digest of its ONNX; `evidence`: of its float ONNX)."""

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


@document("edgeloop.chosen_model", "1.2")
@dataclass(frozen=True)
class ChosenModel:
    """The candidate that fits the budget and costs least.

    Attributes:
        why: one plain sentence.
        rejected: name of each other candidate to why it lost.
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
