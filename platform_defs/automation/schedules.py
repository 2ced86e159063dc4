"""The nightly retrain of a line."""

import time

import dagster as dg

from assets.line.config import Line
from assets.records.line_store import BoundLine, bind
from assets.storage.store import Store
from assets.training.triggers.claims import last_claim, next_claim
from assets.training.triggers.policy import everything
from platform_defs.automation.jobs import LineJobs, retrain_request
from platform_defs.automation.locks import BUSY, SENSOR_SECONDS, line_lock
from platform_defs.automation.runs import ClaimState, claim_state


def build_nightly_retrain(line: Line, jobs: LineJobs) -> dg.ScheduleDefinition:
    """Retrains at the line's hour on everything accepted, whatever its policy still waits for."""

    @dg.schedule(
        name=f"{line.identifier}_nightly_retrain",
        job=jobs.retrain,
        cron_schedule=line.config.retrain.nightly,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"Retrains {line.name} every night; without new data the steps' results are reused.",
    )
    def nightly_retrain(
        context: dg.ScheduleEvaluationContext, store: dg.ResourceParam[Store]
    ) -> dg.RunRequest | dg.SkipReason:
        bound = bind(store, line)
        with line_lock(bound, SENSOR_SECONDS) as free:
            if not free:
                return dg.SkipReason(BUSY)
            night = f"nightly-{context.scheduled_execution_time:%Y-%m-%d-%H-%M}"
            return nightly_work(bound, jobs, context.instance, night)

    return nightly_retrain


def nightly_work(
    line: BoundLine, jobs: LineJobs, instance: dg.DagsterInstance, run_key: str
) -> dg.RunRequest | dg.SkipReason:
    """The night's retrain: of the batches that wait, else, under `run_key`, of what was trained on before."""
    last = last_claim(line)
    state, _ = claim_state(instance, last, line.config.retrain.max_retries)
    if state in {ClaimState.UNREQUESTED, ClaimState.ACTIVE, ClaimState.RETRY}:
        return dg.SkipReason(f"the last retrain: {state.value}")
    given_up = state is ClaimState.GIVEN_UP
    claim, why = next_claim(line, "nightly", time.time(), everything, replace_last=given_up)
    if claim is not None:
        return retrain_request(jobs, claim)
    return dg.SkipReason(why) if last is None else dg.RunRequest(run_key=run_key)
