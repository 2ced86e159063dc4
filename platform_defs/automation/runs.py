"""What the store and Dagster's run records say about a piece of work."""

from __future__ import annotations

import enum
from collections import defaultdict
from collections.abc import Sequence

import dagster as dg

from assets.line.config import Line
from assets.records.batch import Landing
from assets.records.line_store import BoundLine
from assets.training.triggers.claims import CLAIM_TAG
from assets.training.triggers.documents import Claim
from platform_defs.automation.jobs import BATCH_TAG, LINE_TAG, RUN_KEY_TAG

UNFINISHED = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)


def runs_with_tag(instance: dg.DagsterInstance, tag: str, value: str) -> Sequence[dg.DagsterRun]:
    """Every run that carries the tag, newest first."""
    return instance.get_runs(filters=dg.RunsFilter(tags={tag: value}))


def retry_number(runs: Sequence[dg.DagsterRun], most: int) -> int | None:
    """Which retry of work is due that is known to be unfinished.

    Returns:
        1, 2, …: start that retry. 0: all `most` retries were used up. None: nothing to do, because it was never
        started (that is `new_batch_sensor`'s to do) or is under way.
    """
    if not runs or any(not run.is_finished for run in runs):
        return None
    return len(runs) if len(runs) <= most else 0


def was_refused(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether a step refused its input (a RejectedError): the same input would be refused again."""
    failures = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE).records
    events = (record.event_log_entry.dagster_event for record in failures)
    return any(event is not None and event.step_failure_data.user_failure_data is not None for event in events)


class ClaimState(enum.Enum):
    """How far the training run of a claim is."""

    NONE = "there is no claim"
    UNREQUESTED = "its run was not requested yet"
    ACTIVE = "its run is under way"
    RETRY = "its run failed and will be started again"
    GIVEN_UP = "it was refused, or failed too often"
    DONE = "its run succeeded"


def claim_state(instance: dg.DagsterInstance, claim: Claim | None, most: int) -> tuple[ClaimState, int]:
    """The state of a claim's run, and which retry is due (0 where none is)."""
    if claim is None:
        return ClaimState.NONE, 0
    runs = runs_with_tag(instance, CLAIM_TAG, claim.run_key)
    if not runs:
        return ClaimState.UNREQUESTED, 0
    if any(run.is_success for run in runs):
        return ClaimState.DONE, 0
    retry = retry_number(runs, most)
    if retry is None:
        return ClaimState.ACTIVE, 0
    if all(was_refused(instance, run) for run in runs):
        return ClaimState.GIVEN_UP, 0
    return (ClaimState.RETRY, retry) if retry else (ClaimState.GIVEN_UP, 0)


def unfinished_runs(instance: dg.DagsterInstance, line: Line) -> list[dg.DagsterRun]:
    """The line's runs that are queued or under way.

    Asked by status alone, of which there are few: asked by tag as well, a database of a million runs looks at all of
    them.
    """
    runs = instance.get_runs(filters=dg.RunsFilter(statuses=list(UNFINISHED)))
    return [run for run in runs if run.tags.get(LINE_TAG) == line.name]


def judging_attempts(
    line: BoundLine, instance: dg.DagsterInstance, landings: Sequence[Landing]
) -> list[Sequence[dg.DagsterRun] | None]:
    """For each of what landed the runs that were to judge it, newest first; None where it is judged.

    One query for those under way, and one for each of the others.
    """
    under_way: dict[str, list[dg.DagsterRun]] = defaultdict(list)
    for run in unfinished_runs(instance, line.line):
        under_way[run.tags.get(BATCH_TAG, "")].append(run)
    found: list[Sequence[dg.DagsterRun] | None] = []
    for landing in landings:
        if line.is_judged(landing):
            found.append(None)
        elif not landing.again and landing.batch in under_way:
            found.append(under_way[landing.batch])
        else:
            found.append(_attempts(line, instance, landing))
    return found


def _attempts(line: BoundLine, instance: dg.DagsterInstance, landing: Landing) -> Sequence[dg.DagsterRun] | None:
    runs = runs_with_tag(instance, BATCH_TAG, landing.batch)
    if landing.again:
        key = f"{landing.batch}:{landing.again}"
        runs = [run for run in runs if run.tags.get(RUN_KEY_TAG, "").startswith(key)]
        if any(run.is_success or was_refused(instance, run) for run in runs):
            return None  # it was judged anew, by rules that have changed once more since
    # A run that ended between the two looks has left its verdict.
    return None if line.is_judged(landing) else runs
