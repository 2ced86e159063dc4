"""A line, a store and a Dagster instance whose runs are told how to end: what the automation tests stand on."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
from dagster._core.execution.plan.objects import StepFailureData, UserFailureData

from assets.ingest.landing import land
from assets.line.config import Line, parse_line
from assets.records.batch import BatchManifest, LandedFile, Landing
from assets.records.line_store import LineStore, bind
from assets.records.verdict import Accepted, BatchVerdict
from assets.storage import layout
from assets.storage.store import Store
from edge.contracts import digest, to_bytes
from platform_defs.automation.jobs import BATCH_TAG, LINE_TAG, LineJobs, build_jobs
from platform_defs.automation.reconcile import unfinished_work
from platform_defs.automation.sensors import new_work
from platform_defs.components import ModelLine
from tests.projects import TINY, write_points

END = {
    dg.DagsterRunStatus.SUCCESS: dg.DagsterEventType.PIPELINE_SUCCESS,
    dg.DagsterRunStatus.FAILURE: dg.DagsterEventType.PIPELINE_FAILURE,
    dg.DagsterRunStatus.CANCELED: dg.DagsterEventType.PIPELINE_CANCELED,
}


@dataclass
class Bench:
    """One line's automation, with the daemon's part played by the test."""

    store: Store
    instance: dg.DagsterInstance
    retrain: dict[str, object] = field(default_factory=dict)
    cursors: dict[str, tuple[int, ...]] = field(default_factory=lambda: {"new": (0,), "reconcile": (0, 0)})
    started: dict[tuple[str, str], str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        policy = {"max_per_day": 10_000, **self.retrain}
        self.line: Line = parse_line("tiny", {**TINY, "retrain": policy}, "test")
        self.jobs: LineJobs = build_jobs(self.line)

    def new(self) -> dg.SensorResult:
        """What `new_batch_sensor` would do now."""
        return new_work(bind(self.store, self.line), self.jobs, self.instance, *self.cursors["new"])

    def reconcile(self) -> dg.SensorResult:
        """What `reconcile_sensor` would do now."""
        return unfinished_work(bind(self.store, self.line), self.jobs, self.instance, *self.cursors["reconcile"])

    def tick(self, sensor: str, *, keep_cursor: bool = True, most_runs: int | None = None) -> dg.SensorResult:
        """Evaluate a sensor and do with its result what Dagster's daemon does, or a part of it, as if killed then."""
        result = self.new() if sensor == "new" else self.reconcile()
        for request in (result.run_requests or [])[:most_runs]:
            self.start(sensor, request)
        if keep_cursor:
            self.cursors[sensor] = tuple(int(part) for part in str(result.cursor).split(","))
        return result

    def start(self, sensor: str, request: dg.RunRequest) -> str | None:
        """Create the requested run, unless this sensor had one with its key; returns its id."""
        name = (sensor, str(request.run_key))
        if name in self.started:
            return None
        run = dg.DagsterRun(
            job_name=request.job_name or "",
            run_id=str(uuid.uuid4()),
            status=dg.DagsterRunStatus.STARTED,
            tags={LINE_TAG: self.line.name, "dagster/run_key": str(request.run_key), **request.tags},
        )
        self.instance.add_run(run)
        self.started[name] = run.run_id
        return run.run_id

    def end(self, run_id: str, status: dg.DagsterRunStatus) -> None:
        """Have a run end."""
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        event = dg.DagsterEvent(event_type_value=END[status].value, job_name=run.job_name)
        self.instance.report_dagster_event(event, run_id)

    def refuse(self, run_id: str) -> None:
        """Have a run fail because a step refused its input."""
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        event = dg.DagsterEvent(
            event_type_value=dg.DagsterEventType.STEP_FAILURE.value,
            job_name=run.job_name,
            step_key="step",
            event_specific_data=StepFailureData(error=None, user_failure_data=UserFailureData("refused", "because")),
        )
        self.instance.report_dagster_event(event, run_id)
        self.end(run_id, dg.DagsterRunStatus.FAILURE)

    def active(self, job: str) -> list[dg.DagsterRun]:
        """Runs of the judge, retrain or observe job that are under way, oldest first."""
        name = getattr(self.jobs, job).name
        runs = self.instance.get_runs(filters=dg.RunsFilter(job_name=name, statuses=[dg.DagsterRunStatus.STARTED]))
        return sorted(runs, key=lambda run: run.run_id)

    def land_csv(self, folder: Path, seed: int) -> str:
        """Land a real file; returns the batch's id."""
        return land(bind(self.store, self.line), write_points(folder / f"{seed}.csv", seed, rows=4)).batch

    def list_landing(self, number: int, again: str = "") -> str:
        """An entry of the landing journal, without files; returns the batch's id."""
        batch = hashlib.sha256(f"batch {number}".encode()).hexdigest()
        LineStore(self.store, self.line.name).landings().append(Landing(batch, batch[:16], 0.0, again))
        return batch

    def judge(self, batch: str, state: str = "accepted", records: int = 10) -> None:
        """Write what the gate writes."""
        if self.store.exists(layout.verdict(self.line.name, batch)):
            return
        accepted = records if state == "accepted" else 0
        counts = {"seen": records, "accepted": accepted, "quarantined": records - accepted, "refused": 0}
        verdict = BatchVerdict(
            self.line.name,
            batch,
            "accepted" if accepted else "blocked",
            "because",
            reasons=(),
            checks=(),
            report=f"reports/{self.line.name}/{batch}/index.html",
            seconds=0.0,
            **counts,
        )
        self.store.save(layout.verdict(self.line.name, batch), verdict)
        if accepted:
            LineStore(self.store, self.line.name).accepted().append(Accepted(batch, records, 0.0))

    def judge_run(self, run: dg.DagsterRun, outcome: str) -> None:
        """End a judging run: "accepted", "blocked", or "crash" (no verdict)."""
        if outcome != "crash":
            self.judge(run.tags[BATCH_TAG], outcome)
        good = outcome == "accepted"
        self.end(run.run_id, dg.DagsterRunStatus.SUCCESS if good else dg.DagsterRunStatus.FAILURE)

    def drop(self, name: str, number: int) -> str:
        """A ready folder as another tool writes it: no journal entry; returns the batch's id."""
        data = f"x1,x2,kind\n{number},1,low\n".encode()
        prefix = f"landing/{self.line.name}/{name}"
        manifest = BatchManifest(self.line.name, (LandedFile("a.csv", hashlib.sha256(data).hexdigest(), len(data)),))
        self.store.write(f"{prefix}/files/a.csv", data)
        self.store.write(f"{prefix}/manifest.json", json.dumps(json.loads(to_bytes(manifest)), indent=2).encode())
        return digest(manifest)

    def definitions(self) -> dg.Definitions:
        """The line's own definitions over this store."""
        made = ModelLine(self.line).build_defs(None)  # type: ignore[arg-type]  # it does not use its context
        return dg.Definitions.merge(made, dg.Definitions(resources={"store": self.store}))


def keys(result: dg.SensorResult) -> list[str]:
    """The run keys that a sensor requests."""
    return [str(request.run_key) for request in result.run_requests or []]


def words(result: dg.SensorResult) -> str:
    """Why a sensor requests nothing; fails where it says nothing."""
    assert not result.run_requests
    reason = result.skip_reason
    text = reason.skip_message if isinstance(reason, dg.SkipReason) else reason
    assert text
    return text


def jobs_of(result: dg.SensorResult) -> Sequence[str | None]:
    """The jobs that a sensor requests."""
    return [request.job_name for request in result.run_requests or []]
