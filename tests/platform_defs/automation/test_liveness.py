"""Runs whose process is gone are failed; everything else is left alone."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator

import dagster as dg
import pytest
from dagster._daemon.types import DaemonHeartbeat

from platform_defs.automation.jobs import LINE_TAG
from platform_defs.automation.liveness import PID_TAG, cancel_forgotten_runs, fail_dead_runs

STARTED, FAILURE = dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.FAILURE


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def dead_pid() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def _run(
    instance: dg.DagsterInstance,
    *,
    tag: int | None = None,
    events: tuple[int, ...] = (),
    status: dg.DagsterRunStatus = STARTED,
    line: str = "tiny",
) -> str:
    """A run whose process is named by its tag, or by engine events as Dagster's launcher writes them."""
    tags = {LINE_TAG: line, **({PID_TAG: str(tag)} if tag else {})}
    run = dg.DagsterRun(job_name="tiny_judge", run_id=str(uuid.uuid4()), status=dg.DagsterRunStatus.STARTING, tags=tags)
    instance.add_run(run)
    for pid in events:
        instance.report_engine_event(f"Started process for run (pid: {pid}).", run)
    if status is STARTED:
        started = dg.DagsterEvent(dg.DagsterEventType.PIPELINE_START.value, run.job_name)
        instance.report_dagster_event(started, run.run_id)
    return run.run_id


def _status(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRunStatus:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


@pytest.mark.parametrize("by_tag", [True, False])
def test_a_run_without_its_process_is_failed_in_plain_words(
    instance: dg.DagsterInstance, dead_pid: int, by_tag: bool
) -> None:
    run_id = _run(instance, tag=dead_pid) if by_tag else _run(instance, events=(dead_pid,))
    assert fail_dead_runs(instance, "tiny") == [run_id]
    assert _status(instance, run_id) is FAILURE
    told = "\n".join(entry.message for entry in instance.all_logs(run_id))
    assert f"its process (pid {dead_pid}) is gone; the work is started again" in told
    assert fail_dead_runs(instance, "tiny") == []


def test_a_living_run_is_left_alone(instance: dg.DagsterInstance, dead_pid: int) -> None:
    runs = [_run(instance, tag=os.getpid()), _run(instance, events=(dead_pid, os.getpid()))]
    assert fail_dead_runs(instance, "tiny") == []
    assert {_status(instance, run_id) for run_id in runs} == {STARTED}


def test_a_process_that_started_after_the_run_is_another_one(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        began, now = time.time() - 60, time.time
        monkeypatch.setattr(time, "time", lambda: began)
        recycled = _run(instance, tag=process.pid)
        monkeypatch.setattr(time, "time", now)
        own = _run(instance, tag=process.pid)
        assert fail_dead_runs(instance, "tiny") == [recycled]
        assert _status(instance, own) is STARTED
        process.communicate(b"\n")


def test_a_zombie_is_gone(instance: dg.DagsterInstance) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:  # it ends at once, and nobody waits for it yet
        run_id = _run(instance, tag=process.pid)
        deadline = time.monotonic() + 280
        while (failed := fail_dead_runs(instance, "tiny")) != [run_id]:
            assert (failed, time.monotonic() < deadline) == ([], True)
            time.sleep(0.02)


def test_runs_that_say_no_process_and_other_lines_are_left_alone(instance: dg.DagsterInstance, dead_pid: int) -> None:
    runs = [_run(instance), _run(instance, tag=dead_pid, line="other")]
    waiting = _run(instance, tag=dead_pid, status=dg.DagsterRunStatus.STARTING)
    assert fail_dead_runs(instance, "tiny") == []
    assert {_status(instance, run_id) for run_id in runs} == {STARTED}
    assert _status(instance, waiting) is dg.DagsterRunStatus.STARTING


def test_launchers_that_check_health_do_it_themselves(
    instance: dg.DagsterInstance, dead_pid: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = _run(instance, tag=dead_pid)
    monkeypatch.setattr(type(instance.run_launcher), "supports_check_run_worker_health", True)
    assert fail_dead_runs(instance, "tiny") == []
    assert _status(instance, run_id) is STARTED


def test_a_run_executed_again_is_judged_by_its_own_process(instance: dg.DagsterInstance, dead_pid: int) -> None:
    run = _run(instance, tag=dead_pid, events=(os.getpid(),))
    assert fail_dead_runs(instance, "tiny") == []
    assert _status(instance, run) is STARTED


def test_queued_runs_are_cancelled_only_where_no_daemon_lives(instance: dg.DagsterInstance) -> None:
    for line in ("tiny", "other"):
        status = dg.DagsterRunStatus.NOT_STARTED
        instance.add_run(dg.DagsterRun(f"{line}_judge", run_id=str(uuid.uuid4()), status=status, tags={LINE_TAG: line}))
    instance.add_daemon_heartbeat(DaemonHeartbeat(time.time(), "SENSOR", "1"))
    assert cancel_forgotten_runs(instance, "tiny") == []
    instance.add_daemon_heartbeat(DaemonHeartbeat(time.time() - 600, "SENSOR", "1"))
    (cancelled,) = cancel_forgotten_runs(instance, "tiny")
    assert _status(instance, cancelled) is dg.DagsterRunStatus.CANCELED
    assert [run.job_name for run in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.NOT_STARTED]))] == [
        "other_judge"
    ]
