"""What was started and did not finish, or was never noticed: what `reconcile_sensor` picks up."""

from __future__ import annotations

import dagster as dg

from assets.feedback.contract import ReportEntry, report_journal
from assets.ingest.contract import landing_journal
from assets.ingest.landing import journal_unlisted
from assets.journal import Journal
from assets.line import Line
from assets.quality.contract import partitions_name
from assets.store import Store
from assets.training.retrain import last_claim
from platform_defs.automation.cursors import write_cursor
from platform_defs.automation.jobs import LineJobs, judge_request, retrain_request
from platform_defs.automation.liveness import fail_dead_runs
from platform_defs.automation.runs import ClaimState, claim_state, judging_attempts, retry_number, was_refused

MOST_PER_TICK = 200
MOST_LOOKS_PER_TICK = 1000
"""A look at a batch's runs is a query, a look at a report is a read."""
MOST_NOTES = 5


def unfinished_work(
    line: Line, jobs: LineJobs, store: Store, instance: dg.DagsterInstance, settled: int, heard: int
) -> dg.SensorResult:
    """What was started and did not finish, or was never noticed.

    Args:
        settled: position in the landing journal up to which every batch has its verdict.
        heard: position in the journal of device reports up to which they were read.
    """
    fail_dead_runs(instance, line.name)
    found = journal_unlisted(store, line.name)
    notes = [f"{len(found.added)} unlisted batches found"] if found.added else []
    notes += [f"{broken.file}: {broken.reason}; {broken.remedy}" for broken in found.broken]
    settled, requests, more = _unjudged(line, jobs, store, instance, settled)
    partitions = dg.DynamicPartitionsDefinition(name=partitions_name(line))
    again = [request.partition_key for request in requests if request.partition_key]
    notes += more
    claim = last_claim(store, line.name)
    state, retry = claim_state(instance, claim, line.config.retrain.max_retries)
    if state is ClaimState.RETRY and claim is not None:
        requests.append(retrain_request(jobs, claim, retry))
    elif state not in {ClaimState.NONE, ClaimState.DONE}:
        notes.append(f"the last retrain: {state.value}")
    heard, news = _reports(report_journal(store), line.name, heard)
    if news:
        requests.append(dg.RunRequest(run_key=f"report-{news}", job_name=jobs.observe.name))
    if len(notes) > MOST_NOTES:
        notes[MOST_NOTES:] = [f"and {len(notes) - MOST_NOTES} more"]
    return dg.SensorResult(
        run_requests=requests,
        cursor=write_cursor(settled, heard),
        dynamic_partitions_requests=[partitions.build_add_request(again)] if again else [],
        skip_reason=None if requests else "; ".join(notes) or "everything that landed is judged and trained on",
    )


def _unjudged(
    line: Line, jobs: LineJobs, store: Store, instance: dg.DagsterInstance, settled: int
) -> tuple[int, list[dg.RunRequest], list[str]]:
    """How far every batch has its verdict, the retries that are due for those without, and notes on the others."""
    most = line.config.retrain.max_retries
    requests: dict[str, dg.RunRequest] = {}
    notes: list[str] = []
    waiting = unjudged = 0
    for position, landing in landing_journal(store, line.name).after(settled):
        batch, runs = landing.batch, judging_attempts(store, line, instance, landing)
        if runs is None:
            settled = settled if unjudged else position
            continue
        unjudged += 1
        retry = retry_number(runs, most)
        if retry and all(was_refused(instance, run) for run in runs):
            notes.append(f"batch {batch[:12]} was refused; its run says why")
        elif retry:
            request = judge_request(jobs, batch, retry, landing.again)
            requests[str(request.run_key)] = request
        elif retry == 0:
            notes.append(f"batch {batch[:12]} was not judged in {most} retries; look at its runs")
        waiting += not runs
        if len(requests) >= MOST_PER_TICK or unjudged >= MOST_LOOKS_PER_TICK:
            break
    if waiting:
        notes.append(f"{waiting} landed batches wait for {line.identifier}_new_batch_sensor; is it switched on?")
    return settled, list(requests.values()), notes


def _reports(journal: Journal[ReportEntry], line: str, heard: int) -> tuple[int, int]:
    """How far the reports are read now, and the position of the line's newest report of a change (0 for none).

    A device that only says it is still there makes no run: 100,000 of them say so all day.
    """
    news = 0
    for position, entry in journal.after(heard, MOST_LOOKS_PER_TICK):
        heard, news = position, position if entry.line == line and entry.event != "unchanged" else news
    return heard, news
