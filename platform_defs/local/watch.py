"""Follows runs in Dagster's event log and tells people, line by line, what happens."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

import dagster as dg
from dagster import DagsterEventType

POLL_SECONDS = 0.5
Moved = Callable[[float, float, str], None]
"""Told how much of how much is done, and a line of text."""


class Watcher:
    """Reports the progress of one run, or of every run that appears, until it is closed."""

    def __init__(
        self,
        instance: dg.DagsterInstance,
        report: Callable[[str], None],
        run_id: str | None = None,
        moved: Moved = lambda done, total, text: None,
    ) -> None:
        self._instance, self._report, self._run_id, self._moved = instance, report, run_id, moved
        self._cursors: dict[str, str | None] = {}
        self._known = set() if run_id else {run.run_id for run in instance.get_runs(limit=1000)}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="run-watcher", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(timeout=30)

    def _follow(self) -> None:
        while not self._stop.wait(POLL_SECONDS):
            self._tell_news()
        self._tell_news()

    def _tell_news(self) -> None:
        if self._run_id:
            runs = [run for run in [self._instance.get_run_by_id(self._run_id)] if run]
        else:
            runs = [run for run in self._instance.get_runs(limit=20) if run.run_id not in self._known]
        for run in reversed(runs):
            batch = self._instance.get_records_for_run(run.run_id, cursor=self._cursors.get(run.run_id))
            self._cursors[run.run_id] = batch.cursor
            for record in batch.records:
                if (far := how_far(record.event_log_entry)) is not None:
                    self._moved(*far)
                elif text := describe(record.event_log_entry):
                    self._report(f"{run.job_name}: {text}")


def describe(entry: dg.EventLogEntry) -> str:
    """One line for people, or "" for events that only machines care for."""
    event = entry.dagster_event
    if event is None:
        return entry.user_message if entry.level == 20 and "[pipes]" not in entry.user_message else ""
    if event.event_type is DagsterEventType.STEP_START:
        return f"{_asset(event)} …"
    if event.event_type is DagsterEventType.STEP_FAILURE:
        data = event.step_failure_data
        if data.user_failure_data is not None:
            return f"{_asset(event)} refused: {data.user_failure_data.description}"
        return f"{_asset(event)} failed: {data.error.message.strip() if data.error else event.message}"
    return ""


def how_far(entry: dg.EventLogEntry) -> tuple[float, float, str] | None:
    """Steps done, steps there are, and a line of text, where an event says so (`assets.processes.launch.observe`)."""
    event = entry.dagster_event
    if event is None or event.event_type is not DagsterEventType.ASSET_OBSERVATION:
        return None
    observation = event.asset_observation_data.asset_observation
    told = {name: value.value for name, value in observation.metadata.items()}
    done, total = told.get("step"), told.get("steps")
    if not isinstance(done, (int, float)) or not isinstance(total, (int, float)):
        return None
    return float(done), float(total), str(observation.description or "")


def _asset(event: dg.DagsterEvent) -> str:
    return (event.step_key or "").rpartition("__")[2]
