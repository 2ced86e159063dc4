"""The front of a search: the candidates that no other one beats, and the numbers that say so."""

from __future__ import annotations

import math
from collections.abc import Sequence

from assets.compression.documents import Candidate, Candidates
from assets.line.tasks import metric_drop
from edge.contracts import Evidence, Latency, Metric, TargetProfile, chain_gap
from edge.runtime.machine import is_here


def front_of(found: Candidates, targets: Sequence[TargetProfile]) -> tuple[str, ...]:
    """Names of the candidates that no other one beats, in their order (Pareto dominance, equal ones all stay).

    Judged by the validation loss of the worst dialect that ships, the median latency of the slowest target that was
    timed, MACs where a target was not (a proxy), and the bytes of the largest file that ships. A candidate whose
    conversions did not pass, or whose loss was not measured, is on no front.

    Args:
        targets: what the models are for, at least one.
    """
    points = {
        candidate.name: costs
        for candidate in found.candidates
        if (costs := _costs(found, candidate, targets)) is not None
    }
    return tuple(name for name, point in points.items() if not any(_beats(other, point) for other in points.values()))


def latency_on(candidate: Candidate, target: TargetProfile) -> Latency | None:
    """One call on that target, if this machine is one; None: unknown until a device reports it."""
    evidence = candidate.evidence.get(target.dialect)
    return evidence.latency if evidence is not None and evidence.latency is not None and is_here(target) else None


def metric_of(evidence: Evidence | None, name: str, split: str) -> Metric | None:
    """A metric, or None where it was not measured or is no number."""
    if evidence is None:
        return None
    found = next((one for one in evidence.metrics if (one.name, one.split) == (name, split)), None)
    return found if found is not None and math.isfinite(found.value) else None


def drop_of(found: Candidates, candidate: Candidate, dialect: str, metric: str | None = None) -> float | None:
    """What a dialect's file lost of a metric on validation records."""
    name = metric or found.metric
    before = metric_of(found.teacher_evidence, name, "validation")
    after = metric_of(candidate.evidence.get(dialect), name, "validation")
    return None if before is None or after is None else metric_drop(name, before.value, after.value)


def proven(found: Candidates, candidate: Candidate, dialect: str) -> bool:
    """Whether the conversions to this dialect's file all passed, without a gap."""
    return chain_gap(candidate.parity.get(dialect, ()), found.teacher, candidate.onnx[dialect].sha256) is None


def _costs(
    found: Candidates, candidate: Candidate, targets: Sequence[TargetProfile]
) -> tuple[float, float, float, int] | None:
    """Loss, milliseconds, MACs and bytes, the worst of the targets; None where it cannot be on a front."""
    dialects = {target.dialect for target in targets}
    if not all(dialect in candidate.onnx and proven(found, candidate, dialect) for dialect in dialects):
        return None
    drops = [drop_of(found, candidate, dialect) for dialect in sorted(dialects)]
    lost = [drop for drop in drops if drop is not None and math.isfinite(drop)]
    if not lost or len(lost) < len(drops):
        return None
    timed = [target for target in targets if any(latency_on(one, target) is not None for one in found.candidates)]
    taken = [latency.median_ms if (latency := latency_on(candidate, target)) else math.inf for target in timed]
    macs = 0 if timed and len(timed) == len(targets) else candidate.macs
    return max(lost), max(taken, default=0.0), macs, max(candidate.onnx[dialect].size for dialect in dialects)


def _beats(first: tuple[float, ...], second: tuple[float, ...]) -> bool:
    return first != second and all(a <= b for a, b in zip(first, second, strict=True))
