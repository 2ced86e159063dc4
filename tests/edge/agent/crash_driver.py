"""Kills a polling agent with SIGKILL before each of its visible steps in turn, and checks what is left.

`python crash_driver.py ENROLLED_HOME WORK OLD NEW`: OLD is in use in ENROLLED_HOME, the server offers NEW. Prints JSON:
how often it killed, and every violation. It forks, so it runs in a process without threads.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge.agent.home import Home
from edge.agent.poll import poll
from edge.agent.slots import verify_slot
from edge.contracts import SelfTest
from edge.errors import EdgeError

STEPS = ("replace", "rename", "symlink", "link", "unlink", "mkdir", "rmdir")
"""What later processes can see; a kill before an fsync is the same as one before the next of these calls."""


def trial(slot: Path, target: str) -> SelfTest:
    return SelfTest(True, "0" * 64, 1, 1.0, 0.0)


def kill_before(step: int) -> None:
    """Let this process die just before its `step`-th visible call."""
    calls = 0

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **options)

        return call

    for name in STEPS:
        setattr(os, name, counted(getattr(os, name)))


def killed(home: Home, step: int) -> bool:
    """Poll in a fork that is killed before its `step`-th visible call; False where it ended before that."""
    child = os.fork()
    if child == 0:
        kill_before(step)
        try:
            poll(home, trial)
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def violations(home: Home, old: str, new: str) -> list[str]:
    """What a crash left that it must not leave, before and after the next poll."""
    found = []
    try:
        state = home.state()
        if state.active not in {old, new}:
            found.append(f"active is {state.active!r}")
        verify_slot(home, state.active, state.target)  # what `predict` does: it must work before any mending
        if not (home.link / "manifest.json").is_file():
            found.append("the link leads nowhere")
        reports = state.reports
        outcome = poll(home, trial)
        if outcome.release != new or home.state().active != new:
            found.append(f"not healed: {outcome.event}: {outcome.reason}")
        if home.state().reports <= reports:
            found.append("a report's sequence was used twice")
        if home.link.resolve() != home.slot(new).resolve():
            found.append("the link is not healed")
        if {path.name for path in home.slots.iterdir()} != {old, new}:
            found.append(f"slots: {sorted(path.name for path in home.slots.iterdir())}")
        if left := [path.name for path in home.path.rglob(".tmp-*")]:
            found.append(f"left behind: {left}")
    except (EdgeError, OSError) as error:
        found.append(f"{type(error).__name__}: {error}")
    return found


def main(template: str, work: str, old: str, new: str) -> None:
    found: dict[int, list[str]] = {}
    step = 1
    while True:
        home = Home(Path(work, str(step)))
        shutil.copytree(template, home.path, symlinks=True)
        if not killed(home, step):
            break
        if wrong := violations(home, old, new):
            found[step] = wrong
        shutil.rmtree(home.path)
        step += 1
    print(json.dumps({"kills": step - 1, "violations": found}))


if __name__ == "__main__":
    main(*sys.argv[1:])
