"""kill -9 before every durable step of a poll, and of the running daemon: what served before still serves."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from assets.feedback.documents import report_journal
from edge.agent.enrol import enrol
from edge.agent.home import Home
from edge.agent.poll import poll
from edge.contracts import SelfTest
from tests.edge.agent.toy_releases import GROUP, LINE, Platform


def quick_trial(slot: Path, target: str) -> SelfTest:
    return SelfTest(True, "0" * 64, 1, 1.0, 0.0)


@pytest.fixture
def device(platform: Platform, home: Home) -> Home:
    enrol(home, platform.url, "gate-7", LINE, GROUP, None)
    return home


def test_killed_before_every_durable_step(platform: Platform, device: Home, tmp_path: Path) -> None:
    old = platform.release(1, 1.0)
    poll(device, quick_trial)
    new = platform.release(2, 2.0)
    driver = Path(__file__).with_name("crash_driver.py")
    work = tmp_path / "work"
    work.mkdir()
    done = subprocess.run(
        [sys.executable, str(driver), str(device.path), str(work), old.release, new.release],
        capture_output=True,
        text=True,
        timeout=1500,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["violations"] == {}
    assert told["kills"] > 15


def start_daemon(device: Home) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "edge.agent.cli", "--home", str(device.path), "run", "--interval", "1"]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def events(platform: Platform) -> set[tuple[str, str]]:
    """What the platform was told, as (event, release in use)."""
    return {(entry.event, entry.release) for _, entry in report_journal(platform.store).after(0)}


def wait_for(device: Home, release: str, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while device.state().active != release:
        assert time.monotonic() < deadline, "the daemon did not follow"
        time.sleep(0.05)


def test_daemon_follows_survives_kill_and_stops_cleanly(platform: Platform, device: Home) -> None:
    first = platform.release(1, 1.0)
    daemon = start_daemon(device)
    try:
        wait_for(device, first.release)
        daemon.kill()
        daemon.communicate()
        second = platform.release(2, 2.0)
        daemon = start_daemon(device)
        wait_for(device, second.release)
        said = {("activated", first.release), ("activated", second.release)}
        deadline = time.monotonic() + 120
        while not said <= events(platform):
            assert time.monotonic() < deadline, f"the platform heard only {events(platform)}"
            time.sleep(0.05)
        daemon.send_signal(signal.SIGTERM)
        _, log = daemon.communicate(timeout=120)
        assert daemon.returncode == 0
        assert "stopped" in log
        assert "Traceback" not in log
    finally:
        if daemon.poll() is None:
            daemon.kill()
            daemon.communicate()
    assert not list(device.slots.glob(".tmp-*"))
