"""Waivers as they hold at one moment, gathered from the journal of decisions."""

from __future__ import annotations

from assets.review.documents import Decision, Waiver, Waivers, waivable
from assets.review.state import State
from assets.storage.store import Store


def gather(store: Store, line: str, now: float) -> Waivers:
    """See `assets.review.waivers.active_waivers`."""
    return waivers_of(State(store, line), now)


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
        table = table.filter(pa.array(state.decided(batch, table["id"]) == positions))
        for entry in pc.value_counts(table["position"]).to_pylist():
            standing[entry["values"]] = entry["counts"]
        parts.append(table)
    ids: dict[str, pa.Array] = {}
    if parts:
        everything = pa.concat_tables(parts)
        for rule in everything["rule"].unique().to_pylist():
            if rule and waivable(rule):
                found = everything.filter(pc.equal(everything["rule"], rule))["id"].unique()
                ids[rule] = pa.array([bytes.fromhex(text) for text in found.to_pylist()], pa.binary(32))
    waivers = [
        _waiver(position, entry, standing.get(position, 0))
        for position, entry in enumerate(state.entries, 1)
        if _grants(state, position, now) and (entry.whole or position in standing)
    ]
    returned = frozenset(state.entry(position).returned for position in state.releases()) - {""}
    return Waivers(tuple(waivers), ids, returned)


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


def active_waivers(store: Store, line: str, now: float) -> Waivers:
    """What the gate does not ask at the moment `now` (seconds since 1970)."""
    from assets.review.waivers import gather

    return gather(store, line, now)
