"""Which candidate ships: the cheapest that stays within the line's budget."""

from __future__ import annotations

from assets.compression.contract import Candidate, Candidates, ChosenModel
from assets.errors import BudgetError
from assets.line import Budget
from edge.contracts import chain_gap

TIE = 0.05
"""Latencies this close (as a share of the fastest) are the same; then bytes decide, so that noise does not."""
DEVICE_DIALECT = "cpu"
"""Whose latency and size count: the one that is measured here on what will run it."""
_ROUNDING = 1e-9


def choose(found: Candidates, budget: Budget) -> ChosenModel:
    """The fastest candidate within the budget; among those as fast, the smallest; then the first by name.

    The loss of accuracy is judged on validation records, for the worst INT8 dialect: choosing on test records would
    make their numbers useless for reporting.

    Raises:
        BudgetError: nothing fits; names every candidate, what it misses and by how much, nearest first.
    """
    misses = {candidate.name: _misses(candidate, found, budget) for candidate in found.candidates}
    fitting = [candidate for candidate in found.candidates if not misses[candidate.name]]
    if not fitting:
        raise BudgetError(_nothing_fits(found, misses))
    fastest = min(map(cost_ms, fitting))
    tied = [candidate for candidate in fitting if cost_ms(candidate) <= fastest * (1 + TIE)]
    best = min(tied, key=lambda candidate: (size(candidate), candidate.name))
    rejected = {
        candidate.name: "; ".join(text for text, _ in misses[candidate.name]) or _costs_more(candidate, best)
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
            f"{_change(validation_drop(best, found))} on validation records (it may lose {budget.max_drop:.4f}), "
            f"takes {_ms(best)} and {size(best) / 1000:.1f} kB ({size(best) / found.teacher_size:.2f} of the teacher)"
        ),
        rejected=rejected,
    )


def validation_drop(candidate: Candidate, found: Candidates) -> float:
    """Accuracy on validation records that the worst INT8 dialect loses against the teacher; negative where it gains.

    Raises KeyError where it was not measured.
    """
    teacher = found.teacher_evidence.metric("accuracy", "validation").value
    return max(
        teacher - evidence.metric("accuracy", "validation").value
        for dialect, evidence in candidate.evidence.items()
        if dialect != "float"
    )


def size(candidate: Candidate) -> int:
    """Bytes of the file that a CPU device loads."""
    return candidate.onnx[DEVICE_DIALECT].size


def cost_ms(candidate: Candidate) -> float:
    """Median milliseconds of one call, infinite where unknown."""
    latency = candidate.evidence[DEVICE_DIALECT].latency
    return float("inf") if latency is None else latency.median_ms


def _misses(candidate: Candidate, found: Candidates, budget: Budget) -> list[tuple[str, float]]:
    """What is wrong with a candidate, in words, and by how much relative to the limit; empty where it fits."""
    found_misses: list[tuple[str, float]] = []
    for dialect, file in candidate.onnx.items():
        gap = chain_gap(candidate.parity.get(dialect, ()), found.teacher, file.sha256)
        if gap is not None:
            found_misses.append((f"{dialect}: {gap}", float("inf")))
        elif candidate.evidence[dialect].artifact != file.sha256:
            found_misses.append((f"{dialect}: its evidence is about another file", float("inf")))
    drop = validation_drop(candidate, found)
    if drop > budget.max_drop + _ROUNDING:
        found_misses.append(
            (
                f"loses {drop:.4f} of accuracy on validation records, {drop - budget.max_drop:.4f} more than the "
                f"{budget.max_drop:.4f} allowed",
                (drop - budget.max_drop) / max(budget.max_drop, 0.001),
            )
        )
    kilobytes = size(candidate) / 1000
    if budget.max_kb is not None and kilobytes > budget.max_kb:
        over = kilobytes - budget.max_kb
        found_misses.append(
            (f"has {kilobytes:.1f} kB, {over:.1f} kB more than the {budget.max_kb:.1f} allowed", over / budget.max_kb)
        )
    if budget.max_ms is not None and cost_ms(candidate) > budget.max_ms:
        over = cost_ms(candidate) - budget.max_ms
        text = f"takes {_ms(candidate)}, {over:.4f} ms more than the {budget.max_ms:.4f} ms allowed"
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


def _costs_more(candidate: Candidate, best: Candidate) -> str:
    return (
        f"fits the budget, but costs more: {_ms(candidate)} and {size(candidate) / 1000:.1f} kB against "
        f"{_ms(best)} and {size(best) / 1000:.1f} kB"
    )


def _change(drop: float) -> str:
    return f"loses {drop:.4f} of accuracy" if drop >= 0 else f"gains {-drop:.4f} of accuracy"


def _ms(candidate: Candidate) -> str:
    cost = cost_ms(candidate)
    return "an unknown time" if cost == float("inf") else f"{cost:.4f} ms"
