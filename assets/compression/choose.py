"""Which candidate ships: the cheapest that stays within the line's budget."""

from __future__ import annotations

from collections.abc import Sequence

from assets.budget import Budget
from assets.compression.contract import Candidate, Candidates, ChosenModel
from assets.errors import BudgetError
from assets.tasks.registry import amount_in_words, change_in_words, metric_drop
from edge.contracts import TargetProfile, chain_gap

TIE = 0.05
"""Latencies this close (as a share of the fastest) are the same; then bytes decide, so that noise does not."""
UNKNOWN = "a time that is unknown until a device reports it"
MAX_CONVERSION_DROP = 0.05
"""A conversion that loses more of the metric than this is broken, unless the budget allows as much."""
_ROUNDING = 1e-9


def conversion_limit(budget: Budget) -> float:
    """The most that one conversion may lose of the metric (see `metric_drop`); what it all may cost is the budget's."""
    return max(MAX_CONVERSION_DROP, budget.max_drop)


def choose(found: Candidates, budget: Budget, targets: Sequence[TargetProfile]) -> ChosenModel:
    """The fastest candidate within the budget; among those as fast, the smallest, then the one of least work.

    Only what ships counts: the dialects that the targets run. Only ONNX Runtime is timed here, so a line of plans
    alone is ranked by bytes and work, and its latency is unknown until a device reports one.

    The loss of accuracy is judged on validation records, for the worst dialect that ships: choosing on test records
    would make their numbers useless for reporting.

    Args:
        targets: of the line, at least one.

    Raises:
        BudgetError: nothing fits; names every candidate, what it misses and by how much, nearest first.
    """
    misses = {candidate.name: _misses(candidate, found, budget, targets) for candidate in found.candidates}
    fitting = [candidate for candidate in found.candidates if not misses[candidate.name]]
    if not fitting:
        raise BudgetError(_nothing_fits(found, misses))
    cost = {candidate.name: _cost(candidate, targets) for candidate in fitting}
    fastest = min(cost.values())
    tied = [candidate for candidate in fitting if cost[candidate.name] <= fastest * (1 + TIE)]
    best = min(tied, key=lambda candidate: (size(candidate, targets), candidate.macs, candidate.name))
    rejected = {
        candidate.name: "; ".join(text for text, _ in misses[candidate.name]) or _costs_more(candidate, best, targets)
        for candidate in found.candidates
        if candidate is not best
    }
    return ChosenModel(
        line=found.line,
        position=found.position,
        dataset=found.dataset,
        teacher=found.teacher,
        teacher_size=found.teacher_size,
        teacher_evidence=found.teacher_evidence,
        input=found.input,
        output=found.output,
        labels=found.labels,
        candidate=best,
        why=(
            f"{best.name} is the cheapest of {len(fitting)} that fit the budget: it "
            f"{change_in_words(found.metric, validation_drop(best, found, targets))} on validation records "
            f"(it may lose {amount_in_words(found.metric, budget.max_drop)}), "
            f"{_spends(best, targets)} ({size(best, targets) / found.teacher_size:.2f} of the teacher)"
        ),
        rejected=rejected,
        answer=found.answer,
        metric=found.metric,
    )


def validation_drop(candidate: Candidate, found: Candidates, targets: Sequence[TargetProfile]) -> float:
    """What the worst dialect that ships loses against the teacher on validation records; negative for a gain.

    In the metric's unit where more is better, else the share by which the error grew. Raises KeyError where it was not
    measured.
    """
    teacher = found.teacher_evidence.metric(found.metric, "validation").value
    return max(
        metric_drop(found.metric, teacher, candidate.evidence[target.dialect].metric(found.metric, "validation").value)
        for target in targets
    )


def size(candidate: Candidate, targets: Sequence[TargetProfile]) -> int:
    """Bytes of the largest ONNX file that a target runs or is compiled from."""
    return max(candidate.onnx[target.dialect].size for target in targets)


