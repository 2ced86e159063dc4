"""What lies in a source folder: its plain files, and a reason for each thing that is left where it is.

No link is followed and nothing but a plain file is opened, so a source can neither lead out of itself nor block.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import fsspec

from assets.errors import LandingError
from assets.ingest.limits import MAX_BATCH_BYTES, MAX_DEPTH, MAX_FILES
from assets.ingest.names import is_system_name, name_problem, shown
from assets.quality.contract import Reason


@dataclass(frozen=True)
class SourceFile:
    """A plain file of a source: its path below it, its bytes when it was listed, and how to open it."""

    path: str
    size: int
    open: Callable[[], BinaryIO]


def list_source(
    source: str | Path, largest: int, forbidden: str | None = None
) -> tuple[list[SourceFile], list[Reason]]:
    """The files of a source in the order of their paths, and what was skipped.

    Args:
        source: a folder, one file, or an fsspec URL.
        largest: bytes; larger files are skipped.
        forbidden: a local folder that is never entered (the platform's own state).

    Raises:
        LandingError: the source is missing, holds no plain file, or is too large for one batch.
    """
    found = _remote(str(source)) if "://" in str(source) else _local(Path(source), forbidden)
    files: list[SourceFile] = []
    skipped: list[Reason] = []
    total = 0
    for item in found:
        if isinstance(item, Reason):
            skipped.append(item)
        elif item.size > largest:
            skipped.append(_skip(item.path, f"{item.size:,} bytes are more than {largest:,}", "make the file smaller"))
        else:
            files.append(item)
            total += item.size
        if len(files) + len(skipped) > MAX_FILES:
            raise LandingError(f"{source}: more than {MAX_FILES:,} files; land it in several parts")
        if total > MAX_BATCH_BYTES:
            raise LandingError(f"{source}: more than {MAX_BATCH_BYTES:,} bytes; land it in several parts")
    if not files:
        more = f"; skipped: {skipped[0].file} ({skipped[0].reason})" if skipped else ""
        raise LandingError(f"{source}: there is no plain file in it{more}; name a folder that holds the batch's files")
    return sorted(files, key=lambda file: file.path), skipped


def _skip(path: str, reason: str, remedy: str) -> Reason:
    printable = path.encode("utf-8", "backslashreplace").decode()
    return Reason(printable, "whole file", "refused", reason, remedy)


def _local(source: Path, forbidden: str | None) -> Iterator[SourceFile | Reason]:
    try:
        root = source.resolve(strict=True)  # the user named it, so a link as the source itself is followed
        mode = root.stat().st_mode
    except (OSError, RuntimeError, ValueError) as error:
        raise LandingError(f"{source}: cannot be read ({_reason(error)}); name an existing folder or file") from error
    if stat.S_ISDIR(mode):
        barred = _identity(Path(forbidden)) if forbidden else None
        yield from _folder(root, "", 1, barred)
    elif stat.S_ISREG(mode):
        yield from _file(root, root.name)
    else:
        raise LandingError(
            f"{source}: is neither a folder nor a plain file; name a folder that holds the batch's files"
        )


def _folder(folder: Path, prefix: str, depth: int, barred: tuple[int, int] | None) -> Iterator[SourceFile | Reason]:
    if _identity(folder) == barred:
        yield _skip(prefix or ".", "this is the platform's own state", "nothing to do")
        return
    try:
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
    except OSError as error:
        yield _skip(prefix or ".", f"the folder cannot be read ({_reason(error)})", "make it readable")
        return
    for entry in entries:
        path = f"{prefix}{entry.name}"
        if is_system_name(entry.name):
            yield Reason(
                _skip(path, "", "").file, "its name", "ignored", "a system's own file, not data", "nothing to do"
            )
        elif (problem := name_problem(entry.name)) is not None:
            yield _skip(path, problem, "rename it")
        elif entry.is_symlink():
            yield _skip(path, "it is a link, and links are not followed", "put the file itself there")
        elif not entry.is_dir(follow_symlinks=False):
            yield from _file(Path(entry.path), path)
        elif depth >= MAX_DEPTH:
            yield _skip(path, f"it lies more than {MAX_DEPTH} folders deep", "move it up")
        else:
            yield from _folder(Path(entry.path), f"{path}/", depth + 1, barred)


def _file(file: Path, path: str) -> Iterator[SourceFile | Reason]:
    try:
        info = file.stat(follow_symlinks=False)
        if not stat.S_ISREG(info.st_mode):
            yield _skip(path, "it is a pipe, socket or device, not a plain file", "take it out of the folder")
        elif not os.access(file, os.R_OK):
            yield _skip(path, "it may not be read (permission denied)", "make it readable")
        elif (problem := name_problem(path)) is not None:
            yield _skip(path, problem, "rename it")
        else:
            yield SourceFile(path, info.st_size, lambda: _open(file))
    except OSError as error:
        yield _skip(path, f"it cannot be read ({_reason(error)})", "look at the file, then land it again")


def _open(file: Path) -> BinaryIO:
    """Open what is still a plain file; a link or pipe put in its place meanwhile is refused, and never waited for."""
    descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(f"{file} is not a plain file any more")
    return os.fdopen(descriptor, "rb")


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        info = folder.stat()
    except OSError:
        return None
    return info.st_dev, info.st_ino


def _remote(url: str) -> Iterator[SourceFile | Reason]:
    try:
        filesystem, root = fsspec.core.url_to_fs(url)
        listing = filesystem.find(root, detail=True)
    except Exception as error:  # every file system has its own errors
        raise LandingError(f"{url}: cannot be read ({_reason(error)}); name an existing folder") from error
    for name, info in sorted(listing.items()):
        path = name.removeprefix(root.rstrip("/")).strip("/") or name.rsplit("/", 1)[-1]
        if any(is_system_name(part) for part in path.split("/")):
            yield Reason(path, "its name", "ignored", "a system's own file, not data", "nothing to do")
        elif (problem := name_problem(path)) is not None or any(part in ("", ".", "..") for part in path.split("/")):
            yield _skip(path, problem or f"{shown(path)} is no plain path", "rename it")
        elif info["type"] == "file":
            yield SourceFile(path, int(info["size"]), lambda name=name: filesystem.open(name, "rb"))  # type: ignore[misc]


def _reason(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
