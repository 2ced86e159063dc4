"""Runs whose process is gone are failed, so that their work is started again.

Dagster's run monitoring asks the run launcher, and the launcher for local processes cannot say. Without this, a run
whose machine lost power would be "under way" for ever, and its line would never train again.
"""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import dagster as dg

from platform_defs.automation.jobs import LINE_TAG

PID_TAG = "edgeloop/pid"
"""Says which process works on a run that no launcher started."""

STARTED = (dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING)
_PID = re.compile(r"\(pid: (\d+)\)")
CLOCK_SLACK_SECONDS = 2.0
WAITING = (dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED)
DAEMON_SILENT_SECONDS = 120.0
"""A daemon that lives is heard every 30 s."""


def fail_dead_runs(instance: dg.DagsterInstance, line: str) -> list[str]:
    """Fail the line's runs whose process is gone; returns their ids.

    Does nothing where the run launcher itself can tell (Kubernetes): run monitoring does it there.
    """
    if instance.run_launcher.supports_check_run_worker_health:
        return []
    failed = []
    # By status alone: asked by tag as well, a database of a million runs looks at all of them.
    for record in instance.get_run_records(filters=dg.RunsFilter(statuses=list(STARTED))):
        run = record.dagster_run
        if run.tags.get(LINE_TAG) != line:
            continue
        pids = _worker_pids(instance, run)
        began = record.start_time or record.create_timestamp.timestamp()
        if pids and not any(_is_alive(pid, began) for pid in pids):
            instance.report_run_failed(run, f"its process (pid {pids[-1]}) is gone; the work is started again")
            failed.append(run.run_id)
    return failed


def cancel_forgotten_runs(instance: dg.DagsterInstance, line: str) -> list[str]:
    """Cancel the line's queued runs where no daemon lives to start them; returns their ids."""
    beats = instance.get_daemon_heartbeats().values()
    if any(time.time() - beat.timestamp < DAEMON_SILENT_SECONDS for beat in beats):
        return []
    queued = instance.get_runs(filters=dg.RunsFilter(tags={LINE_TAG: line}, statuses=list(WAITING)))
    for run in queued:
        instance.report_run_canceled(run, message="no daemon is there to start it; its work is done elsewhere")
    return [run.run_id for run in queued]


def _worker_pids(instance: dg.DagsterInstance, run: dg.DagsterRun) -> list[int]:
    """Process ids that the run's own events name; else its tag's, which a run executed again inherits."""
    records = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT).records
    found = [_PID.search(record.event_log_entry.message) for record in records]
    pids = [int(match.group(1)) for match in found if match]
    return [int(run.tags[PID_TAG])] if not pids and PID_TAG in run.tags else pids


def _is_alive(pid: int, began: float) -> bool:
    """Whether process `pid` lives and is not a later one of the same number."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    if fields[0] == "Z":
        return False
    boot = next(int(row.split()[1]) for row in Path("/proc/stat").read_text().splitlines() if row.startswith("btime"))
    process_start = boot + int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return process_start <= began + CLOCK_SLACK_SECONDS
