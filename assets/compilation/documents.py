"""What was compiled for each target."""

from __future__ import annotations

from dataclasses import dataclass

from edge.contracts import (
    CLASS_ANSWER,
    AnswerSpec,
    ArtifactRef,
    BuildRecipe,
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
        file: the ONNX that the target loads, the plan, or with a `recipe` the ONNX that a plan is built from.
        plan: the header read back from a plan's bytes; None for ONNX.
        parity: verdicts from the teacher's ONNX to `file`, no gaps; the last is "simulated" for plans built without
            a GPU and for recipes, and is followed by a "device" verdict that is pending.
        evidence: about `file`: metrics, measured or simulated; a latency only where it was measured on that target;
            size, memory, what built it, with which flags and warnings.
        reused: True where the same inputs had been compiled before.
        recipe: how the device builds its own plan, where nothing here can.
    """

    target: TargetProfile
    file: ArtifactRef
    evidence: Evidence
    parity: tuple[ParityVerdict, ...]
    plan: PlanHeader | None = None
    reused: bool = False
    recipe: BuildRecipe | None = None


@document("edgeloop.engines", "1.3")
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
