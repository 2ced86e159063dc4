"""Closes the loop once: lands three batches and waits until the device runs what came of them."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import dagster as dg

from assets.errors import LineError, TransientError
from assets.feedback.documents import ReceivedReport
from assets.ingest.landing import land
from assets.line.config import Line
from assets.records.line_store import LineStore, bind
from assets.records.verdict import BatchVerdict
from assets.release.published import releases
from assets.release.repository import ensure_repository
from assets.storage import layout
from assets.storage.store import Store
from assets.training.triggers.claims import claim_journal
from edge.contracts import DeviceReport
from platform_defs.automation.jobs import BATCH_TAG
from platform_defs.automation.runs import ClaimState, claim_state, runs_with_tag
from platform_defs.catalog import LINES_FOLDER, LINES_VARIABLE, find_line
from platform_defs.definitions import definitions
from platform_defs.demo.data import write_batches
from platform_defs.local.instance import daemon_lock, open_instance
from platform_defs.local.processes import script, supervised
from platform_defs.local.watch import Watcher
from platform_defs.web.serve import Server, device_app

DEVICE = "demo-device"
LINE = "digits"
QUIET_SECONDS = 180.0
"""How long nothing at all may happen before the demo gives up waiting."""
POLL_SECONDS = 0.5
Report = Callable[[str], None]
T = TypeVar("T")


@dataclass(frozen=True)
class Step:
    """One landed batch and what came of it.

    Attributes:
        name: "batch-1", "batch-2" or "batch-3".
        device: the report with which the device activated what came of this batch; None where the batch was blocked.
        seconds: from landing to the device's report, or to the verdict.
    """

    name: str
    verdict: BatchVerdict
    device: DeviceReport | None
    seconds: float


@dataclass
class _Stage:
    """What the demo plays on. `processes` are watched while it waits; `news` is when something happened last."""

    store: Store
    instance: dg.DagsterInstance
    line: Line
    tell: Report
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    news: float = field(default_factory=time.monotonic)

    def report(self, text: str) -> None:
        self.news = time.monotonic()
        self.tell(text)

    def wait(self, ready: Callable[[], T | None], what: str) -> T:
        """What `ready` gives, once it does. Raises TransientError where a process died, or nothing happens any more."""
        self.news = time.monotonic()
        while (value := ready()) is None:
            logs = f"{self.store.path(layout.DEMO)}/*.log"
            for name, process in self.processes.items():
                if process.poll() is not None:
                    raise TransientError(f"the {name} ended with code {process.returncode}; {logs} says why; try again")
            if time.monotonic() - self.news > QUIET_SECONDS:
                raise TransientError(f"nothing happened for {QUIET_SECONDS:.0f} s, waiting for {what}; look at {logs}")
            time.sleep(POLL_SECONDS)
        return value


def close_the_loop(store: Store, report: Report) -> tuple[Step, ...]:
    """Run the demo. Every step that is done already is found done, so running it again is quick.

    Raises:
        LineError: the line does not load.
        TransientError: something did not happen; the text says what and where to look.
    """
    line = find_line(LINE)
    folder = Path(store.path(layout.DEMO))
    _check_line_loads()
    report("writing three batches of handwritten digits as PNG class folders")
    paths = write_batches(folder / "batches")
    ensure_repository(store, [line.name])
    with contextlib.ExitStack() as stack:
        stage = _Stage(store, stack.enter_context(open_instance()), line, report)
        stack.enter_context(Watcher(stage.instance, stage.report))
        stack.enter_context(_daemon(stage, folder))
        stack.enter_context(_device(stage, folder))
        return tuple(_one(stage, path) for path in paths)


def _one(stage: _Stage, path: Path) -> Step:
    began = time.monotonic()
    store, name = stage.store, stage.line.name
    landed = land(bind(store, stage.line), path)
    stage.report(f"{path.name} landed: {landed.files} files{'' if landed.new else ' (known already)'}")
    verdict = stage.wait(lambda: LineStore(store, name).verdict(landed.batch), f"a verdict on {path.name}")
    stage.wait(lambda: _runs_ended(stage, landed.batch), f"the end of {path.name}'s run")
    stage.report(f"{path.name} is {verdict.state}: {verdict.why}")
    device = None
    if verdict.state == "accepted":
        stage.wait(lambda: _retrained(stage, landed.batch), f"the retrain on {path.name}")
        device = stage.wait(lambda: _activated(stage, landed.batch), "the device's report")
        stage.report(f"{DEVICE} activated release {device.release[:12]} on {device.target}")
    return Step(path.name, verdict, device, time.monotonic() - began)


def _runs_ended(stage: _Stage, batch: str) -> bool | None:
    """Whether no run that judges the batch is under way: its verdict stands a moment before its run has ended."""
    return all(run.is_finished for run in runs_with_tag(stage.instance, BATCH_TAG, batch)) or None


def _retrained(stage: _Stage, batch: str) -> bool | None:
    most = stage.line.config.retrain.max_retries
    claims = [
        claim for _, claim in claim_journal(LineStore(stage.store, stage.line.name)).after(0) if batch in claim.batches
    ]
    states = [claim_state(stage.instance, claim, most)[0] for claim in claims]
    if states and states[-1] is ClaimState.GIVEN_UP:
        raise TransientError(f"the retrain on {batch[:12]}: {states[-1].value}; `make ui` shows its runs")
    return True if ClaimState.DONE in states else None


def _activated(stage: _Stage, batch: str) -> DeviceReport | None:
    """The newest report with which the demo device activated a release that was trained on `batch`."""
    store = stage.store
    made = {
        item.release
        for item in releases(LineStore(store, stage.line.name))
        if batch in item.manifest.provenance.batches
    }
    folder = layout.device_reports(DEVICE)
    for name in reversed(store.names(folder)):
        report = store.load(f"{folder}/{name}", ReceivedReport).report
        if report.event == "activated" and report.release in made:
            return report
    return None


@contextlib.contextmanager
def _daemon(stage: _Stage, folder: Path) -> Iterator[None]:
    """A Dagster daemon, unless one works on this state already."""
    with contextlib.ExitStack() as stack:
        if stack.enter_context(daemon_lock(stage.store)):
            stage.report("starting the Dagster daemon")
            command = [script("dagster-daemon"), "run", "-w", str(LINES_FOLDER.parent.parent / "workspace.yaml")]
            seconds = os.environ.get("EDGELOOP_SENSOR_SECONDS", "2")
            environment = {"EDGELOOP_SENSOR_SECONDS": seconds, LINES_VARIABLE: stage.line.name}
            process = stack.enter_context(supervised(command, folder / "daemon.log", environment))
            stage.processes["Dagster daemon"] = process
        else:
            stage.report("using the Dagster daemon that is running already")
        yield


@contextlib.contextmanager
def _device(stage: _Stage, folder: Path) -> Iterator[None]:
    """The device gateway on a free port of loopback, and a device's agent in its own process."""
    name, group = stage.line.name, stage.line.config.rollout.group
    with Server(device_app(stage.store)) as server:
        agent = [script("edgeloop-agent"), "--home", str(folder / "device")]
        enroll = [*agent, "enroll", "--server", server.url, "--device", DEVICE, "--line", name, "--group", group]
        with supervised(enroll, folder / "device.log") as process:
            if process.wait(timeout=QUIET_SECONDS) != 0:
                raise TransientError(f"the device could not enroll; {folder / 'device.log'} says why")
        stage.report(f"{DEVICE} is enrolled and polls {server.url}")
        with supervised([*agent, "run", "--interval", "2"], folder / "device.log") as process:
            stage.processes["device's agent"] = process
            yield


def _check_line_loads() -> None:
    """Say at once why the line's assets cannot be built, instead of waiting for a run that never comes."""
    for spec in definitions().resolve_all_asset_specs():
        if spec.key.path == [LINE, "broken_line"]:
            raise LineError(spec.description or f"line {LINE} does not load")
