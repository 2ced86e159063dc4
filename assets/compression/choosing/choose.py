"""Which candidate ships: the cheapest that stays within the line's budget."""

from __future__ import annotations

from collections.abc import Sequence

from assets.compression.choosing.front import drop_of, front_of, latency_on
from assets.compression.documents import Candidate, Candidates, ChosenModel
from assets.compression.rule import TIE, network_name
from assets.errors import BudgetError, RejectedError
from assets.line.compression import Budget
from assets.line.tasks import amount_in_words, change_in_words, metric_drop
from edge.contracts import TargetProfile, chain_gap
from edge.runtime.machine import is_here

__all__ = [
    "UNKNOWN",
    "choose",
    "conversion_limit",
    "cost_ms",
    "front_of",
    "size",
    "untimed",
    "validation_drop",
]

TIE_MS = 0.005
"""So are latencies that differ by less than this, whatever their share: nobody notices, and it is mostly the runtime's
own overhead, which hides that of a tiny model."""
UNKNOWN = "a time that is unknown until a device reports it"
MAX_CONVERSION_DROP = 0.05
"""A conversion that loses more of the metric than this is broken, unless the budget allows as much."""
_ROUNDING = 1e-9
_INFINITE = float("inf")
Misses = list[tuple[str, float]]
"""What is wrong with a candidate, in words, and by how much relative to the limit."""


def conversion_limit(budget: Budget) -> float:
    """The most that one conversion may lose of the metric (see `metric_drop`); what it all may cost is the budget's."""
    return max(MAX_CONVERSION_DROP, budget.max_drop)


def choose(found: Candidates, budget: Budget, targets: Sequence[TargetProfile]) -> ChosenModel:
    """The fastest candidate within the budget; among those as fast, the smallest, then the one of least work.

    Only what ships counts: the dialects that the targets run. A latency counts only on targets that were timed here,
    which is ONNX Runtime on a machine of this kind; on the others it is unknown until a device reports it, which the
    answer says. Where no target was timed, the one of least work (MACs) is chosen, then the smallest.

    What was lost is judged on validation records, for the worst dialect that ships: choosing on test records would make
    their numbers useless for reporting.

    Args:
        targets: of the line, at least one.

    Raises:
        BudgetError: nothing fits; names every candidate, what it misses and by how much, nearest first.
        RejectedError: the budget names a metric that was not measured, or classes where there are none.
    """
    _check(found, budget)
    misses = {candidate.name: _misses(candidate, found, budget, targets) for candidate in found.candidates}
    fitting = [candidate for candidate in found.candidates if not misses[candidate.name]]
    if not fitting:
        raise BudgetError(_nothing_fits(found, misses))
    best = _cheapest(fitting, targets)
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
        why=_why(found, budget, targets, best, len(fitting), rejected),
        rejected=rejected,
        answer=found.answer,
        metric=found.metric,
        front=front_of(found, targets),
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
    """Median milliseconds of one call on the slowest target that is timed here; None where none is, or one was not."""
    here = _here(targets)
    timed = [latency for target in here if (latency := latency_on(candidate, target)) is not None]
    return max(latency.median_ms for latency in timed) if timed and len(timed) == len(here) else None


def untimed(targets: Sequence[TargetProfile]) -> tuple[str, ...]:
    """Names of the targets whose latency is unknown until a device reports it."""
    here = _here(targets)
    return tuple(target.name for target in targets if target not in here)


def _here(targets: Sequence[TargetProfile]) -> list[TargetProfile]:
    """The targets that this machine is one of."""
    return [target for target in targets if is_here(target)]


def _cheapest(fitting: Sequence[Candidate], targets: Sequence[TargetProfile]) -> Candidate:
    if not _here(targets):
        least = min(candidate.macs for candidate in fitting)
        tied = [candidate for candidate in fitting if candidate.macs <= least * (1 + TIE)]
        return min(tied, key=lambda candidate: (size(candidate, targets), candidate.macs, candidate.name))
    cost = {candidate.name: _cost(candidate, targets) for candidate in fitting}
    fastest = min(cost.values())
    tied = [candidate for candidate in fitting if cost[candidate.name] <= fastest * (1 + TIE) + TIE_MS]
    return min(tied, key=lambda candidate: (size(candidate, targets), candidate.macs, candidate.name))


def _cost(candidate: Candidate, targets: Sequence[TargetProfile]) -> float:
    """For ranking: an unknown time is slower than any known one."""
    cost = cost_ms(candidate, targets)
    return _INFINITE if cost is None else cost


def _check(found: Candidates, budget: Budget) -> None:
    """Raises RejectedError where the budget asks for what was never measured."""
    names = sorted({metric.name for metric in found.teacher_evidence.metrics if metric.split == "validation"})
    for name in budget.max_drops:
        if name not in names:
            raise RejectedError(
                f"line {found.line!r}: budget.max_drops names {name!r}, which is not measured; there are "
                f"{', '.join(names)}"
            )
    if budget.max_drop_per_class is not None and not any(candidate.class_drops for candidate in found.candidates):
        raise RejectedError(
            f"line {found.line!r}: budget.max_drop_per_class: the model's answer is no class; take it out"
        )


def _misses(candidate: Candidate, found: Candidates, budget: Budget, targets: Sequence[TargetProfile]) -> Misses:
    """Empty where the candidate fits."""
    return [
        *_unproven(candidate, found, targets),
        *_lost(candidate, found, budget, targets),
        *_too_large(candidate, budget, targets),
        *_too_slow(candidate, budget, targets),
    ]


