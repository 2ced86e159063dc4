"""`edgeloop run LINE`: what the sensors would do, in this process, and never twice."""

from __future__ import annotations

import os
import re
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

import dagster as dg

from assets.errors import TransientError
from assets.ingest.generations import begin_generation, foreseen
from assets.ingest.scan import scan
from assets.line.config import Line
from assets.records.line_store import BoundLine
from assets.records.verdict import CheckOutcome, partitions_name
from assets.training.triggers.claims import last_claim, next_claim
from assets.training.triggers.documents import Claim
from assets.training.triggers.policy import Policy, by_policy, everything
from platform_defs.automation.jobs import BATCH_TAG, LINE_TAG, RUN_KEY_TAG, claim_tags, job_names
from platform_defs.automation.liveness import PID_TAG, cancel_forgotten_runs, fail_dead_runs
from platform_defs.automation.locks import SENSOR_SECONDS, line_lock
from platform_defs.automation.runs import ClaimState, claim_state
from platform_defs.definitions import definitions
from platform_defs.local.watch import Moved, Watcher

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
WAIT_SECONDS = 2.0
_CLASS = re.compile(r"^(assets|edge)\.[\w.]+Error: ")
"""What Dagster puts before the text of our own errors."""


@dataclass
class Outcome:
    """What `run_line` did.

    Attributes:
        judged: batch id to "accepted" or "blocked".
        warnings: batch id to the checks that warn about it.
        notes: batch id to what people should know of how it was read.
        retrained: ids of the batches that a retrain in this process was for.
        note: why nothing was retrained.
        failed: what did not succeed, and why; one sentence each.
        refused: whether all that failed would be refused again, so that another try is no use.
    """

    judged: dict[str, str] = field(default_factory=dict)
    warnings: dict[str, tuple[CheckOutcome, ...]] = field(default_factory=dict)
    notes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    retrained: tuple[str, ...] = ()
    note: str = ""
    failed: list[str] = field(default_factory=list)
    refused: bool = True

    def fail(self, what: str, failure: Failure) -> None:
        """Note a run that failed."""
        self.failed.append(f"{what}: {failure.why}")
        self.refused = self.refused and failure.refused


@dataclass(frozen=True)
class Failure:
    """Why a run failed, and whether its input was refused."""

    why: str
    refused: bool


def run_line(
    line: BoundLine,
    instance: dg.DagsterInstance,
    report: Callable[[str], None],
    moved: Moved = lambda done, total, text: None,
    *,
    now: bool = False,
) -> Outcome:
    """Judge what landed and was not judged, then retrain on what was accepted and not trained on.

    Work that a daemon has under way is waited for, not repeated. A batch that cannot be judged hinders no other.

    Args:
        now: retrain on every waiting batch that brings something new; else as the line's retrain policy says, which
            the sensors obey as well.

    Raises:
        TransientError: another `edgeloop run` works on this line.
        KeyboardInterrupt: a person stopped it; the run under way is failed, and will be started again.
    """
    with line_lock(line, SENSOR_SECONDS) as free:
        if not free:
            raise TransientError(f"line {line.name!r}: another process works on it now; try again when it is done")
        _wait_for_runs(line.line, instance, report)
        location = definitions()
        outcome = Outcome()
        if said := foreseen(line):
            report(said)
        begin_generation(line)
        found = scan(line)
        if found.waiting:
            report(f"{found.waiting} drops in the inbox are not quiet yet; run again in a minute")
        for broken in found.broken:
            report(f"{broken.file}: {broken.reason}; {broken.remedy}")
        _judge(line, instance, location, report, outcome)
        policy = everything if now else by_policy(line.config.retrain, time.time())
        _retrain(line, instance, location, report, outcome, moved, policy)
        return outcome


