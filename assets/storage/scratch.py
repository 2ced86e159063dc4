"""Folders for what lies on disk only while a source is read: unpacked archives, files fetched from elsewhere.

A folder belongs to the process that holds the lock beside it. The system drops the lock when the process ends, however
it ends, so what a killed process left behind is known and removed by the next one.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

from assets.errors import TransientError
from assets.storage import layout
from assets.storage.store import Store
from edge.lock import take_lock


def scratch_root(store: Store | None) -> Path:
    """Where scratch folders lie: beside the landing zone, so that files can be moved there, else in $TMPDIR."""
    if store is not None and store.local:
        return Path(store.path(layout.SCRATCH))
    return Path(tempfile.gettempdir()) / f"edgeloop-scratch-{os.getuid()}"


@contextlib.contextmanager
def scratch_folder(root: Path) -> Iterator[Path]:
    """A new, empty folder below `root`, removed at the end; those of dead processes are removed at the begin.

    Raises:
        TransientError: it cannot be made, e.g. the disk is full.
    """
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        if root.is_symlink() or root.stat().st_uid != os.getuid():
            raise TransientError(f"{root}: is not our own folder; remove it, or set TMPDIR")
        remove_stale(root)
        folder, lock = _claim(root)
    except OSError as error:
        raise TransientError(f"{root}: no scratch folder can be made there ({error}); make room") from error
    try:
        yield folder
    finally:
        _remove(folder)
        os.close(lock)


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """What is raised as OSError inside is the folder's fault: TransientError, worth another try once there is room."""
    try:
        yield
    except OSError as error:
        raise TransientError(f"{folder}: cannot be written ({error.strerror}); make room, then try again") from error


def remove_stale(root: Path) -> int:
    """Remove folders whose process is gone; returns how many."""
    removed = 0
    for lock_file in root.glob("*.lock"):
        try:
            lock = os.open(lock_file, os.O_RDWR | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            if take_lock(lock, wait_seconds=0):
                _remove(lock_file.with_suffix(""))
                removed += 1
        finally:
            os.close(lock)
    return removed


def _claim(root: Path) -> tuple[Path, int]:
    while True:
        folder = root / uuid.uuid4().hex
        lock_file = folder.with_suffix(".lock")
        lock = os.open(lock_file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        if take_lock(lock, wait_seconds=0) and lock_file.exists():  # else a cleaner was faster than our lock
            folder.mkdir(mode=0o700)
            return folder, lock
        os.close(lock)


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    if not folder.exists():
        folder.with_suffix(".lock").unlink(missing_ok=True)
