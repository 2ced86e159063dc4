"""The files of drops in a line's inbox: the stamp each is known by, and clearing them away, on any file system.

On a folder of this machine nothing follows a link: each folder on the way to a file is opened as a folder, so that a
drop that was replaced by a link meanwhile cannot have a file elsewhere removed.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec

from assets.records.limits import MAX_DEPTH, MAX_FILES
from assets.storage import layout
from assets.storage.store import Store

MAX_ENTRIES = 2 * MAX_FILES
"""Entries of one drop, files and others, that are looked at."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


@dataclass(frozen=True)
class InboxFiles:
    """The inbox of line `line`. Paths are relative to it, and begin with a drop's name."""

    store: Store
    line: str

    def source(self, name: str) -> str | Path:
        """What to land for drop `name`."""
        key = f"{self._prefix}/{name}"
        return Path(self.store.path(key)) if self.store.local else f"{self.store.root.rstrip('/')}/{key}"

    def files(self, name: str, marker: str | None = None) -> dict[str, str] | None:
        """The stamp (size, times) of each file of a drop, by its path, and of its marker; None where it is no drop.

        Stops behind `MAX_ENTRIES`. Folders that hold nothing do not count; links and pipes inside do.
        """
        found: dict[str, str] = {}
        try:
            for path, stamp in self._local(name) if self.store.local else self._remote(name):
                found[path] = stamp
                if len(found) > MAX_ENTRIES:
                    return found
            if found and marker is not None:
                found |= dict(self._local(marker) if self.store.local else self._remote(marker))
        except _NotPlainError:
            return None
        except OSError:  # it is being moved or removed at this moment
            return {}
        return found

    def clear(self, path: str, stamp: str, aside: str | None) -> None:
        """Remove a file whose stamp is still this one, or move it below the store's key `aside`; else leave it.

        Raises:
            OSError: it may not be removed.
        """
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            if self.store.local:
                self._clear_local(path, stamp, aside)
            elif dict(self._remote(path)).get(path) == stamp:
                if aside is not None:
                    self._filesystem.copy(self._path(path), self.store.path(f"{aside}/{path}"))
                self._filesystem.rm_file(self._path(path))

    def remove_empty(self, name: str) -> None:
        """Remove the folders of a drop that are empty now."""
        if self.store.local:
            for folder, _, _ in os.walk(self._path(name), topdown=False):
                with contextlib.suppress(OSError):
                    Path(folder).rmdir()

    def forget(self, key: str) -> None:
        """Remove a key of the store."""
        with contextlib.suppress(FileNotFoundError):
            self._filesystem.rm_file(self.store.path(key))

    @property
    def _prefix(self) -> str:
        return layout.inbox(self.line)

    @property
    def _filesystem(self) -> Any:
        return fsspec.core.url_to_fs(self.store.root)[0]

    def _path(self, path: str) -> str:
        return self.store.path(f"{self._prefix}/{path}")

    def _local(self, name: str) -> Iterator[tuple[str, str]]:
        info = Path(self._path(name)).lstat()
        if stat.S_ISREG(info.st_mode):
            yield name, _stamp(info)
        elif stat.S_ISDIR(info.st_mode):
            yield from _walk(self._path(name), name, 1)
        else:
            raise _NotPlainError

    def _remote(self, name: str) -> Iterator[tuple[str, str]]:
        self._filesystem.invalidate_cache(self._path(name))
        root = self._filesystem._strip_protocol(self._path(name))
        for path, info in sorted(self._filesystem.find(root, detail=True).items()):
            rest = path.removeprefix(root).strip("/")
            yield (f"{name}/{rest}" if rest else name), _remote_stamp(info)

    def _clear_local(self, path: str, stamp: str, aside: str | None) -> None:
        *folders, name = path.split("/")
        with _opened(self.store.path(self._prefix), folders) as folder:
            if _stamp(os.stat(name, dir_fd=folder, follow_symlinks=False)) != stamp:
                return
            if aside is None:
                os.unlink(name, dir_fd=folder)
                return
            target = Path(self.store.path(f"{aside}/{path}"))
            target.parent.mkdir(parents=True, exist_ok=True)
            os.rename(name, target, src_dir_fd=folder)


class _NotPlainError(Exception):
    """A link, pipe, socket or device where a drop should be."""


@contextlib.contextmanager
def _opened(root: str, folders: Sequence[str]) -> Iterator[int]:
    """A descriptor of a folder below `root`, no link followed on the way. Raises OSError."""
    descriptor = os.open(root, _FOLDER)
    try:
        for name in folders:
            inner = os.open(name, _FOLDER, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
        yield descriptor
    finally:
        os.close(descriptor)


def _walk(folder: str, prefix: str, depth: int) -> Iterator[tuple[str, str]]:
    with os.scandir(folder) as listing:
        for entry in listing:
            path = f"{prefix}/{entry.name}"
            if entry.is_dir(follow_symlinks=False) and depth < MAX_DEPTH:
                yield from _walk(entry.path, path, depth + 1)
            else:  # what lies deeper is one entry, and too deep to land
                yield path, _stamp(entry.stat(follow_symlinks=False))


def _stamp(info: os.stat_result) -> str:
    return f"{info.st_ino}:{info.st_size}:{info.st_mtime_ns}:{info.st_ctime_ns}"


def _remote_stamp(info: dict[str, Any]) -> str:
    keys = ("ETag", "etag", "mtime", "LastModified", "last_modified", "created")
    times = [str(info[key]) for key in keys if key in info]
    return ":".join([str(info.get("size")), *times])
