"""The two sensors of a line.

`new_batch_sensor` starts work that is new: it judges what the landing journal lists after its cursor, and starts the
retrain that accepted batches wait for. `reconcile_sensor` notices what was missed: folders that no journal lists, work
whose run failed or vanished, and reports from devices.
"""

import os
import time

import dagster as dg

from assets.feedback.contract import ReportEntry, report_journal
from assets.ingest.contract import Landing, landing_journal
from assets.ingest.landing import journal_unlisted
from assets.journal import Journal
from assets.line import Line
from assets.quality.contract import accepted_journal, partitions_name, read_verdict, stands, verdict_key
from assets.store import Store
from assets.training.retrain import by_policy, last_claim, next_claim
from platform_defs.automation.cursors import read_cursor, write_cursor
from platform_defs.automation.jobs import BATCH_TAG, LineJobs, judge_request, retrain_request
from platform_defs.automation.liveness import fail_dead_runs
from platform_defs.automation.locks import BUSY, line_lock
from platform_defs.automation.runs import ClaimState, claim_state, retry_number, runs_with_tag, was_refused

MOST_PER_TICK = 200
MOST_LOOKS_PER_TICK = 1000
"""A look at a batch's runs is a query, a look at a report is a read."""
MOST_NOTES = 5
INTERVAL_SECONDS = int(os.environ.get("EDGELOOP_SENSOR_SECONDS", "15"))


def build_new_batch_sensor(line: Line, jobs: LineJobs) -> dg.SensorDefinition:
    """Watches the line's landing journal and its accepted batches; the cursor is a position in the landing journal."""

    @dg.sensor(
        name=f"{line.identifier}_new_batch_sensor",
        jobs=[jobs.judge, jobs.retrain],
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Judges batches that land for {line.name}, and retrains when its policy says so.",
    )
    def new_batch_sensor(context: dg.SensorEvaluationContext, store: dg.ResourceParam[Store]) -> dg.SensorResult:
        with line_lock(store, line.name) as free:
            if not free:
                return dg.SensorResult(skip_reason=BUSY)
            (cursor,) = read_cursor(context.cursor, [landing_journal(store, line.name)])
            return new_work(line, jobs, store, context.instance, cursor)

    return new_batch_sensor


def new_work(line: Line, jobs: LineJobs, store: Store, instance: dg.DagsterInstance, cursor: int) -> dg.SensorResult:
    """What has not been started yet.

    Args:
        cursor: position in the landing journal up to which batches were handed to runs.
    """
    partitions = dg.DynamicPartitionsDefinition(name=partitions_name(line))
    landed = list(landing_journal(store, line.name).after(cursor, MOST_PER_TICK))
    entries = {(landing.batch, landing.again): landing for _, landing in landed}
    batches = list(dict.fromkeys(batch for batch, _ in entries))
    requests = [
        judge_request(jobs, landing.batch, again=landing.again)
        for landing in entries.values()
        if not _is_judged(store, line, landing)
    ]
    retrain, why = _retrain(line, jobs, store, instance)
    requests += retrain
    return dg.SensorResult(
        run_requests=requests,
        cursor=write_cursor(landed[-1][0] if landed else cursor),
        dynamic_partitions_requests=[partitions.build_add_request(batches)] if batches else [],
        skip_reason=None if requests else f"nothing new has landed; {why}",
    )


def _is_judged(store: Store, line: Line, landing: Landing) -> bool:
    """Whether a verdict stands; one that was landed again may have to be judged under rules that changed."""
    if not landing.again:
        return store.exists(verdict_key(line.name, landing.batch))
    verdict = read_verdict(store, line.name, landing.batch)
    return verdict is not None and stands(verdict, line)


def _retrain(line: Line, jobs: LineJobs, store: Store, instance: dg.DagsterInstance) -> tuple[list[dg.RunRequest], str]:
    """The run of an open claim that was never requested, or of a new claim once no earlier one is open."""
    claim = last_claim(store, line.name)
    state, _ = claim_state(instance, claim, line.config.retrain.max_retries)
    if state is ClaimState.UNREQUESTED and claim is not None:
        return [retrain_request(jobs, claim)], ""
    if state in {ClaimState.ACTIVE, ClaimState.RETRY}:
        return [], f"the last retrain: {state.value}"
    given_up = state is ClaimState.GIVEN_UP
    if given_up and claim is not None and accepted_journal(store, line.name).at(claim.upto + 1) is None:
        return [], f"the last retrain: {state.value}; its batches wait for the next accepted one, or for the night"
    now = time.time()
    policy = by_policy(line.config.retrain, now)
    claim, why = next_claim(store, line.name, "new batches", now, policy, replace_last=given_up)
    return ([retrain_request(jobs, claim)], why) if claim else ([], why)


def build_reconcile_sensor(line: Line, jobs: LineJobs) -> dg.SensorDefinition:
    """Finds what was missed or left unfinished; the cursor counts how far everything is settled."""

    @dg.sensor(
        name=f"{line.identifier}_reconcile_sensor",
        jobs=list(jobs),
        minimum_interval_seconds=2 * INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Picks up unlisted folders, unfinished runs and device reports of {line.name}.",
    )
    def reconcile_sensor(context: dg.SensorEvaluationContext, store: dg.ResourceParam[Store]) -> dg.SensorResult:
        with line_lock(store, line.name) as free:
            if not free:
                return dg.SensorResult(skip_reason=BUSY)
            settled, heard = read_cursor(context.cursor, [landing_journal(store, line.name), report_journal(store)])
            return unfinished_work(line, jobs, store, context.instance, settled, heard)

    return reconcile_sensor


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
        batch, key = landing.batch, verdict_key(line.name, landing.batch)
        if store.exists(key):
            settled = settled if unjudged else position
            continue
        unjudged += 1
        runs = runs_with_tag(instance, BATCH_TAG, batch)
        retry = retry_number(runs, most)
        if retry is not None and store.exists(key):  # it was judged between the two looks
            continue
        if retry and all(was_refused(instance, run) for run in runs):
            notes.append(f"batch {batch[:12]} was refused; its run says why")
        elif retry:
            requests[batch] = judge_request(jobs, batch, retry)
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
