"""What was chosen, within which limits and at what price; or by how much the nearest missed."""

from __future__ import annotations

from collections.abc import Sequence

from assets.compression.choosing.front import drop_of, latency_on
from assets.compression.choosing.rows import FrontRow
from assets.compression.choosing.wording import against, amount, change, kilobytes, milliseconds, score, unit
from assets.compression.documents import Candidate, Candidates
from assets.compression.page.data import Limit
from assets.compression.page.front_plot import is_teacher
from assets.compression.page.tables import reach, with_unit, worst_row
from assets.line.compression import Budget
from assets.pages.templates import cut, words
from edge.contracts import TargetProfile

UNKNOWN = "unknown until a device reports"


def title_of(found: Candidates, rows: Sequence[FrontRow], teacher_ms: float | None) -> str:
    """The headline of a choice: how much faster and smaller, and what that cost on test records."""
    row = worst_row(rows)
    faster = against(_ratio(teacher_ms, _slowest(rows)), "fast", "slow")
    smaller = against(found.teacher_size / (1000 * max(one.onnx_kb for one in rows)), "small", "large")
    gains = " and ".join(part for part in (faster, smaller) if part) or "no faster or smaller than the teacher"
    paid = (
        change(found.metric, row.test_drop) if row.test_drop is not None else change(found.metric, row.validation_drop)
    )
    where = "test" if row.test_drop is not None else "validation"
    return f"{cut(row.name, 60)}: {gains}, {paid} on {where} records"


def tiles_of(found: Candidates, rows: Sequence[FrontRow], teacher_ms: float | None) -> list[tuple[str, str]]:
    """The numbers of a choice against the teacher, each with what it is."""
    row = worst_row(rows)
    metric = words(found.metric)
    within = reach(row.metric, row.test_low, row.test_high)
    lost = reach(row.metric, row.test_drop_low, row.test_drop_high, drop=True)
    ms = _slowest(rows)
    size = 1000 * max(one.onnx_kb for one in rows)
    faster = against(_ratio(teacher_ms, ms), "fast", "slow")
    smaller = against(found.teacher_size / size, "small", "large")
    return [
        (
            score(found.metric, row.test),
            f"{metric} on {row.test_records:,} test records{f', {within}' if within else ''}",
        ),
        (
            with_unit(found.metric, row.test_drop),
            f"lost on test records{f', paired 95 % interval {lost}' if lost else ''}",
        ),
        (milliseconds(ms), _against("a call", milliseconds(teacher_ms) if teacher_ms else "", faster)),
        (kilobytes(size), _against("ONNX file", kilobytes(found.teacher_size), smaller)),
    ]


def limits_of(
    found: Candidates,
    candidate: Candidate | None,
    rows: Sequence[FrontRow],
    budget: Budget,
    targets: Sequence[TargetProfile],
) -> tuple[Limit, ...]:
    """Every limit of the budget with what the model has of it; without a model only the limits."""
    metric = words(found.metric)
    drop = worst_row(rows).validation_drop if rows else None
    made = [_loss(f"{metric} lost on validation records", found.metric, budget.max_drop, drop, candidate)]
    for name, allowed in sorted(budget.max_drops.items()):
        drops = [] if candidate is None else [drop_of(found, candidate, target.dialect, name) for target in targets]
        known = [one for one in drops if one is not None]
        worst = max(known) if known and len(known) == len(drops) else None
        made.append(_loss(f"{words(name)} lost on validation records", name, allowed, worst, candidate))
    if budget.max_drop_per_class is not None:
        worst = max(candidate.class_drops.values(), default=None) if candidate is not None else None
        made.append(_loss("recall lost by any one class", "recall", budget.max_drop_per_class, worst, candidate))
    if budget.max_ms is not None:
        timed = [row.ms_b1 for row in rows]
        ms = _slowest(rows)
        has = milliseconds(ms) if ms is not None else UNKNOWN
        if ms is not None and None in timed:
            has += f"; elsewhere {UNKNOWN}"
        held = None if ms is None else ms <= budget.max_ms
        made.append(Limit("time of one call", f"{budget.max_ms:g} ms", has if rows else "", held))
    if budget.max_kb is not None:
        size = max((row.onnx_kb for row in rows), default=None)
        has = "" if size is None else kilobytes(1000 * size)
        made.append(Limit("ONNX file", f"{budget.max_kb:g} kB", has, None if size is None else size <= budget.max_kb))
    return tuple(made)


def teacher_latency(found: Candidates, targets: Sequence[TargetProfile]) -> float | None:
    """Milliseconds of one call of the float teacher: as a candidate it was timed in turn with the others."""
    for target in targets:
        for candidate in found.candidates:
            if is_teacher(found, candidate) and (latency := latency_on(candidate, target)) is not None:
                return latency.median_ms
    timed = any(latency_on(candidate, target) is not None for candidate in found.candidates for target in targets)
    own = found.teacher_evidence.latency
    return own.median_ms if timed and own is not None else None


def nearest_of(why_not: str) -> tuple[str, list[tuple[str, str]], str]:
    """What `choose` said when nothing fitted: its first line, each candidate's misses nearest first, and the remedy."""
    lines = [line for line in why_not.splitlines() if line.strip()]
    rows = [line.strip().partition(": ") for line in lines[1:]]
    told = [(name, why) for name, colon, why in rows if colon]
    remedy = next((line.strip() for line in lines[1:] if ": " not in line), "")
    said = lines[0].removesuffix(":").removesuffix("; nearest first") if lines else ""
    return said, told, remedy


def _loss(name: str, metric: str, allowed: float, drop: float | None, candidate: Candidate | None) -> Limit:
    counted = "points" if metric == "recall" else unit(metric)
    has = "" if candidate is None else f"{amount(drop)} {counted}" if drop is not None else "unknown"
    return Limit(name, f"{amount(allowed)} {counted}", has, None if drop is None else drop <= allowed + 1e-9)


def _slowest(rows: Sequence[FrontRow]) -> float | None:
    return max((row.ms_b1 for row in rows if row.ms_b1 is not None), default=None)


def _ratio(teacher: float | None, ms: float | None) -> float | None:
    return teacher / ms if teacher is not None and ms else None


def _against(what: str, teacher: str, ratio: str) -> str:
    if not teacher:
        return f"{what}, {UNKNOWN}" if what == "a call" else what
    return f"{what}; the teacher {teacher}{f', so {ratio}' if ratio else ''}"
