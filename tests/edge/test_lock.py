"""The file lock, between real processes."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.lock import lock_file, take_lock

HOLD = "import sys; from edge.lock import lock_file\nwith lock_file(sys.argv[1]): print('held', flush=True); input()"
WAIT = "import sys; from edge.lock import lock_file\nwith lock_file(sys.argv[1]): print('held', flush=True)"


@contextlib.contextmanager
def _running(code: str, path: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def _held_line(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stdout is not None
    return process.stdout.readline()


def test_one_process_holds_it_and_its_end_frees_it(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    with _running(HOLD, path) as other:
        assert _held_line(other) == b"held\n"
        with lock_file(path, wait_seconds=0) as held:
            assert not held
        with lock_file(path, wait_seconds=0.1) as held:
            assert not held
        other.send_signal(signal.SIGKILL)
        with lock_file(path) as held:  # waits until the kernel frees it
            assert held
    with lock_file(path, wait_seconds=0) as held:
        assert held


def test_who_waits_gets_it_when_it_is_let_go(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    with contextlib.ExitStack() as mine:
        assert mine.enter_context(lock_file(path))
        with lock_file(path, wait_seconds=0) as second:
            assert not second, "one file, one holder: not twice in a process either"
        with _running(WAIT, path) as other:
            assert other.poll() is None
            mine.close()
            assert _held_line(other) == b"held\n"
            assert other.wait() == 0


def test_a_process_that_is_started_while_it_is_held_does_not_keep_it(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    with lock_file(path):
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False)
    with lock_file(path, wait_seconds=60) as held:  # the kernel may take a moment to close it in there
        assert held
    child.communicate(b"\n")


def test_the_file_is_made_with_its_mode_and_kept(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    with lock_file(path, mode=0o600):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.exists()
    with pytest.raises(FileNotFoundError), lock_file(tmp_path / "missing" / ".lock"):
        pass


def test_the_lock_of_an_open_file_lasts_until_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    assert take_lock(descriptor, wait_seconds=0)
    with lock_file(path, wait_seconds=0) as held:
        assert not held
    os.close(descriptor)
    with lock_file(path, wait_seconds=0) as held:
        assert held
