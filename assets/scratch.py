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

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


@contextlib.contextmanager
def scratch_folder(store: Store, purpose: str) -> Iterator[Path]:
    """A new empty folder, removed on the way out: below the state where that is local, else a temporary one.

    It is locked itself while it is used, as a lock file in it would go before the rest. Folders whose process was
    killed are not locked, and are removed by whoever comes next.
    """
    root = Path(store.path("scratch")) if store.local else Path(tempfile.gettempdir()) / "edgeloop-scratch"
    root.mkdir(parents=True, exist_ok=True)
    remove_abandoned(root)
    folder, lock = _claim(root, purpose)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def remove_abandoned(root: Path) -> None:
    """Remove scratch folders of this kind, named by their purpose, that no living process holds."""
    for folder in root.glob("*-*"):
        try:
            lock = os.open(folder, _FOLDER)
        except OSError:
            continue  # another process was quicker, or it is no folder
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            continue  # in use
        else:
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(lock)


def _claim(root: Path, purpose: str) -> tuple[Path, int]:
    """A new folder, and the descriptor that holds its lock."""
    while True:
        folder = root / f"{purpose}-{uuid.uuid4().hex}"
        folder.mkdir(mode=0o700)
        with contextlib.suppress(FileNotFoundError):
            lock = os.open(folder, _FOLDER)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if folder.exists():  # else a cleaner was quicker than the lock
                return folder, lock
            os.close(lock)
