"""Runs whose process is gone are failed, so that their work is started again.

Dagster's run monitoring asks the run launcher, and the launcher for local processes cannot say. Without this, a run
whose machine lost power would be "under way" for ever, and its line would never train again.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import dagster as dg

from platform_defs.automation.jobs import LINE_TAG

PID_TAG = "edgeloop/pid"
"""Says which process works on a run that no launcher started."""

STARTED = (dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING)
_PID = re.compile(r"\(pid: (\d+)\)")
CLOCK_SLACK_SECONDS = 2.0


def fail_dead_runs(instance: dg.DagsterInstance, line: str) -> list[str]:
    """Fail the line's runs whose process is gone; returns their ids.

    Does nothing where the run launcher itself can tell (Kubernetes): run monitoring does it there.
    """
    if instance.run_launcher.supports_check_run_worker_health:
        return []
    failed = []
    for record in instance.get_run_records(filters=dg.RunsFilter(tags={LINE_TAG: line}, statuses=list(STARTED))):
        run = record.dagster_run
        pids = _worker_pids(instance, run)
        began = record.start_time or record.create_timestamp.timestamp()
        if pids and not any(_is_alive(pid, began) for pid in pids):
            instance.report_run_failed(run, f"its process (pid {pids[-1]}) is gone; the work is started again")
            failed.append(run.run_id)
    return failed


def _worker_pids(instance: dg.DagsterInstance, run: dg.DagsterRun) -> list[int]:
    """Process ids that the run's tag and its own events name."""
    if PID_TAG in run.tags:
        return [int(run.tags[PID_TAG])]
    records = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT).records
    found = [_PID.search(record.event_log_entry.message) for record in records]
    return [int(match.group(1)) for match in found if match]


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
