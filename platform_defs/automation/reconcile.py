"""What was started and did not finish, or was never noticed: what `reconcile_sensor` picks up."""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

from assets.feedback.documents import ReportEntry, report_journal
from assets.records.line_store import BoundLine
from assets.records.verdict import partitions_name
from assets.storage.journal import Journal
from assets.training.triggers.claims import last_claim
from platform_defs.automation.cursors import write_cursor
from platform_defs.automation.jobs import LineJobs, judge_request, retrain_request
from platform_defs.automation.liveness import fail_dead_runs
from platform_defs.automation.runs import (
    ClaimState,
    claim_state,
    judging_attempts,
    retry_number,
    was_refused,
)
from platform_defs.automation.scanning import scan_beside

MOST_PER_TICK = 200
MOST_LOOKS_PER_TICK = 1000
"""Device reports that a tick reads."""
MOST_LANDINGS = 5000
"""New entries of the landing journal that a tick looks at: far behind, it catches up in several."""
MOST_OPEN = 500
"""Batches without a verdict that are watched: the cursor names each."""
MOST_GIVEN_UP = 100
"""Of these, batches that were refused or retried too often: people are told of the newest until they are judged."""
MOST_NOTES = 5


def unfinished_work(
    line: BoundLine, jobs: LineJobs, instance: dg.DagsterInstance, seen: int, heard: int, *watched: int
) -> dg.SensorResult:
    """What was started and did not finish, or was never noticed. A tick looks at a bounded number of things.

    Args:
        seen: position in the landing journal up to which every batch has its verdict or is watched.
        heard: position in the journal of device reports up to which they were read.
        watched: positions up to `seen` whose batches have no verdict yet.
    """
    fail_dead_runs(instance, line.name)
    notes = _scan(line)
    seen, open_positions, requests, more = _unjudged(line, jobs, instance, seen, watched)
    partitions = dg.DynamicPartitionsDefinition(name=partitions_name(line.line))
    again = [request.partition_key for request in requests if request.partition_key]
    notes += more
    claim = last_claim(line)
    state, retry = claim_state(instance, claim, line.config.retrain.max_retries)
    if state is ClaimState.RETRY and claim is not None:
        requests.append(retrain_request(jobs, claim, retry))
    elif state not in {ClaimState.NONE, ClaimState.DONE}:
        notes.append(f"the last retrain: {state.value}")
    heard, news = _reports(report_journal(line.store), line.name, heard)
    if news:
        requests.append(dg.RunRequest(run_key=f"report-{news}", job_name=jobs.observe.name))
    if len(notes) > MOST_NOTES:
        notes[MOST_NOTES:] = [f"and {len(notes) - MOST_NOTES} more"]
    return dg.SensorResult(
        run_requests=requests,
        cursor=write_cursor(seen, heard, *open_positions),
        dynamic_partitions_requests=[partitions.build_add_request(again)] if again else [],
        skip_reason=None if requests else "; ".join(notes) or "everything that landed is judged and trained on",
    )


def _scan(line: BoundLine) -> list[str]:
    """Have the slow scan look for drops of others, and what it says."""
    found = scan_beside(line)
    if found is None:
        return ["the slow scan is under way"]
    notes = [f"{len(found.landed)} drops landed from the inbox"] if found.landed else []
    notes += [f"{found.added} unlisted batches found"] if found.added else []
    notes += [f"{found.waiting} drops in the inbox are not quiet yet"] if found.waiting else []
    return [*notes, *(f"{broken.file}: {broken.reason}; {broken.remedy}" for broken in found.broken)]


def _unjudged(
    line: BoundLine, jobs: LineJobs, instance: dg.DagsterInstance, seen: int, watched: Sequence[int]
) -> tuple[int, list[int], list[dg.RunRequest], list[str]]:
    """How far was looked, the positions to watch, the retries that are due, and notes on the others."""
    most = line.config.retrain.max_retries
    journal = line.landings()
    found = [(position, landing) for position in watched if (landing := journal.at(position)) is not None]
    for position, landing in journal.after(seen, MOST_LANDINGS):
        if len(found) >= MOST_OPEN:
            break
        seen = position
        if not line.is_judged(landing):
            found.append((position, landing))
    requests: dict[str, dg.RunRequest] = {}
    notes: list[str] = []
    waiting = 0
    watching: list[int] = []
    given_up: list[int] = []
    attempts = judging_attempts(line, instance, [landing for _, landing in found])
    for (position, landing), runs in zip(found, attempts, strict=True):
        if runs is None:
            continue
        retry = retry_number(runs, most)
        if retry == 0 or (retry and all(was_refused(instance, run) for run in runs)):
            why = "was refused; its run says why" if retry else f"was not judged in {most} retries; look at its runs"
            notes.append(f"batch {landing.batch[:12]} {why}")
            given_up.append(position)
            continue
        watching.append(position)
        waiting += not runs
        if retry and len(requests) < MOST_PER_TICK:
            request = judge_request(jobs, landing.batch, retry, landing.again)
            requests[str(request.run_key)] = request
    if waiting:
        notes.append(f"{waiting} landed batches wait for {line.identifier}_new_batch_sensor; is it switched on?")
    kept = given_up[max(0, len(given_up) - MOST_GIVEN_UP) :]
    return seen, sorted([*watching, *kept]), [*requests.values()], notes


def _reports(journal: Journal[ReportEntry], line: str, heard: int) -> tuple[int, int]:
    """How far the reports are read now, and the position of the line's newest report of a change (0 for none).

    A device that only says it is still there makes no run: 100,000 of them say so all day.
    """
    news = 0
    for position, entry in journal.after(heard, MOST_LOOKS_PER_TICK):
        heard, news = position, position if entry.line == line and entry.event != "unchanged" else news
    return heard, news
