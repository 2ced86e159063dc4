"""Closes the loop once: lands three batches and waits until the device runs what came of them."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import dagster as dg

from assets.errors import LineError, TransientError
from assets.feedback.intake import latest_report
from assets.ingest.landing import land
from assets.line import Line
from assets.quality.contract import BatchVerdict, read_verdict
from assets.release.repository import ensure_repository
from assets.release.rollout import releases
from assets.store import Store
from assets.training.retrain import claim_journal
from edge.contracts import DeviceReport
from platform_defs.automation.runs import ClaimState, claim_state
from platform_defs.catalog import LINES_FOLDER, find_line
from platform_defs.demo.data import write_batches
from platform_defs.instance import daemon_lock, open_instance
from platform_defs.processes import script, supervised
from platform_defs.serve import Server, device_app
from platform_defs.watch import Watcher

DEVICE = "demo-device"
LINE = "digits"
BATCH_SECONDS, RETRAIN_SECONDS, DEVICE_SECONDS = 120.0, 400.0, 90.0
POLL_SECONDS = 0.5
Report = Callable[[str], None]
T = TypeVar("T")


@dataclass(frozen=True)
class Step:
    """One landed batch and what came of it.

    Attributes:
        name: "batch-1", "batch-2" or "batch-3".
        device: the device's report that settled this batch; None where the batch was blocked.
        seconds: from landing to the device's report, or to the verdict.
    """

    name: str
    verdict: BatchVerdict
    device: DeviceReport | None
    seconds: float


def close_the_loop(store: Store, report: Report) -> tuple[Step, ...]:
    """Run the demo. Every step that is done already is found done, so running it again is quick.

    Raises:
        TransientError: something did not happen in time; the text says what and where to look.
    """
    line = find_line(LINE)
    folder = Path(store.path("demo"))
    _check_line_loads()
    report("writing three batches of handwritten digits as PNG class folders")
    paths = write_batches(folder / "batches")
    ensure_repository(store, [line.name])
    with contextlib.ExitStack() as stack:
        instance = stack.enter_context(open_instance())
        stack.enter_context(Watcher(instance, report))
        stack.enter_context(_daemon(store, folder, report))
        stack.enter_context(_device(store, line, folder, report))
        return tuple(_one(store, instance, line, path, report) for path in paths)


def _one(store: Store, instance: dg.DagsterInstance, line: Line, path: Path, report: Report) -> Step:
    began = time.monotonic()
    landed = land(store, line, path)
    report(f"{path.name} landed: {landed.files} files{'' if landed.new else ' (known already)'}")
    verdict = _wait(
        lambda: read_verdict(store, line.name, landed.batch), BATCH_SECONDS, f"a verdict on {path.name}", store
    )
    report(f"{path.name} is {verdict.state}: {verdict.why}")
    device = None
    if verdict.state == "accepted":
        retrained = partial(_retrained, store, instance, line, landed.batch)
        _wait(retrained, RETRAIN_SECONDS, f"the retrain on {path.name}", store)
        device = _wait(lambda: _settled(store, line, landed.batch), DEVICE_SECONDS, "the device's report", store)
        report(f"{DEVICE} {device.event} release {device.release[:12]} on {device.target}")
    return Step(path.name, verdict, device, time.monotonic() - began)


def _retrained(store: Store, instance: dg.DagsterInstance, line: Line, batch: str) -> bool | None:
    most = line.config.retrain.max_retries
    claims = [claim for _, claim in claim_journal(store, line.name).after(0) if batch in claim.batches]
    states = [claim_state(instance, claim, most)[0] for claim in claims]
    if states and states[-1] is ClaimState.GIVEN_UP:
        raise TransientError(f"the retrain on {batch[:12]} failed too often; `make ui` shows its runs")
    return True if ClaimState.DONE in states else None


def _settled(store: Store, line: Line, batch: str) -> DeviceReport | None:
    """The demo device's newest report, once it runs a release that was trained on `batch`."""
    made = {record.release for record in releases(store, line.name) if batch in record.manifest.provenance.batches}
    heard = latest_report(store, DEVICE)
    return heard.report if heard is not None and heard.report.release in made else None


def _wait(ready: Callable[[], T | None], seconds: float, what: str, store: Store) -> T:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if (value := ready()) is not None:
            return value
        time.sleep(POLL_SECONDS)
    raise TransientError(
        f"waited {seconds:.0f} s for {what} in vain; look at {store.path('demo')}/*.log and at `make ui`"
    )


@contextlib.contextmanager
def _daemon(store: Store, folder: Path, report: Report) -> Iterator[None]:
    """A Dagster daemon, unless one works on this state already."""
    with contextlib.ExitStack() as stack:
        if stack.enter_context(daemon_lock(store)):
            report("starting the Dagster daemon")
            command = [script("dagster-daemon"), "run", "-w", str(LINES_FOLDER.parent.parent / "workspace.yaml")]
            environment = {"EDGELOOP_SENSOR_SECONDS": os.environ.get("EDGELOOP_SENSOR_SECONDS", "2")}
            stack.enter_context(supervised(command, folder / "daemon.log", environment))
        else:
            report("using the Dagster daemon that is running already")
        yield


@contextlib.contextmanager
def _device(store: Store, line: Line, folder: Path, report: Report) -> Iterator[None]:
    """The device gateway on a free port of loopback, and a device's agent in its own process."""
    home = folder / "device"
    with Server(device_app(store)) as server:
        agent = [script("edgeloop-agent"), "--home", str(home)]
        group = line.config.rollout.group
        enroll = [*agent, "enroll", "--server", server.url, "--device", DEVICE, "--line", line.name, "--group", group]
        with supervised(enroll, folder / "device.log") as process:
            if process.wait(timeout=60) != 0:
                raise TransientError(f"the device could not enroll; {folder / 'device.log'} says why")
        report(f"{DEVICE} is enrolled and polls {server.url}")
        with supervised([*agent, "run", "--interval", "2"], folder / "device.log"):
            yield


def _check_line_loads() -> None:
    """Say at once why the line's assets cannot be built, instead of waiting for a run that never comes."""
    from platform_defs.definitions import definitions

    for spec in definitions().resolve_all_asset_specs():
        if spec.key.path == [LINE, "broken_line"]:
            raise LineError(spec.description or f"line {LINE} does not load")
