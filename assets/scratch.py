"""A folder for what is written on the way and gone when the work is done, also after a kill."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

from assets.store import Store

_LOCK = ".lock"


@contextlib.contextmanager
def scratch_folder(store: Store, purpose: str) -> Iterator[Path]:
    """A new empty folder, removed on the way out: below the state where that is local, else a temporary one.

    It is locked while it is used. Folders whose process was killed are not, and are removed by whoever comes next.
    """
    root = Path(store.path("scratch")) if store.local else Path(tempfile.gettempdir()) / "edgeloop-scratch"
    root.mkdir(parents=True, exist_ok=True)
    remove_abandoned(root)
    folder = root / f"{purpose}-{uuid.uuid4().hex}"
    folder.mkdir(mode=0o700)
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def remove_abandoned(root: Path) -> None:
    """Remove scratch folders that no living process holds."""
    for lock in root.glob(f"*/{_LOCK}"):
        try:
            descriptor = os.open(lock, os.O_RDWR)
        except OSError:
            continue  # another process was quicker
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            continue  # in use
        else:
            shutil.rmtree(lock.parent, ignore_errors=True)
        finally:
            os.close(descriptor)
