"""Streams into and out of the store, for files too large to pass around as bytes."""

from __future__ import annotations

import ctypes
import hashlib
import os
import sys
import uuid
from pathlib import Path
from typing import Any, BinaryIO

import fsspec

from assets.storage.store import Store

CHUNK = 1024**2


def _filesystem(store: Store) -> Any:
    return fsspec.core.url_to_fs(store.root)[0]


def file_size(store: Store, key: str) -> int | None:
    """Bytes of a plain file; None where there is none. A link, folder, pipe or device is not a plain file."""
    try:
        info = _filesystem(store).info(store.path(key))
    except (FileNotFoundError, NotADirectoryError):
        return None
    if info["type"] != "file" or info.get("islink"):
        return None
    return int(info["size"])


def holds(store: Store, key: str, sha256: str, size: int) -> bool:
    """Whether `key` is a plain file of that size and digest; its bytes are read only where the size is right."""
    if file_size(store, key) != size:
        return False
    with _filesystem(store).open(store.path(key), "rb") as stream:
        return hash_stream(stream, size) == (sha256, size)


def copy_in(store: Store, key: str, source: BinaryIO, limit: int) -> tuple[str, int]:
    """Stream `source` to `key`, which holds all of it or is not there; durable only after `make_durable`.

    Args:
        limit: bytes; copying stops beyond it, and nothing is kept.

    Returns:
        SHA-256 and size of what was copied.
    """
    if not store.local:
        with _filesystem(store).open(store.path(key), "wb") as remote:
            return hash_stream(source, limit, remote)
    path = Path(store.path(key))
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".tmp-{uuid.uuid4().hex}")
    try:
        with temporary.open("xb") as file:
            result = hash_stream(source, limit, file)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return result


def move_in(store: Store, key: str, file: Path) -> None:
    """Move our own file to `key` of a local store, in one step on one file system; durable after `make_durable`."""
    path = Path(store.path(key))
    path.parent.mkdir(parents=True, exist_ok=True)
    file.replace(path)


def hash_stream(source: BinaryIO, limit: int, copy: BinaryIO | None = None) -> tuple[str, int]:
    """SHA-256 and size of a stream, copied on the way. Raises OverflowError beyond `limit` bytes."""
    sha256, size = hashlib.sha256(), 0
    while chunk := source.read(CHUNK):
        size += len(chunk)
        if size > limit:
            raise OverflowError(f"more than {limit:,} bytes")
        sha256.update(chunk)
        if copy is not None:
            copy.write(chunk)
    return sha256.hexdigest(), size


def make_durable(store: Store, prefix: str) -> None:
    """Have everything below `prefix` survive a power cut. Files first, then the folders that name them.

    Done once for a whole batch, and where Linux can, for its whole file system in one call: syncing 100,000 files one
    by one takes minutes.
    """
    if not store.local:
        return
    root = Path(store.path(prefix))
    if _sync_all(root):
        return
    for folder, _, files in os.walk(root, topdown=False):
        for name in files:
            if not name.startswith(".tmp-"):  # another writer's, about to be renamed
                _sync(Path(folder) / name)
        _sync(Path(folder))
    for folder_above in root.parents:
        _sync(folder_above)
        if str(folder_above) == store.folder:
            break


def _sync_all(folder: Path) -> bool:
    """Have the whole file system of a folder survive a power cut; False where the system cannot say that it did."""
    syncfs = getattr(ctypes.CDLL(None), "syncfs", None) if sys.platform == "linux" else None
    if syncfs is None:
        return False
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return bool(syncfs(descriptor) == 0)
    finally:
        os.close(descriptor)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
