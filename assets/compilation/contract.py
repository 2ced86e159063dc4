"""What was compiled for each target."""

from __future__ import annotations

from dataclasses import dataclass

from edge.contracts import (
    CLASS_ANSWER,
    AnswerSpec,
    ArtifactRef,
    Evidence,
    GoldenSet,
    InputSpec,
    ParityVerdict,
    PlanHeader,
    TargetProfile,
    document,
)


@dataclass(frozen=True)
class Engine:
    """One artifact for one target.

    Attributes:
        target: the profile, with the builder's exact version filled in for plans.
        file: the ONNX that the target loads, or the plan.
        plan: the header read back from a plan's bytes; None for ONNX.
        parity: verdicts from the teacher's ONNX to `file`, no gaps; the last is "simulated" for plans built without
            a GPU, and is followed by a "device" verdict that is pending.
        evidence: about `file`; its metrics say whether they were measured or simulated.
        reused: True where the same inputs had been compiled before.
    """

    target: TargetProfile
    file: ArtifactRef
    evidence: Evidence
    parity: tuple[ParityVerdict, ...]
    plan: PlanHeader | None = None
    reused: bool = False


@document("edgeloop.engines", "1.2")
@dataclass(frozen=True)
class Engines:
    """Every target's artifact of one chosen model, with the golden set they will be tested against."""

    line: str
    position: int
    dataset: str
    teacher: str
    chosen: str
    input: InputSpec
    output: str
    labels: tuple[str, ...]
    golden: GoldenSet
    engines: tuple[Engine, ...]
    answer: AnswerSpec = CLASS_ANSWER
    metric: str = "accuracy"
