"""The one file lock: of all processes of a machine, one holds it. The kernel frees it when that process ends, however.

It excludes whoever asks for it, and nobody else: the file itself may be read and written by anyone.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

POLL_SECONDS = 0.05


@contextlib.contextmanager
def lock_file(path: str | Path, wait_seconds: float | None = None, mode: int = 0o666) -> Iterator[bool]:
    """Hold the lock of a file, which is made where it is missing; its folder must be there.

    Args:
        wait_seconds: see `take_lock`.
        mode: of a file that is made, less the umask.

    Yields:
        Whether the lock is held.

    Raises:
        OSError: the file cannot be opened.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, mode)
    try:
        yield take_lock(descriptor, wait_seconds)
    finally:
        os.close(descriptor)


def take_lock(descriptor: int, wait_seconds: float | None = None) -> bool:
    """Take the lock of an open file, until it is closed; returns whether it is held.

    Args:
        wait_seconds: how long to wait while another holds it; 0 asks once, None waits until it is free.
    """
    if wait_seconds is None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        return True
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(POLL_SECONDS)
        else:
            return True
