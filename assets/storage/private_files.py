"""Secrets that never enter the store: a folder of this machine that only its owner may use."""

from __future__ import annotations

import os
import stat
import uuid
from pathlib import Path

from assets.errors import RejectedError
from assets.storage import layout
from assets.storage.store import Store

KEYS_VARIABLE = "EDGELOOP_KEYS"


def keys_folder(store: Store) -> Path:
    """Where the private keys are: $EDGELOOP_KEYS, else `keys/` in a store that is a folder of this machine.

    Raises:
        RejectedError: the store is elsewhere and $EDGELOOP_KEYS does not say where the keys are.
    """
    if folder := os.environ.get(KEYS_VARIABLE):
        return Path(folder)
    if not store.local:
        raise RejectedError(
            f"{store.root}: private keys are kept in a folder of this machine, never in a shared store; "
            f"set {KEYS_VARIABLE} to that folder"
        )
    return Path(store.path(layout.KEYS))


def check_private(path: Path) -> None:
    """Raise RejectedError where anyone but its owner may use `path`, or where it is a link."""
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode):
        raise RejectedError(f"{path}: is a symbolic link; private keys are plain files in a plain folder")
    if found.st_uid != os.geteuid():
        raise RejectedError(f"{path}: belongs to another user (id {found.st_uid}); chown it to the one who signs")
    if found.st_mode & 0o077:
        wanted = "700" if path.is_dir() else "600"
        raise RejectedError(
            f"{path}: others may use it (mode {stat.S_IMODE(found.st_mode):o}); run: chmod {wanted} '{path}', "
            "and make new keys if someone may have read these"
        )


def make_private_folder(folder: Path) -> None:
    """Make a folder that only its owner may use. Raises RejectedError where it exists and others may use it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    check_private(folder)


def create_private(path: Path, data: bytes) -> None:
    """Write `path` with mode 600 unless it exists: complete or not at all, also when two processes try."""
    temporary = path.with_name(f".tmp-{uuid.uuid4().hex}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        try:
            path.hardlink_to(temporary)
        except FileExistsError:
            return
    finally:
        temporary.unlink(missing_ok=True)
