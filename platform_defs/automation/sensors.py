"""The two sensors of a line.

`new_batch_sensor` starts work that is new: it judges what the landing journal lists after its cursor, and starts the
retrain that accepted batches wait for. `reconcile_sensor` notices what was missed: folders that no journal lists, work
whose run failed or vanished, and reports from devices.
"""

import os
import time

import dagster as dg

from assets.feedback.documents import report_journal
from assets.ingest.generations import begin_generation
from assets.line.config import Line
from assets.records.line_store import BoundLine, bind
from assets.records.verdict import partitions_name
from assets.storage.store import Store
from assets.training.triggers.claims import last_claim, next_claim
from assets.training.triggers.policy import by_policy
from platform_defs.automation.cursors import read_cursor, read_watched, write_cursor
from platform_defs.automation.jobs import LineJobs, judge_request, retrain_request
from platform_defs.automation.locks import BUSY, line_lock
from platform_defs.automation.reconcile import MOST_OPEN, unfinished_work
from platform_defs.automation.runs import ClaimState, claim_state

MOST_PER_TICK = 200
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
        bound = bind(store, line)
        with line_lock(bound) as free:
            if not free:
                return dg.SensorResult(skip_reason=BUSY)
            (cursor,) = read_cursor(context.cursor, [bound.landings()])
            return new_work(bound, jobs, context.instance, cursor)

    return new_batch_sensor


def new_work(line: BoundLine, jobs: LineJobs, instance: dg.DagsterInstance, cursor: int) -> dg.SensorResult:
    """What has not been started yet.

    Args:
        cursor: position in the landing journal up to which batches were handed to runs.
    """
    begin_generation(line)  # where the contract changed, accepted batches are listed to be judged anew
    partitions = dg.DynamicPartitionsDefinition(name=partitions_name(line.line))
    landed = list(line.landings().after(cursor, MOST_PER_TICK))
    entries = {(landing.batch, landing.again): landing for _, landing in landed}
    batches = list(dict.fromkeys(batch for batch, _ in entries))
    requests = [
        judge_request(jobs, landing.batch, again=landing.again)
        for landing in entries.values()
        if not line.is_judged(landing)
    ]
    retrain, why = _retrain(line, jobs, instance)
    requests += retrain
    return dg.SensorResult(
        run_requests=requests,
        cursor=write_cursor(landed[-1][0] if landed else cursor),
        dynamic_partitions_requests=[partitions.build_add_request(batches)] if batches else [],
        skip_reason=None if requests else f"nothing new has landed; {why}",
    )


def _retrain(line: BoundLine, jobs: LineJobs, instance: dg.DagsterInstance) -> tuple[list[dg.RunRequest], str]:
    """The run of an open claim that was never requested, or of a new claim once no earlier one is open."""
    if line.is_outdated():
        return (
            [],
            "its contract was changed after this code location was loaded: reload it for retrains",
        )
    claim = last_claim(line)
    state, _ = claim_state(instance, claim, line.config.retrain.max_retries)
    if state is ClaimState.UNREQUESTED and claim is not None:
        return [retrain_request(jobs, claim)], ""
    if state in {ClaimState.ACTIVE, ClaimState.RETRY}:
        return [], f"the last retrain: {state.value}"
    given_up = state is ClaimState.GIVEN_UP
    if given_up and claim is not None and line.accepted().at(claim.upto + 1) is None:
        return [], f"the last retrain: {state.value}; its batches wait for the next accepted one, or for the night"
    now = time.time()
    policy = by_policy(line.config.retrain, now)
    claim, why = next_claim(line, "new batches", now, policy, replace_last=given_up)
    return ([retrain_request(jobs, claim)], why) if claim else ([], why)


def build_reconcile_sensor(line: Line, jobs: LineJobs) -> dg.SensorDefinition:
    """Finds what was missed or left unfinished; the cursor says how far it looked, and what it watches."""

    @dg.sensor(
        name=f"{line.identifier}_reconcile_sensor",
        jobs=list(jobs),
        minimum_interval_seconds=2 * INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Picks up unlisted folders, unfinished runs and device reports of {line.name}.",
    )
    def reconcile_sensor(context: dg.SensorEvaluationContext, store: dg.ResourceParam[Store]) -> dg.SensorResult:
        bound = bind(store, line)
        with line_lock(bound) as free:
            if not free:
                return dg.SensorResult(skip_reason=BUSY)
            seen, heard = read_cursor(context.cursor, [bound.landings(), report_journal(store)])
            watched = read_watched(context.cursor, 2, seen, MOST_OPEN)
            return unfinished_work(bound, jobs, context.instance, seen, heard, *watched)

    return reconcile_sensor
