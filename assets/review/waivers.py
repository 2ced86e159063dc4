"""Waivers: a rule is not asked until a date; which of them hold at one moment."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assets.errors import RejectedError
from assets.line.config import Line
from assets.records.line_store import LineStore, bind
from assets.records.verdict import BatchVerdict
from assets.review import corrections
from assets.review.decisions import append, decide_about, needed_reason
from assets.review.documents import Decision, Waiver, Waivers, waivable, waiver_keys
from assets.review.state import State, select

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Scope:
    """Where a rule is waived, if not in the whole line.

    Attributes:
        verdict: on the batch.
        members: undecided records of the batch that the rule holds; None for the whole batch.
        revise: position of the decision on all of them that the waiver replaces; 0 where they are undecided.
    """

    verdict: BatchVerdict
    members: pa.Table | None = None
    revise: int = 0


def waive(state: State, line: Line, rule: str, who: str, why: str, until: float, scope: Scope | None = None) -> int:
    """A rule is not asked until a moment: of the line, of a batch, or of some records of a batch only.

    A waiver of a batch or of records also decides about those that the rule holds there: they go back.

    Args:
        until: seconds since 1970.
        scope: None for the whole line.

    Returns:
        The decision's position.

    Raises:
        ConflictError: somebody decided about one of them meanwhile.
        RejectedError: no reason, a rule that nobody may waive, an end that is past, or a record that cannot be trained
            on.
    """
    now, why = time.time(), needed_reason(why, "waiving a rule")
    if not waivable(rule):
        raise RejectedError(
            f"the rule {rule!r} cannot be waived: a record that breaks it cannot be used; correct it with "
            "`edgeloop quarantine fix`, or reject it"
        )
    if not rule:
        raise RejectedError("good records of a blocked batch break no rule; accept them with --good")
    if until <= now:
        raise RejectedError("a waiver ends in the future; give a later date with --until")
    if scope is None:
        return append(state, Decision("waive", who, why, now, rule=rule, whole=True, until=until), lambda: None)
    whole = scope.members is None
    draft = Decision("waive", who, why, now, scope.verdict.batch, rule=rule, whole=whole, until=until)
    members = scope.members
    if members is None:
        members = select(state.refresh(), scope.verdict, rule=rule)
        if not members.num_rows:
            return append(state, draft, lambda: None)
    corrections.refuse_unfit(bind(state.store, line), scope.verdict, members)
    return decide_about(state, draft, members, scope.revise)


def active_waivers(line: LineStore, now: float) -> Waivers:
    """What the gate does not ask at the moment `now` (seconds since 1970)."""
    return waivers_of(State(line), now)


def waivers_of(state: State, now: float) -> Waivers:
    """What a state says is waived at `now`."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    parts: list[pa.Table] = []
    standing: dict[int, int] = {}
    for batch in state.batches():
        granting = [position for position in state.of(batch) if _grants(state, position, now)]
        if not granting:
            continue
        table = state.numbered(batch)
        table = table.filter(pc.is_in(table["position"], value_set=pa.array(granting, pa.int64())))
        # only where no later decision on the record took its place
        positions = np.asarray(table["position"].to_numpy())
        table = table.filter(pa.array(state.decided(batch, table["id"], table["label"]) == positions))
        for entry in pc.value_counts(table["position"]).to_pylist():
            standing[entry["values"]] = entry["counts"]
        parts.append(table)
    keys: dict[str, tuple[pa.Array, pa.Array]] = {}
    if parts:
        everything = pa.concat_tables(parts)
        for rule in everything["rule"].unique().to_pylist():
            if rule and waivable(rule):
                found = everything.filter(pc.equal(everything["rule"], rule))
                named = pc.is_valid(found["label"])
                keys[rule] = (waiver_keys(found.filter(named)), waiver_keys(found.filter(pc.invert(named)), False))
    waivers = [
        _waiver(position, entry, standing.get(position, 0))
        for position, entry in enumerate(state.entries, 1)
        if _grants(state, position, now) and (entry.whole or position in standing)
    ]
    returned = frozenset(state.entry(position).returned for position in state.releases()) - {""}
    return Waivers(tuple(waivers), keys, returned)


def _grants(state: State, position: int, now: float) -> bool:
    entry = state.entry(position)
    if entry.action not in ("accept", "waive") or state.revoked(position):
        return False
    return entry.until is None or now <= entry.until


def _waiver(position: int, entry: Decision, count: int) -> Waiver:
    rules = {member.rule for member in entry.members} - {""}
    rule = entry.rule or (next(iter(rules)) if len(rules) == 1 else "")
    return Waiver(
        position, rule, entry.batch, entry.whole, count or entry.count, entry.who, entry.why, entry.time, entry.until
    )
