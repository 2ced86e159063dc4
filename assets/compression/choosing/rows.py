"""A search as flat rows, one per candidate and target: what pages, `--json` and `front.json` are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

from assets.compression.choosing.front import drop_of, front_of, latency_on, metric_of, proven
from assets.compression.choosing.wording import recipe_in_words
from assets.compression.documents import Candidate, Candidates, ChosenModel
from edge.contracts import Latency, TargetProfile


@dataclass(frozen=True)
class EngineFacts:
    """What was built for one target, as far as it is known.

    Attributes:
        bytes: of the file that the target loads; None where it is built on the device.
        builder: name and exact version of what built it.
        flags: what the builder was asked.
        peak_memory_mb: MiB that building or loading it took at most, see `note`.
        latency: measured on such a device.
        note: one sentence for people; why there is no file, where there is none.
        failed: whether it could not be built.
    """

    bytes: int | None = None
    builder: str = ""
    flags: tuple[str, ...] = ()
    peak_memory_mb: float | None = None
    latency: Latency | None = None
    note: str = ""
    failed: bool = False


@dataclass(frozen=True)
class FrontRow:
    """One candidate on one target; losses as in `metric_drop`, None where a number was not measured.

    Attributes:
        recipe: in words; `format` is that of its numbers.
        validation_drop: what the search chooses by; the test numbers report, with their 95 % intervals.
        ms_b1: median of one call at batch 1 on this target, as the search timed it in turn with the others, else the
            engine's own; None: unknown until a device reports it.
        onnx_kb, engine_kb: kB (1,000 bytes) of the file in the target's dialect, and of what was built from it.
        proven: whether a chain of passed verdicts leads from the teacher to the file.
        on_front: whether no other candidate beats it, see `choose.front_of`.
        why: why it was chosen, or why not; "" where nobody said.
    """

    name: str
    target: str
    dialect: str
    runtime: str
    recipe: str
    format: str
    metric: str
    validation: float | None
    validation_drop: float | None
    test: float | None
    test_low: float | None
    test_high: float | None
    test_drop: float | None
    test_drop_low: float | None
    test_drop_high: float | None
    test_records: int
    ms_b1: float | None
    ms_p95: float | None
    threads: int | None
    machine: str
    onnx_kb: float
    engine_kb: float | None
    parameters: int
    macs: int
    sha256: str
    proven: bool
    on_front: bool
    chosen: bool
    why: str
    seconds: float = field(default=0.0)


def front_rows(
    found: Candidates,
    chosen: ChosenModel | None,
    why_not: str,
    targets: Sequence[TargetProfile],
    engines: Mapping[str, EngineFacts] | None = None,
) -> list[dict[str, str | float | bool | None]]:
    """The rows as JSON objects, in the order of the candidates and targets.

    Args:
        chosen: None where nothing fits; `why_not` is then what `choose` said.
        engines: target name to what was built of the chosen model.
    """
    return [asdict(row) for row in rows_of(found, chosen, why_not, targets, engines or {})]


def rows_of(
    found: Candidates,
    chosen: ChosenModel | None,
    why_not: str,
    targets: Sequence[TargetProfile],
    engines: Mapping[str, EngineFacts],
) -> list[FrontRow]:
    """The same as data; a candidate without a file for a target has no row of it."""
    reasons = dict(chosen.rejected) if chosen is not None else misses_of(why_not, found)
    if chosen is not None:
        reasons[chosen.candidate.name] = chosen.why
    front = frozenset(front_names(found, chosen, targets))
    name = chosen.candidate.name if chosen is not None else None
    return [
        _row(found, candidate, target, reasons.get(candidate.name, ""), front, name, engines)
        for candidate in found.candidates
        for target in targets
        if target.dialect in candidate.onnx
    ]


def front_names(found: Candidates, chosen: ChosenModel | None, targets: Sequence[TargetProfile]) -> tuple[str, ...]:
    """Names of the candidates that no other one beats; the choice's own, where it says them."""
    if chosen is not None and chosen.front:
        return chosen.front
    return front_of(found, targets)


def misses_of(why_not: str, found: Candidates) -> dict[str, str]:
    """Each candidate's misses, read back from what `choose` said when nothing fitted."""
    names = {candidate.name for candidate in found.candidates}
    told: dict[str, str] = {}
    for row in why_not.splitlines():
        for name in names:
            if row.startswith(f"  {name}: "):
                told[name] = row[len(name) + 4 :]
    return told


def _row(
    found: Candidates,
    candidate: Candidate,
    target: TargetProfile,
    why: str,
    front: frozenset[str],
    chosen: str | None,
    engines: Mapping[str, EngineFacts],
) -> FrontRow:
    evidence = candidate.evidence.get(target.dialect)
    held, test = (metric_of(evidence, found.metric, split) for split in ("validation", "test"))
    lost = metric_of(evidence, f"{found.metric}_drop", "test")
    picked = candidate.name == chosen
    engine = engines.get(target.name) if picked else None
    latency = latency_on(candidate, target) or (engine.latency if engine is not None else None)
    return FrontRow(
        name=candidate.name,
        target=target.name,
        dialect=target.dialect,
        runtime=target.runtime,
        recipe=recipe_in_words(candidate.recipe),
        format=candidate.recipe.format,
        metric=found.metric,
        validation=None if held is None else held.value,
        validation_drop=drop_of(found, candidate, target.dialect),
        test=None if test is None else test.value,
        test_low=None if test is None else test.low,
        test_high=None if test is None else test.high,
        test_drop=None if lost is None else lost.value,
        test_drop_low=None if lost is None else lost.low,
        test_drop_high=None if lost is None else lost.high,
        test_records=0 if test is None else test.records,
        ms_b1=None if latency is None else latency.median_ms,
        ms_p95=None if latency is None else latency.p95_ms,
        threads=None if latency is None else latency.threads,
        machine="" if latency is None else latency.machine,
        onnx_kb=candidate.onnx[target.dialect].size / 1000,
        engine_kb=None if engine is None or engine.bytes is None else engine.bytes / 1000,
        parameters=candidate.parameters,
        macs=candidate.macs,
        sha256=candidate.onnx[target.dialect].sha256,
        proven=proven(found, candidate, target.dialect),
        on_front=candidate.name in front,
        chosen=picked,
        why=why,
        seconds=candidate.seconds,
    )
