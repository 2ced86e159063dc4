"""What makes a line run by itself: jobs, two sensors and a nightly schedule."""

from __future__ import annotations

import dagster as dg

from assets.line.config import Line
from platform_defs.automation.jobs import build_jobs
from platform_defs.automation.schedules import build_nightly_retrain
from platform_defs.automation.sensors import build_new_batch_sensor, build_reconcile_sensor

__all__ = ["build_automation"]


def build_automation(line: Line) -> dg.Definitions:
    """The line's jobs, `new_batch_sensor`, `reconcile_sensor` and `nightly_retrain`."""
    jobs = build_jobs(line)
    return dg.Definitions(
        jobs=list(jobs),
        sensors=[build_new_batch_sensor(line, jobs), build_reconcile_sensor(line, jobs)],
        schedules=[build_nightly_retrain(line, jobs)],
    )
