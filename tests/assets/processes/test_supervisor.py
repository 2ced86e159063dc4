"""Whoever asked for a step goes away: so does everything the step started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

TREE = """
import subprocess, sys, time, os, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
code = "import signal,time,sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
children = [
    subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=bool(i)) for i in range(2)
]
for child in children:
    child.stdout.readline()
open(sys.argv[1] + ".part", "w").write(" ".join(str(p) for p in [os.getpid(), *[c.pid for c in children]]))
os.rename(sys.argv[1] + ".part", sys.argv[1])
time.sleep(600)
"""


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _wait_for(path: Path) -> list[int]:
    deadline = time.monotonic() + 120
    while not path.exists():
        assert time.monotonic() < deadline, "the tree of processes did not start"
        time.sleep(0.05)
    return [int(pid) for pid in path.read_text().split()]


def _assert_gone(pids: list[int]) -> None:
    deadline = time.monotonic() + 120
    while any(_alive(pid) for pid in pids):
        assert time.monotonic() < deadline, f"still alive: {[pid for pid in pids if _alive(pid)]}"
        time.sleep(0.05)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_whole_tree(tmp_path: Path, signum: signal.Signals) -> None:
    pids_file = tmp_path / "pids"
    supervisor = subprocess.Popen(
        [sys.executable, "-m", "assets.processes.supervisor", sys.executable, "-c", TREE, str(pids_file)]
    )
    pids = _wait_for(pids_file)
    assert all(_alive(pid) for pid in pids)
    supervisor.send_signal(signum)
    assert supervisor.wait(timeout=120) == 128 + signum
    _assert_gone(pids)


def test_a_killed_parent_ends_the_whole_tree(tmp_path: Path) -> None:
    pids_file = tmp_path / "pids"
    code = (
        "import subprocess,sys,time; "
        "subprocess.Popen([sys.executable,'-m','assets.processes.supervisor',"
        "sys.executable,'-c',sys.argv[1],sys.argv[2]]); "
        "time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, TREE, str(pids_file)])
    pids = _wait_for(pids_file)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    _assert_gone(pids)


@pytest.mark.parametrize("code", [0, 3])
def test_the_exit_code_is_the_commands(code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "assets.processes.supervisor", sys.executable, "-c", f"raise SystemExit({code})"],
        check=False,
    )
    assert done.returncode == code


def test_an_orphan_of_a_finished_command_is_ended(tmp_path: Path) -> None:
    pids_file = tmp_path / "pid"
    code = (
        "import subprocess,sys; p=subprocess.Popen(['sleep','600'],start_new_session=True); "
        "open(sys.argv[1],'w').write(str(p.pid))"
    )
    subprocess.run(
        [sys.executable, "-m", "assets.processes.supervisor", sys.executable, "-c", code, str(pids_file)], check=True
    )
    _assert_gone([int(pids_file.read_text())])
