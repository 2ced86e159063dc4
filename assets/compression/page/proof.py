"""The verdicts that lead to the chosen model's files, and what was built of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from assets.compression.choosing.rows import EngineFacts
from assets.compression.choosing.wording import kilobytes, milliseconds
from assets.compression.documents import Candidate, Candidates
from assets.compression.page.data import Chain, EngineEntry, Step
from assets.compression.page.tables import with_unit
from assets.pages.templates import cut, measure
from edge.contracts import ParityVerdict, TargetProfile, chain_gap

NOTE = 300
UNKNOWN = "unknown until a device reports"
MOST_STEPS = 40
MOST_ENGINES = 40


def chains_of(found: Candidates, candidate: Candidate, targets: Sequence[TargetProfile]) -> tuple[Chain, ...]:
    """One chain per dialect that ships, from the teacher's file to that dialect's."""
    by_dialect: dict[str, list[str]] = {}
    for target in targets:
        by_dialect.setdefault(target.dialect, []).append(target.name)
    return tuple(
        Chain(
            f"{dialect} dialect, for {', '.join(names)}",
            tuple(_step(found.metric, verdict) for verdict in candidate.parity.get(dialect, ())[:MOST_STEPS]),
            cut(
                chain_gap(candidate.parity.get(dialect, ()), found.teacher, candidate.onnx[dialect].sha256) or "", NOTE
            ),
        )
        for dialect, names in by_dialect.items()
        if dialect in candidate.onnx
    )


def engines_of(engines: Mapping[str, EngineFacts]) -> tuple[EngineEntry, ...]:
    """What was built, by target."""
    return tuple(
        EngineEntry(
            cut(name, NOTE),
            "failed" if facts.failed else kilobytes(facts.bytes) if facts.bytes is not None else "built on the device",
            cut(facts.builder, NOTE),
            cut(", ".join(facts.flags), NOTE),
            "" if facts.peak_memory_mb is None else f"{facts.peak_memory_mb:,.0f} MiB",
            "" if facts.failed else milliseconds(facts.latency.median_ms) if facts.latency else UNKNOWN,
            cut(facts.note, NOTE),
        )
        for name, facts in sorted(engines.items())[:MOST_ENGINES]
    )


def _step(metric: str, verdict: ParityVerdict) -> Step:
    parts = []
    if verdict.metric_drop is not None and math.isfinite(verdict.metric_drop):
        how = "lost" if verdict.metric_drop > -0.00005 else "gained"
        parts.append(f"{how} {with_unit(metric, abs(verdict.metric_drop))}")
    if verdict.max_abs_diff is not None:
        parts.append(f"largest difference of an output {measure(verdict.max_abs_diff)}")
    parts.append(f"{verdict.records:,} records")
    return Step(
        verdict.stage,
        "pending" if verdict.passed is None else "passed" if verdict.passed else "failed",
        verdict.kind,
        ", ".join(parts),
        cut(verdict.note, NOTE),
        verdict.child[:12],
    )
