"""One worker per line on one machine: the sensors and `edgeloop run` exclude each other.

On several machines nothing needs this lock to be right: verdicts are written once and a claim is started once. It
only spares work.
"""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from assets.store import Store


@contextlib.contextmanager
def line_lock(store: Store, line: str) -> Iterator[bool]:
    """Hold the line's lock if it is free; yields whether it is held. Freed by the kernel when the process ends."""
    if not store.local:
        yield True
        return
    path = Path(store.path(f"locks/{line}.lock"))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