def _judge(
    line: BoundLine,
    instance: dg.DagsterInstance,
    location: dg.Definitions,
    report: Callable[[str], None],
    outcome: Outcome,
) -> None:
    job, _, _ = job_names(line.line)
    batches = dict.fromkeys(landing.batch for _, landing in line.landings().after(0))
    for batch in batches:
        verdict = line.verdict(batch)
        if verdict is not None and line.stands(verdict):
            continue
        instance.add_dynamic_partitions(partitions_name(line.line), [batch])
        tags = {BATCH_TAG: batch, LINE_TAG: line.name, RUN_KEY_TAG: batch}
        failure = _execute(location, job, instance, tags, report, partition=batch)
        verdict = line.verdict(batch)
        if verdict is None:
            outcome.fail(f"batch {batch[:12]} was not judged", failure or Failure("its verdict is missing", False))
            continue
        outcome.judged[batch] = verdict.state
        report(f"batch {batch[:12]} is {verdict.state}: {verdict.why}")
        if verdict.warnings:
            outcome.warnings[batch] = verdict.warnings
        if verdict.notes:
            outcome.notes[batch] = verdict.notes
        for check in verdict.warnings:
            report(f"warning for batch {batch[:12]}: “{check.name}” does not hold. {check.detail}")
        for note in verdict.notes:
            report(f"note for batch {batch[:12]}: {note}")


def _retrain(
    line: BoundLine,
    instance: dg.DagsterInstance,
    location: dg.Definitions,
    report: Callable[[str], None],
    outcome: Outcome,
    moved: Moved,
    policy: Policy,
) -> None:
    _, job, _ = job_names(line.line)
    claim = last_claim(line)
    state, _ = claim_state(instance, claim, line.config.retrain.max_retries)
    if state in {ClaimState.NONE, ClaimState.DONE, ClaimState.GIVEN_UP}:
        again = state is ClaimState.GIVEN_UP
        claim, outcome.note = next_claim(line, "command", time.time(), policy, replace_last=again)
    if claim is None:
        return
    if failure := _execute(location, job, instance, _tags(line.line, claim), report, moved=moved):
        outcome.note = "the retrain failed"
        outcome.fail(f"the retrain of line {line.name!r} failed", failure)
    else:
        outcome.retrained, outcome.note = claim.batches, ""


def _tags(line: Line, claim: Claim) -> dict[str, str]:
    return {**claim_tags(claim), LINE_TAG: line.name, RUN_KEY_TAG: claim.run_key}


def _execute(
    location: dg.Definitions,
    job: str,
    instance: dg.DagsterInstance,
    tags: dict[str, str],
    report: Callable[[str], None],
    partition: str | None = None,
    moved: Moved = lambda done, total, text: None,
) -> Failure | None:
    """Run a job in this process; None where it succeeded."""
    run_id = str(uuid.uuid4())
    with Watcher(instance, report, run_id, moved):
        result = location.resolve_job_def(job).execute_in_process(
            instance=instance,
            run_id=run_id,
            tags={**tags, PID_TAG: str(os.getpid())},
            partition_key=partition,
            run_config=QUIET,
            raise_on_error=False,
        )
    return None if result.success else _why(result)


def _why(result: dg.ExecuteInProcessResult) -> Failure:
    """The first failed step's own words. Raises KeyboardInterrupt where a person stopped it."""
    for event in result.all_events:
        if event.event_type is dg.DagsterEventType.STEP_FAILURE:
            data = event.step_failure_data
            if data.user_failure_data is not None:
                return Failure(data.user_failure_data.description or "refused", refused=True)
            error = data.error
            while error is not None and error.cause is not None:
                error = error.cause
            if error is not None and error.cls_name == "DagsterExecutionInterruptedError":
                raise KeyboardInterrupt
            text = " ".join(error.message.split()) if error else "no reason was given"
            return Failure(_CLASS.sub("", text), refused=False)
    return Failure("its run ended before a step failed; see it in the Dagster UI", refused=False)


def _wait_for_runs(line: Line, instance: dg.DagsterInstance, report: Callable[[str], None]) -> None:
    """Until no run of this line is under way."""
    under_way = dg.RunsFilter(
        tags={LINE_TAG: line.name},
        statuses=[
            dg.DagsterRunStatus.QUEUED,
            dg.DagsterRunStatus.NOT_STARTED,
            dg.DagsterRunStatus.STARTING,
            dg.DagsterRunStatus.STARTED,
            dg.DagsterRunStatus.CANCELING,
        ],
    )
    told = False
    fail_dead_runs(instance, line.name)
    while runs := instance.get_runs(filters=under_way):
        if not told:
            report(f"{len(runs)} runs of this line are under way by the daemon; waiting for them")
            told = True
        cancel_forgotten_runs(instance, line.name)
        time.sleep(WAIT_SECONDS)
        fail_dead_runs(instance, line.name)
