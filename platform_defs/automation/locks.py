"""One worker per line on one machine: the sensors and `edgeloop run` exclude each other.

On several machines nothing needs this lock to be right: verdicts are written once and a claim is started once. It
only spares work.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from assets.records.line_store import LineStore
from assets.storage import layout
from edge.lock import lock_file

BUSY = "another process works on this line now, `edgeloop run` or another sensor"
SENSOR_SECONDS = 5.0
"""A sensor holds the lock for less; whoever holds it longer is `edgeloop run`."""


@contextlib.contextmanager
def line_lock(line: LineStore, wait_seconds: float = 0.0) -> Iterator[bool]:
    """Hold the line's lock; yields whether it is held. Freed by the kernel when the process ends.

    Args:
        wait_seconds: how long to wait until it is free.
    """
    if not line.store.local:
        yield True
        return
    path = Path(line.store.path(layout.lock(line.name)))
    path.parent.mkdir(parents=True, exist_ok=True)
    with lock_file(path, wait_seconds) as held:
        yield held