def cost_ms(candidate: Candidate, targets: Sequence[TargetProfile]) -> float | None:
    """Median milliseconds of one call in ONNX Runtime; None where no target runs it, or nothing was measured."""
    timed = [candidate.evidence[target.dialect].latency for target in targets if target.runtime == "onnxruntime"]
    known = [latency.median_ms for latency in timed if latency is not None]
    return max(known) if known and len(known) == len(timed) else None


def _cost(candidate: Candidate, targets: Sequence[TargetProfile]) -> float:
    """The same for ranking: an unknown time is slower than any known one."""
    cost = cost_ms(candidate, targets)
    return float("inf") if cost is None else cost


def _misses(
    candidate: Candidate, found: Candidates, budget: Budget, targets: Sequence[TargetProfile]
) -> list[tuple[str, float]]:
    """What is wrong with a candidate, in words, and by how much relative to the limit; empty where it fits."""
    found_misses: list[tuple[str, float]] = []
    for dialect in dict.fromkeys(target.dialect for target in targets):
        file = candidate.onnx[dialect]
        gap = chain_gap(candidate.parity.get(dialect, ()), found.teacher, file.sha256)
        if gap is not None:
            found_misses.append((f"{dialect}: {gap}", float("inf")))
        elif candidate.evidence[dialect].artifact != file.sha256:
            found_misses.append((f"{dialect}: its evidence is about another file", float("inf")))
    drop = validation_drop(candidate, found, targets)
    if drop > budget.max_drop + _ROUNDING:
        found_misses.append(
            (
                f"{change_in_words(found.metric, drop)} on validation records, "
                f"{amount_in_words(found.metric, drop - budget.max_drop)} more than the "
                f"{amount_in_words(found.metric, budget.max_drop)} allowed",
                (drop - budget.max_drop) / max(budget.max_drop, 0.001),
            )
        )
    kilobytes = size(candidate, targets) / 1000
    if budget.max_kb is not None and kilobytes > budget.max_kb:
        over = kilobytes - budget.max_kb
        found_misses.append(
            (f"has {kilobytes:.1f} kB, {over:.1f} kB more than the {budget.max_kb:.1f} allowed", over / budget.max_kb)
        )
    cost = _cost(candidate, targets)
    if budget.max_ms is not None and cost > budget.max_ms:
        over = cost - budget.max_ms
        text = f"takes {cost:.4f} ms, {over:.4f} ms more than the {budget.max_ms:.4f} ms allowed"
        if over == float("inf"):
            text = f"takes {UNKNOWN}, which no limit of {budget.max_ms:.4f} ms can be held against; take `max_ms` out"
        found_misses.append((text, over / budget.max_ms))
    return found_misses


def _nothing_fits(found: Candidates, misses: dict[str, list[tuple[str, float]]]) -> str:
    nearest_first = sorted(misses.items(), key=lambda item: (sum(amount for _, amount in item[1]), item[0]))
    rows = [f"  {name}: {'; '.join(text for text, _ in missed)}" for name, missed in nearest_first]
    return "\n".join(
        [
            f"line {found.line!r}: none of {len(rows)} candidates fits the budget; nearest first:",
            *rows,
            "  Raise `budget`, or change `compress` (smaller `prune`, more `distill_epochs`, more "
            "`calibration_records`) and run again.",
        ]
    )


def _costs_more(candidate: Candidate, best: Candidate, targets: Sequence[TargetProfile]) -> str:
    return f"fits the budget, but costs more: it {_spends(candidate, targets)}, {best.name} {_spends(best, targets)}"


def _spends(candidate: Candidate, targets: Sequence[TargetProfile]) -> str:
    cost = cost_ms(candidate, targets)
    return f"takes {UNKNOWN if cost is None else f'{cost:.4f} ms'} and {size(candidate, targets) / 1000:.1f} kB"
