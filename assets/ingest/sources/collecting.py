"""What lies in a source: its plain files, archives unpacked, and a reason for each thing that is left where it is.

No link is followed and nothing but a plain file is opened, so a source can neither lead out of itself nor block. Files
of other machines are fetched once, into a scratch folder, as are the members of archives.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from assets.errors import LandingError, RejectedError
from assets.ingest.sources.archives import SNIFF_BYTES, Budget, expand_archive, is_archive, placed
from assets.ingest.sources.fetching import fetch
from assets.ingest.sources.members import read_exactly
from assets.ingest.sources.remote import RemoteFile, is_url, list_remote, local_path, shown_url
from assets.ingest.sources.tars import packing
from assets.records.limits import MAX_ARCHIVES, MAX_DEPTH, MAX_FILES
from assets.records.paths import is_system_name, name_problem, printable, why_system
from assets.records.reason import Reason

Progress = Callable[[str, int, int], None]
"""Told what is done ("fetching", "unpacking", "reading", "copying"), the bytes so far, and all (0: not known yet)."""


@dataclass(frozen=True)
class SourceFile:
    """A plain file of a source: its path below it, its bytes when it was listed, and how to open it.

    Attributes:
        owned: the file itself, where it lies in our scratch folder: it may be moved instead of copied.
    """

    path: str
    size: int
    open: Callable[[], BinaryIO]
    owned: Path | None = None


@dataclass(frozen=True)
class Limits:
    """How much is taken from a source.

    Attributes:
        largest: bytes of the largest file that is wanted, by its path.
        files, size: how many files, and how many bytes in all.
        scratch: bytes that may be unpacked from archives, or fetched from elsewhere.
        cut: whether to stop at them without an error, as for a look at a sample.
    """

    largest: Callable[[str], int]
    files: int
    size: int
    scratch: int
    cut: bool = False


@dataclass
class Collected:
    """What was found: files in the order of their paths; what was skipped; whether a limit cut it."""

    files: list[SourceFile]
    skipped: list[Reason]
    cut: bool = False


def collect(
    source: str | Path, limits: Limits, scratch: Path, forbidden: str | None = None, tell: Progress | None = None
) -> Collected:
    """Everything of a source, ready to be read.

    Args:
        source: a folder, one file, or an fsspec URL of one.
        scratch: an empty folder of our own, for members of archives and files from elsewhere.
        forbidden: a local folder that is never entered (the platform's own state).

    Raises:
        LandingError: the source is missing, may not be read, holds no plain file, or is too large for one batch.
        TransientError: another machine is away, or the scratch folder cannot be written.
    """
    name = str(source)
    if not name.strip():  # an empty variable of a script; as a path it would be the folder one stands in
        raise LandingError("the source has no name; name a folder, a file or an archive, or its URL")
    work = _Collection(shown_source(source), limits, scratch, tell or (lambda what, done, total: None))
    if isinstance(source, Path) or not is_url(name) or (":/" not in name and os.path.lexists(name)):
        found = _local(Path(source), forbidden)
    elif (path := local_path(name)) is not None:
        found = _local(Path(path), forbidden)
    else:
        found = work.fetched(list_remote(name))
    for item, whole in found:
        work.take(item, whole)
        if work.result.cut:
            break
    return work.finish()


def shown_source(source: str | Path) -> str:
    """A source's name for messages: without what may be secret in a URL, and printable."""
    name = str(source)
    return shown_url(name) if is_url(name) else printable(name)


class _Collection:
    """One source's files so far, and what may still be taken."""

    def __init__(self, shown: str, limits: Limits, scratch: Path, tell: Progress) -> None:
        self._shown, self._limits, self._scratch, self._tell = shown, limits, scratch, tell
        self._budget = Budget(limits.files, limits.scratch, limits.largest)
        self._size = 0
        self._members: list[SourceFile] = []
        self._archives = self._fetched = 0
        self.result = Collected([], [])

    def fetched(self, found: Iterator[RemoteFile | Reason]) -> Iterator[tuple[SourceFile | Reason, bool]]:
        """Bring each file of another machine here, a stream at a time."""
        for number, item in enumerate(found):
            if isinstance(item, Reason):
                yield item, False
                continue
            target = self._scratch / f"fetched-{number:07d}"
            before = self._fetched
            largest = self._limits.largest(item.path)

            def so_far(size: int, before: int = before) -> None:
                self._tell("fetching", before + size, 0)

            try:
                size = fetch(item, target, largest, self._limits.scratch - before, so_far)
            except OverflowError:
                self._over()
                return
            if isinstance(size, Reason):
                yield size, False
                continue
            self._fetched += size
            yield _own(item.path, size, target), item.whole

    def take(self, item: SourceFile | Reason, whole: bool) -> None:
        """A file, an archive that is unpacked, or a reason why it is neither."""
        if isinstance(item, Reason):
            self._skip(item)
            return
        try:
            kind = _sniff(item)
        except RejectedError as error:
            reason, _, remedy = str(error).rpartition("; ")
            self._skip(_refuse(item.path, reason, remedy))
        except OSError as error:
            self._skip(_refuse(item.path, f"it cannot be read ({_text(error)})", "look at the file, then try again"))
        else:
            if kind is not None:
                self._unpack(item, whole)
            elif item.size > (largest := self._limits.largest(item.path)):
                self._skip(
                    _refuse(item.path, f"{item.size:,} bytes are more than {largest:,}", "make the file smaller")
                )
            else:
                self._add(item)

    def finish(self) -> Collected:
        """All files in the order of their paths, each path once and none below another. Raises LandingError."""
        result = self.result
        taken = {file.path for file in result.files}
        for member in self._members:
            if member.path in taken:
                self._skip(_refuse(member.path, "an archive has it a second time", "leave one of them out"))
            else:
                taken.add(member.path)
                result.files.append(member)
        files = []
        for file in sorted(result.files, key=lambda file: file.path):
            above = _above(file.path) & taken
            if above:
                self._skip(_refuse(file.path, f"{min(above)} is a file, not a folder", "rename one of them"))
            else:
                files.append(file)
        if not files:
            refused = [reason for reason in result.skipped if reason.outcome == "refused"]
            more = f"; skipped: {refused[0].file} ({refused[0].reason})" if refused else ""
            raise LandingError(
                f"{self._shown}: there is no plain file in it{more}; name a folder that holds the batch's files"
            )
        result.files = files
        return result

    def _add(self, file: SourceFile, member: bool = False) -> None:
        self._size += file.size
        if not member:
            self._budget.members -= 1
        if self._budget.members < 0 or self._size > self._limits.size:
            self._over()
        else:
            (self._members if member else self.result.files).append(file)

    def _over(self) -> None:
        if self._limits.cut:
            self.result.cut = True
            return
        what = f"{self._limits.files:,} files" if self._budget.members < 0 else f"{self._limits.size:,} bytes"
        raise LandingError(f"{self._shown}: more than {what}; land it in several parts")

    def _skip(self, reason: Reason) -> None:
        self.result.skipped.append(reason)
        if len(self.result.skipped) > 2 * MAX_FILES:
            raise LandingError(f"{self._shown}: more than {2 * MAX_FILES:,} things in it are no data; look at it")

    def _unpack(self, archive: SourceFile, whole: bool) -> None:
        self._archives += 1
        if self._archives > MAX_ARCHIVES:
            self._skip(_refuse(archive.path, f"more than {MAX_ARCHIVES:,} archives", "unpack them yourself"))
            return
        folder = self._scratch / f"unpacked-{self._archives:04d}"
        folder.mkdir()
        self._tell("unpacking", 0, archive.size)
        try:
            with archive.open() as stream:
                expanded = expand_archive(stream, archive.path, folder, self._budget)
        except OSError as error:
            self._skip(_refuse(archive.path, f"it cannot be read ({_text(error)})", "look at the file, then try again"))
            return
        over = self._budget.members < 0 or self._budget.size < 0  # then the last refusal says so
        for reason in expanded.refused[:-1] if over else expanded.refused:
            self._skip(reason)
        paths = placed([member.path for member in expanded.files], archive.path, whole)
        for path, member in zip(paths, expanded.files, strict=True):
            if (problem := name_problem(path)) is not None:
                self._skip(_refuse(f"{archive.path}/{member.path}", problem, "rename it"))
            else:
                self._add(_own(path, member.size, member.file), member=True)
        if over:
            self._over()
        if archive.owned is not None:
            archive.owned.unlink(missing_ok=True)


def _above(path: str) -> set[str]:
    parts = path.split("/")
    return {"/".join(parts[:end]) for end in range(1, len(parts))}


def _own(path: str, size: int, file: Path) -> SourceFile:
    return SourceFile(path, size, lambda: file.open("rb"), file)


def _sniff(file: SourceFile) -> str | None:
    """Whether a file is an archive, by its first bytes. Raises RejectedError, OSError."""
    with file.open() as stream:
        first = read_exactly(stream, 512)
        if packing(first):
            first += read_exactly(stream, SNIFF_BYTES - len(first))
    return is_archive(first, file.path)


def _refuse(path: str, reason: str, remedy: str) -> Reason:
    return Reason(printable(path), "whole file", "refused", reason, remedy)


def _local(source: Path, forbidden: str | None) -> Iterator[tuple[SourceFile | Reason, bool]]:
    """What lies at a path of this machine, and whether it is the whole source."""
    try:
        root = source.resolve(strict=True)  # the user named it, so a link as the source itself is followed
        mode = root.stat().st_mode
    except (OSError, RuntimeError, ValueError) as error:
        raise LandingError(
            f"{printable(str(source))}: cannot be read ({_text(error)}); name an existing folder or file"
        ) from error
    if stat.S_ISDIR(mode):
        barred = _identity(Path(forbidden)) if forbidden else None
        for item in _folder(root, root, "", 1, barred):
            yield item, False
    elif stat.S_ISREG(mode):
        for item in _file(root.parent, root.name):
            yield item, True
    else:
        raise LandingError(
            f"{source}: is neither a folder nor a plain file; name a folder that holds the batch's files"
        )


def _folder(
    root: Path, folder: Path, prefix: str, depth: int, barred: tuple[int, int] | None
) -> Iterator[SourceFile | Reason]:
    if barred is not None and _identity(folder) == barred:
        yield replace(_refuse(prefix or ".", "this is the platform's own state", "nothing to do"), outcome="ignored")
        return
    try:
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
    except OSError as error:
        yield _refuse(prefix or ".", f"the folder cannot be read ({_text(error)})", "make it readable")
        return
    for entry in entries:
        path = f"{prefix}{entry.name}"
        if is_system_name(entry.name):
            yield Reason(printable(path), "its name", "ignored", why_system(printable(entry.name)), "nothing to do")
        elif (problem := name_problem(entry.name)) is not None:
            yield _refuse(path, problem, "rename it")
        elif entry.is_symlink():
            yield _refuse(path, "it is a link, and links are not followed", "put the file itself there")
        elif not entry.is_dir(follow_symlinks=False):
            yield from _file(root, path)
        elif depth >= MAX_DEPTH:
            yield _refuse(path, f"it lies more than {MAX_DEPTH} folders deep", "move it up")
        else:
            yield from _folder(root, Path(entry.path), f"{path}/", depth + 1, barred)


def _file(root: Path, path: str) -> Iterator[SourceFile | Reason]:
    file = root / path
    try:
        info = file.stat(follow_symlinks=False)
        if not stat.S_ISREG(info.st_mode):
            yield _refuse(path, "it is a pipe, socket or device, not a plain file", "take it out of the folder")
        elif not os.access(file, os.R_OK):
            yield _refuse(path, "it may not be read (permission denied)", "make it readable")
        elif (problem := name_problem(path)) is not None:
            yield _refuse(path, problem, "rename it")
        else:
            yield SourceFile(path, info.st_size, lambda: _open(root, path))
    except OSError as error:
        yield _refuse(path, f"it cannot be read ({_text(error)})", "look at the file, then land it again")


def _open(root: Path, path: str) -> BinaryIO:
    """Open what is still a plain file; a link or pipe put in its way meanwhile is refused, and never waited for."""
    *folders, name = path.split("/")
    here = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for folder in folders:
            below = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=here)
            os.close(here)
            here = below
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=here)
    finally:
        os.close(here)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(f"{path} is not a plain file any more")
    return os.fdopen(descriptor, "rb")


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        info = folder.stat()
    except OSError:
        return None
    return info.st_dev, info.st_ino


def _text(error: BaseException) -> str:
    return getattr(error, "strerror", None) or printable(str(error)) or type(error).__name__
