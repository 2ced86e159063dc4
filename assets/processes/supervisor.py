"""Runs a command and ends it, with everything it started, when whoever asked for it goes away.

    python -m assets.processes.supervisor COMMAND [ARG ...]

A cancelled or killed run would otherwise leave its trainer behind, holding the GPU. The command runs in a session of
its own; this process adopts its orphans (PR_SET_CHILD_SUBREAPER), watches its own parent, and on SIGTERM, SIGINT or a
dead parent ends all descendants: asked first, killed after `GRACE_SECONDS`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

from edge.child import adopt_orphans, die_with_parent

GRACE_SECONDS = 2.0
POLL_SECONDS = 0.2


def _descendants(pid: int) -> list[int]:
    """Every living descendant of `pid`, children before their children."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if fields[0] != "Z":
                parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found: list[int] = []
    queue = [pid]
    while queue:
        children = parents.get(queue.pop(0), [])
        found += children
        queue += children
    return found


def _signal_all(signum: int) -> bool:
    """Send `signum` to every descendant; False where there is none left."""
    alive = _descendants(os.getpid())
    for pid in alive:
        try:
            os.kill(pid, signum)
        except ProcessLookupError:
            continue
    return bool(alive)


def _end_all() -> None:
    deadline = time.monotonic() + GRACE_SECONDS
    _signal_all(signal.SIGTERM)
    while time.monotonic() < deadline and _descendants(os.getpid()):
        time.sleep(POLL_SECONDS / 4)
    while _signal_all(signal.SIGKILL):
        time.sleep(POLL_SECONDS / 4)


def main(command: list[str]) -> int:
    """Run `command`; returns its exit code, or 128 + signal where it was ended by one."""
    if not command:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    parent = os.getppid()
    stop: list[int] = []

    def on_signal(signum: int, _frame: FrameType | None) -> None:
        stop.append(signum)

    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(signum, on_signal)
    adopt_orphans()
    child = subprocess.Popen(command, start_new_session=True, preexec_fn=die_with_parent)  # noqa: PLW1509 -- no threads here
    while (code := child.poll()) is None and not stop and os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    _end_all()
    if code is None:
        child.wait()
        return 128 + (stop[0] if stop else signal.SIGTERM)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
