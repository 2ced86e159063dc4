"""What was measured about an artifact, bound to its digest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edge.contracts.artifact import check_sha256

VerdictKind = Literal["measured", "simulated", "pending"]


@dataclass(frozen=True)
class Metric:
    """One number about a model on one split, with its 95 % interval where there is one.

    Attributes:
        name: e.g. "accuracy", "macro_f1" (fractions, 0 to 1).
        split: "validation" (used to choose) or "test" (used to report).
        records: how many records it was computed on.
        low, high: the ends of the 95 % interval (Wilson for a share, paired for a difference).
        kind: "measured" on the runtime that the artifact is for; "simulated" where its arithmetic was executed in
            another one, as for a plan that was built without a GPU.
    """

    name: str
    value: float
    split: Literal["validation", "test"]
    records: int
    low: float | None = None
    high: float | None = None
    kind: VerdictKind = "measured"


@dataclass(frozen=True)
class Latency:
    """Milliseconds of one inference call, measured on `machine`; never a guess."""

    median_ms: float
    p95_ms: float
    batch: int
    threads: int
    machine: str


@dataclass(frozen=True)
class ParityVerdict:
    """What one conversion did to a model, on the same held-out records as its parent.

    Attributes:
        stage: "export", "prune", "distill", "quantize", "compile" or "device".
        kind: "measured" on what will run; "simulated" where the target's arithmetic was executed elsewhere; "pending"
            where only the device can tell.
        parent, child: digests of the two artifacts; equal for stage "device".
        passed: None while pending.
        metric_drop: parent's metric minus child's, in the metric's own unit (accuracy: fraction); None while pending.
        max_abs_diff: largest absolute difference of any output number; None while pending.
        records: on how many records.
        note: one sentence for people.
    """

    stage: Literal["export", "prune", "distill", "quantize", "compile", "device"]
    kind: VerdictKind
    parent: str
    child: str
    passed: bool | None
    metric_drop: float | None
    max_abs_diff: float | None
    records: int
    note: str = ""

    def __post_init__(self) -> None:
        check_sha256(self.parent)
        check_sha256(self.child)
        if (self.kind == "pending") != (self.passed is None):
            raise ValueError("a verdict is pending exactly when `passed` is null")


@dataclass(frozen=True)
class Evidence:
    """Everything measured about the artifact whose digest is `artifact`.

    Attributes:
        seconds: what making it took.
        size: bytes of the artifact; 0 where it was not taken down.
        peak_mb: largest resident memory in MiB of a process that loads the artifact and answers records with it, on
            the machine and runtime that `peak_on` names; None where that was not measured on what will run it.
        build_mb: the same of the process that built it; None where nothing was built.
        builder: what built it, with its version, e.g. "tensorrt_rtx 1.7.1.116"; "" where it is a file as exported.
        flags: what the builder was asked, part of the key that it is kept under.
        warnings: of the builder.
    """

    artifact: str
    metrics: tuple[Metric, ...] = ()
    parity: tuple[ParityVerdict, ...] = ()
    latency: Latency | None = None
    seconds: float | None = None
    size: int = 0
    peak_mb: float | None = None
    peak_on: str = ""
    build_mb: float | None = None
    builder: str = ""
    flags: str = ""
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_sha256(self.artifact)

    def metric(self, name: str, split: str) -> Metric:
        """The metric of that name and split. Raises KeyError where it was not measured."""
        for metric in self.metrics:
            if (metric.name, metric.split) == (name, split):
                return metric
        raise KeyError(f"no {name} on {split} records")


def chain_gap(parity: tuple[ParityVerdict, ...], first: str, last: str) -> str | None:
    """Why the conversions from artifact `first` to artifact `last` are not proven without a gap, or None if they are.

    A chain has no gap when it starts at `first`, every verdict's parent is the one before it, each passed or is pending
    on the device, and it ends at `last`.
    """
    at = first
    for verdict in parity:
        if verdict.parent != at:
            return f"{verdict.stage} starts from {verdict.parent[:12]}, but the step before it made {at[:12]}"
        if verdict.passed is False:
            return f"{verdict.stage} failed its parity check: {verdict.note}"
        at = verdict.child
    return None if at == last else f"the chain ends at {at[:12]}, the artifact is {last[:12]}"
