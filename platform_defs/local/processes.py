"""Child processes that the demo and `edgeloop ui` start and end, with everything those started in turn."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from edge.child import python_module, start_child, stop_child


def script(name: str) -> str:
    """The path of a command that is installed beside this Python."""
    return str(Path(sys.executable).parent / name)


@contextlib.contextmanager
def supervised(
    command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command under the supervisor, its output appended to `log`, and end it on leaving.

    Should this process be killed, the supervisor notices and ends the command too. Dagster's telemetry is off: its
    uploader heeds this variable only, not dagster.yaml.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = start_child(
            python_module("assets.processes.supervisor", *command),
            output,
            subprocess.STDOUT,
            environment={**os.environ, "DAGSTER_DISABLE_TELEMETRY": "yes", **(environment or {})},
            own_session=False,
        )
    try:
        yield process
    finally:
        stop_child(process)
