"""When to retrain, by the line's policy: least new records, cool-down, most per day. Rules alone, nothing is read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from assets.line.config import RetrainPolicy
from assets.records.verdict import Accepted
from assets.training.triggers.documents import Claim

DAY_SECONDS = 86_400


MOST_BATCHES = 10_000
"""Batches of one claim: more go into the next one. So many are enough for a run, whatever `min_new_records` says."""


@dataclass(frozen=True)
class Decision:
    """Whether to retrain now, and why in plain words.

    Attributes:
        batches: what the run would be for.
        rule: the setting that says no; "" where nothing waits, or where a run is due.
    """

    retrain: bool
    why: str
    batches: tuple[tuple[int, Accepted], ...] = ()
    rule: str = ""


def decide(
    policy: RetrainPolicy, waiting: Sequence[tuple[int, Accepted]], claims: Sequence[Claim], now: float
) -> Decision:
    """Apply the line's retrain policy.

    Args:
        waiting: accepted batches after the last claim, in order, the first `MOST_BATCHES` of them.
        claims: at least the last one and those of the last 24 hours, in order.
        now: seconds since 1970.
    """
    if not waiting:
        return Decision(False, "no accepted batch is waiting")
    chosen = tuple(waiting) if policy.coalesce else _smallest(waiting, policy.min_new_records)
    records = sum(entry.records for _, entry in chosen)
    if records < policy.min_new_records and len(chosen) < MOST_BATCHES:
        return Decision(
            False,
            f"{records} new records are waiting, retrain.min_new_records is {policy.min_new_records}",
            rule="retrain.min_new_records",
        )
    if claims:
        minutes = (now - claims[-1].time) / 60
        if minutes < policy.cooldown_minutes:
            return Decision(
                False,
                f"the last retrain was {minutes:.1f} min ago, retrain.cooldown_minutes is {policy.cooldown_minutes:g}",
                rule="retrain.cooldown_minutes",
            )
    today = sum(1 for claim in claims if now - claim.time < DAY_SECONDS)
    if today >= policy.max_per_day:
        why = f"{today} retrains in the last 24 hours, retrain.max_per_day is {policy.max_per_day}"
        return Decision(False, why, rule="retrain.max_per_day")
    return Decision(True, f"{records} new records in {len(chosen)} accepted batches", chosen)


Policy = Callable[[Sequence[tuple[int, Accepted]], Sequence[Claim]], Decision]
"""From the waiting batches and the earlier claims to a decision."""


def by_policy(policy: RetrainPolicy, now: float) -> Policy:
    """The line's own retrain policy."""
    return lambda waiting, claims: decide(policy, waiting, claims, now)


def everything(waiting: Sequence[tuple[int, Accepted]], claims: Sequence[Claim]) -> Decision:
    """Take every waiting batch, whatever the policy still waits for; only where none brings a new record, nothing."""
    del claims
    if not waiting:
        return Decision(False, "no accepted batch is waiting")
    if not any(entry.records for _, entry in waiting):
        return Decision(False, f"no new record is in the {len(waiting)} accepted batches that wait")
    return Decision(True, f"{len(waiting)} accepted batches wait", tuple(waiting))


def _smallest(waiting: Sequence[tuple[int, Accepted]], records: int) -> tuple[tuple[int, Accepted], ...]:
    """The shortest prefix that holds at least `records` records, or all of it."""
    total = 0
    for count, (_, entry) in enumerate(waiting, start=1):
        total += entry.records
        if total >= records:
            return tuple(waiting[:count])
    return tuple(waiting)