def _unproven(candidate: Candidate, found: Candidates, targets: Sequence[TargetProfile]) -> Misses:
    misses: Misses = []
    for dialect in dict.fromkeys(target.dialect for target in targets):
        file = candidate.onnx[dialect]
        gap = chain_gap(candidate.parity.get(dialect, ()), found.teacher, file.sha256)
        if gap is not None:
            misses.append((f"{dialect}: {gap}", _INFINITE))
        elif candidate.evidence[dialect].artifact != file.sha256:
            misses.append((f"{dialect}: its evidence is about another file", _INFINITE))
    return misses


def _lost(candidate: Candidate, found: Candidates, budget: Budget, targets: Sequence[TargetProfile]) -> Misses:
    """Of the line's metric, of others that the budget names, and of single classes."""
    misses: Misses = []
    limits = {found.metric: budget.max_drop}
    for name, most in budget.max_drops.items():
        limits[name] = min(most, limits.get(name, most))
    for name, most in limits.items():
        drops = [drop_of(found, candidate, target.dialect, name) for target in targets]
        known = [drop for drop in drops if drop is not None]
        if len(known) < len(drops):
            misses.append((f"its {name} was not measured on validation records", _INFINITE))
            continue
        drop = max(known)
        if drop > most + _ROUNDING:
            over = amount_in_words(name, drop - most)
            text = f"{change_in_words(name, drop)} on validation records, {over} more than the "
            misses.append((f"{text}{amount_in_words(name, most)} allowed", (drop - most) / max(most, 0.001)))
    allowed = budget.max_drop_per_class
    if allowed is not None and candidate.class_drops:
        label, drop = max(candidate.class_drops.items(), key=lambda item: (item[1], item[0]))
        if drop > allowed + _ROUNDING:
            text = (
                f"loses {drop:.4f} of the recall of class {label!r} on validation records, {drop - allowed:.4f} more "
                f"than the {allowed:.4f} allowed"
            )
            misses.append((text, (drop - allowed) / max(allowed, 0.001)))
    return misses


def _too_large(candidate: Candidate, budget: Budget, targets: Sequence[TargetProfile]) -> Misses:
    kilobytes = size(candidate, targets) / 1000
    if budget.max_kb is None or kilobytes <= budget.max_kb:
        return []
    over = kilobytes - budget.max_kb
    return [(f"has {kilobytes:.1f} kB, {over:.1f} kB more than the {budget.max_kb:.1f} allowed", over / budget.max_kb)]


def _too_slow(candidate: Candidate, budget: Budget, targets: Sequence[TargetProfile]) -> Misses:
    """On targets that are timed here; of the others nothing is known that could be held against it."""
    if budget.max_ms is None or not _here(targets):
        return []
    cost = _cost(candidate, targets)
    if cost <= budget.max_ms:
        return []
    over = cost - budget.max_ms
    text = f"takes {cost:.4f} ms, {over:.4f} ms more than the {budget.max_ms:.4f} ms allowed"
    if over == _INFINITE:
        text = f"takes {UNKNOWN}, which no limit of {budget.max_ms:.4f} ms can be held against; take `max_ms` out"
    return [(text, over / budget.max_ms)]


def _nothing_fits(found: Candidates, misses: dict[str, Misses]) -> str:
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


def _why(
    found: Candidates,
    budget: Budget,
    targets: Sequence[TargetProfile],
    best: Candidate,
    fitting: int,
    rejected: dict[str, str],
) -> str:
    """The choice in one sentence, with what is not known of it, and why it is not INT8 where it is not."""
    parts = [
        f"{best.name} is the cheapest of {fitting} that fit the budget: it "
        f"{change_in_words(found.metric, validation_drop(best, found, targets))} on validation records "
        f"(it may lose {amount_in_words(found.metric, budget.max_drop)}), "
        f"{_spends(best, targets)} ({size(best, targets) / found.teacher_size:.2f} of the teacher)"
    ]
    if unknown := untimed(targets):
        told = f"on {', '.join(unknown)} it takes {UNKNOWN}"
        if budget.max_ms is not None:
            told += f", so `max_ms` is not held against it there; ranked by {'ms' if _here(targets) else 'MACs'}, bytes"
        parts.append(told)
    if best.recipe.format != "int8":
        int8 = f"{network_name(best.recipe)}-int8"
        if int8 in rejected:
            parts.append(f"not {int8}: {rejected[int8]}")
        parts += [f"not {one.name}: {one.why}" for one in found.tried if one.name == int8]
    return "; ".join(parts)


def _costs_more(candidate: Candidate, best: Candidate, targets: Sequence[TargetProfile]) -> str:
    spent = f"it {_spends(candidate, targets)}, {best.name} {_spends(best, targets)}"
    costs = cost_ms(candidate, targets), cost_ms(best, targets)
    tied = costs[0] is not None and costs[1] is not None and costs[0] <= costs[1] * (1 + TIE) + TIE_MS
    if tied and size(candidate, targets) > size(best, targets):
        return f"fits the budget, and is as fast as can be told apart, but larger than {best.name}: {spent}"
    return f"fits the budget, but costs more than {best.name}: {spent}"


def _spends(candidate: Candidate, targets: Sequence[TargetProfile]) -> str:
    cost = cost_ms(candidate, targets)
    taken = UNKNOWN if cost is None else f"{cost:.4f} ms"
    work = "" if _here(targets) else f", {candidate.macs:,} multiplications"
    return f"takes {taken}{work} and {size(candidate, targets) / 1000:.1f} kB"
