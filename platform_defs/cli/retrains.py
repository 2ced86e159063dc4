"""`edgeloop retrains`: what was trained on when, what was not and why, and what waits now."""

from __future__ import annotations

import time
from typing import Any

import dagster as dg

from assets.records.line_store import BoundLine, bind
from assets.training.triggers.claims import claim_journal, standing
from assets.training.triggers.documents import Claim
from assets.training.triggers.skips import Skip, skip_journal
from platform_defs.automation.runs import ClaimState, claim_state
from platform_defs.catalog import find_line
from platform_defs.cli.output import JsonFlag, LineName, Profile, print_rows
from platform_defs.local.instance import open_instance, prepare_home

MOST_ROWS = 1000
"""Of each kind, the newest."""


def retrains(line: LineName, as_json: JsonFlag = False, profile: Profile = None) -> None:
    """List a line's decisions to retrain, oldest first: runs that were started, triggers that were skipped, and why."""
    found = find_line(line)
    store = prepare_home()
    with open_instance() as instance:
        rows = decisions(bind(store, found), instance, time.time())
    empty = f"No batch of {line} was accepted yet. `edgeloop land {line} FOLDER_OR_FILE` lands one."
    columns = ("when", "decision", "trigger", "batches", "records", "why")
    print_rows(f"Retrains of {line}", rows, columns, as_json=as_json, empty=empty)


def decisions(line: BoundLine, instance: dg.DagsterInstance, now: float) -> list[dict[str, Any]]:
    """Every claim and every noted skip of a line in the order of time, then what waits at `now`."""
    most = line.config.retrain.max_retries
    claims, skips = claim_journal(line), skip_journal(line)
    rows = [
        _claim(claim, claim_state(instance, claim, most)[0])
        for _, claim in claims.after(max(0, claims.length() - MOST_ROWS))
    ]
    rows += [_skip(skip) for _, skip in skips.after(max(0, skips.length() - MOST_ROWS))]
    rows.sort(key=lambda row: row["time"])
    waiting, decision = standing(line, line.config.retrain, now)
    if waiting:
        records = sum(entry.records for _, entry in waiting)
        names = tuple(entry.batch for _, entry in waiting)
        told = "due" if decision.retrain else "waiting"
        rows.append(_row(now, told, "", len(waiting), records, decision.why, decision.rule, names))
    return rows


def _claim(claim: Claim, state: ClaimState) -> dict[str, Any]:
    told = {ClaimState.DONE: "trained", ClaimState.GIVEN_UP: "given up", ClaimState.ACTIVE: "training"}
    return _row(
        claim.time,
        told.get(state, "due"),
        claim.trigger,
        len(claim.batches),
        claim.records,
        state.value,
        "",
        claim.batches,
    )


def _skip(skip: Skip) -> dict[str, Any]:
    return _row(skip.time, "skipped", skip.trigger, skip.batches, skip.records, skip.why, skip.rule, ())


def _row(
    when: float, decision: str, trigger: str, batches: int, records: int, why: str, rule: str, names: tuple[str, ...]
) -> dict[str, Any]:
    return {
        "when": time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(when)),
        "time": when,
        "decision": decision,
        "trigger": trigger,
        "batches": batches,
        "records": records,
        "why": why,
        "rule": rule,
        "batch_ids": list(names),
    }
