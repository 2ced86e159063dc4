"""Brings a file of another machine into the scratch folder: one stream, bounded, its end checked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from assets.errors import EdgeError, RejectedError, TransientError
from assets.ingest.sources.archives import SNIFF_BYTES, is_archive
from assets.ingest.sources.members import BLOCK, read_exactly
from assets.ingest.sources.remote import RemoteFile, network_error
from assets.records.paths import printable
from assets.records.reason import Reason
from assets.storage.scratch import writing


def fetch(
    file: RemoteFile, target: Path, largest: int, allowed: int, tell: Callable[[int], None] | None = None
) -> int | Reason:
    """Copy a remote file to `target`; its bytes, or why it is left where it is.

    Args:
        largest: bytes; a larger file is refused, unless it is an archive.
        allowed: bytes that may be fetched for the whole batch.
        tell: told the bytes so far.

    Raises:
        OverflowError: more than `allowed`.
        TransientError: the other machine is away or busy, or the disk is full.
    """
    try:
        return _copy(file, target, largest, allowed, tell or (lambda size: None))
    except (TransientError, OverflowError):
        target.unlink(missing_ok=True)
        raise
    except RejectedError as error:
        target.unlink(missing_ok=True)
        reason, _, remedy = str(error).rpartition("; ")
        return Reason(printable(file.path), "whole file", "refused", reason or remedy, remedy)


def _copy(file: RemoteFile, target: Path, largest: int, allowed: int, tell: Callable[[int], None]) -> int:
    size, limit = 0, 0
    with file.open() as stream, writing(target.parent), target.open("xb") as out:
        while True:
            try:
                part = read_exactly(stream, SNIFF_BYTES) if not size else stream.read(BLOCK)
            except EdgeError:
                raise
            except Exception as error:  # every file system has its own errors
                raise _read_error(file, error) from error
            if not part:
                break
            if not size:
                limit = allowed if is_archive(part, file.path) else largest
            size += len(part)
            if size > allowed:
                raise OverflowError(f"more than {allowed:,} bytes")
            if size > limit:
                raise RejectedError(f"it has more than {limit:,} bytes; make the file smaller")
            out.write(part)
            tell(size)
    if file.size is not None and size != file.size:
        raise TransientError(f"{file.path}: {size:,} of {file.size:,} bytes came over the network; try again")
    return size


def _read_error(file: RemoteFile, error: BaseException) -> EdgeError:
    sorted_out = network_error(file.path, error)
    if isinstance(sorted_out, TransientError):
        return sorted_out
    return RejectedError(str(sorted_out).removeprefix(f"{file.path}: "))
