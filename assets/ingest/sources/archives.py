"""Zip and tar in a source: expanded into a scratch folder, each member judged by itself, nothing trusted.

Members are written under numbers, never under their own names, so no name can lead out of the folder. What is no
plain file, has no plain name, or is too large, too deep or damaged is refused with a reason, and the rest goes on.

Where members go in the batch: those of an archive that is the whole source lie at its root, without a folder around
everything that only wraps it; those of an archive inside a folder lie in a folder of the archive's name
(`train.zip` gives `train/...`), and where its members lie in such a folder already, there is no second one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from assets.errors import RejectedError
from assets.ingest.sources.members import BLOCK, Damaged, Member, Unreadable, read_exactly
from assets.ingest.sources.tars import is_tar, packing, tar_members
from assets.ingest.sources.zips import is_zip, zip_members
from assets.records.limits import FREE_BYTES, MAX_DEPTH, MAX_RATIO
from assets.records.paths import declared_split, name_problem, printable, system_part, why_system
from assets.records.reason import Reason
from assets.storage.scratch import writing

SNIFF_BYTES = 1024**2
"""How much of a file shows whether it is an archive: a bzip2 block says nothing until it is whole."""

_NAMES = re.compile(r"\.(zip|tar|tgz|tbz2?|txz|tar\.(gz|bz2|xz))$", re.IGNORECASE)
_UNREAD = re.compile(r"\.(7z|rar|tar\.zst|tzst|tar\.lz4|tar\.lzma|cab)$", re.IGNORECASE)
_UNREAD_MAGIC = (b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07", b"MSCF")
_DOCUMENTS = re.compile(r"\.(npz|xlsx|xlsm|docx|pptx|od[tspg]|jar|apk|whl|epub|keras|pth?|ckpt)$", re.IGNORECASE)
_DRIVE = re.compile(r"[A-Za-z]:")


@dataclass
class Budget:
    """What all archives of a source may still unpack to; below zero once there was more.

    Attributes:
        members: entries, folders too.
        size: bytes.
        largest: bytes of the largest file that is wanted, by its path.
    """

    members: int
    size: int
    largest: Callable[[str], int]


@dataclass(frozen=True)
class Extracted:
    """A member that was written: its path in the archive, its bytes, and the file they are in."""

    path: str
    size: int
    file: Path


@dataclass(frozen=True)
class Expanded:
    """What came of an archive; `refused` also says what was ignored, and whether the archive itself is damaged."""

    files: tuple[Extracted, ...]
    refused: tuple[Reason, ...]


def is_archive(first: bytes, name: str) -> Literal["zip", "tar"] | None:
    """Whether a file is an archive that is expanded, by its content: `first` is up to `SNIFF_BYTES` from its begin.

    A single packed file (`labels.gz`) is none, nor is a document that is a zip inside (`.npz`, `.xlsx`).

    Raises:
        RejectedError: it is an archive that cannot be read, or is none and named like one; "reason; remedy".
    """
    if is_zip(first):
        return None if _DOCUMENTS.search(name) else "zip"
    if is_tar(first):
        return "tar"
    if _UNREAD.search(name) or first.startswith(_UNREAD_MAGIC):
        raise RejectedError("it is an archive of a kind that is not read; make a zip or a tar.gz of it")
    if _NAMES.search(name):
        if packing(first) and len(first) < SNIFF_BYTES and not first.startswith(b"BZh"):
            raise RejectedError("it is named like an archive, but is damaged from the start; copy it again")
        if packing(first):
            return "tar"
        raise RejectedError("it is named like an archive, but holds none; copy it again, or leave it out")
    return None


def expand_archive(stream: BinaryIO, name: str, folder: Path, budget: Budget) -> Expanded:
    """Write the plain files of an archive into `folder`, and refuse everything else.

    Args:
        stream: the archive; it can seek.
        name: its path in the source, to name it in reasons, `<name>/<member>`.
        folder: an existing folder of our own; files in it are named by numbers.
        budget: what may still be unpacked; what is unpacked is taken off.

    Raises:
        TransientError: the folder cannot be written, e.g. its disk is full.
    """
    stream.seek(0)
    first = read_exactly(stream, SNIFF_BYTES)
    size = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    work = _Expansion(name, folder, budget, size)
    try:
        kind = is_archive(first, name)
        members = zip_members(stream) if kind == "zip" else tar_members(stream)
        for member in members:
            work.take(member)
        if not work.seen:
            work.refuse(None, "it is an empty archive; copy it again, or leave it out")
    except (Damaged, RejectedError) as error:
        work.refuse(None, f"the archive cannot be read to its end: {error}" if work.seen else str(error))
    except OSError as error:
        work.refuse(None, f"the archive cannot be read ({error.strerror or error}); copy it again")
    return Expanded(tuple(work.files), tuple(work.refused))


def placed(paths: Sequence[str], name: str, whole: bool) -> list[str]:
    """Where an archive's members go in the batch, in their order.

    Args:
        paths: of its members.
        name: the archive's path in the source.
        whole: whether it is the whole source.
    """
    parent, _, file = name.rpartition("/")
    stem = _NAMES.sub("", file)
    tops = {path.split("/", 1)[0] for path in paths}
    wrapped = len(tops) == 1 and all("/" in path for path in paths)
    if whole:
        inner = [path.split("/", 1)[1] for path in paths] if wrapped else []
        wraps_only = any("/" in path for path in inner) and declared_split(next(iter(tops))) is None
        return inner if wraps_only else list(paths)
    if wrapped and tops == {stem}:
        return [f"{parent}/{path}" if parent else path for path in paths]
    return [f"{parent}/{stem}/{path}" if parent else f"{stem}/{path}" for path in paths]


class _Expansion:
    """One archive's expansion: what was written so far, and what was refused."""

    def __init__(self, name: str, folder: Path, budget: Budget, size: int) -> None:
        self._name, self._folder, self._budget = name, folder, budget
        self._allowed = FREE_BYTES + MAX_RATIO * size
        self._names: set[str] = set()
        self._unpacked = 0
        self.files: list[Extracted] = []
        self.refused: list[Reason] = []
        self.seen = 0

    def take(self, member: Member) -> None:
        """Write one member, or refuse it. Raises Damaged, TransientError."""
        self.seen += 1
        self._budget.members -= 1
        if self._budget.members < 0:
            raise Damaged("there are more members than one batch may have, the rest was not read; split it")
        path, problem = _plain_path(member.name)
        if member.folder and (problem is None or not path):
            return
        if problem is None and (system := system_part(path)) is not None:
            what = why_system(system)
            self.refused.append(Reason(self._shown(path), "its name", "ignored", what, "nothing to do"))
            return
        problem = problem or member.problem
        if problem is None and path in self._names:
            problem = "a member of this name came before; leave one of them out"
        limit = self._budget.largest(path)
        if problem is None and member.size > limit:
            problem = _too_large(limit)
        if problem is None:
            try:
                self._write(member, path, limit)
            except Unreadable as error:
                problem = str(error)
        if problem is not None:
            self.refuse(member.name, problem)

    def refuse(self, member: str | None, text: str) -> None:
        """Say why a member, or the archive itself (None), is refused: "reason; remedy"."""
        reason, _, remedy = text.rpartition("; ")
        place = "the archive" if member is None else "whole file"
        self.refused.append(Reason(self._shown(member), place, "refused", reason or remedy, remedy))

    def _shown(self, member: str | None) -> str:
        return printable(self._name if member is None else f"{self._name}/{member}")

    def _write(self, member: Member, path: str, limit: int) -> None:
        file = self._folder / f"{len(self._names):07d}"
        blocks = self._checked(member, path, limit)
        size = 0
        try:
            with writing(self._folder), file.open("xb") as out:
                for block in blocks:
                    size += len(block)
                    out.write(block)
        except BaseException:
            file.unlink(missing_ok=True)
            raise
        self._names.add(path)
        self._budget.size -= size
        self.files.append(Extracted(path, size, file))

    def _checked(self, member: Member, path: str, limit: int) -> Iterator[bytes]:
        """A member's blocks, until one is too many. Raises Damaged, Unreadable."""
        size, first = 0, b""
        for block in _reading(member):
            size += len(block)
            self._unpacked += len(block)
            if size > limit:
                raise Unreadable(_too_large(limit))
            if size > self._budget.size:
                self._budget.size = -1
                raise Damaged("it unpacks to more than one batch may have; split it")
            if member.packed is not None and size > FREE_BYTES and size > MAX_RATIO * member.packed:
                raise Unreadable(
                    f"it unpacks to more than {MAX_RATIO} times its size, as no real data does; look at it"
                )
            if self._unpacked > self._allowed:
                raise Damaged(f"it unpacks to more than {MAX_RATIO} times its size, as no real data does; look at it")
            if len(first) < BLOCK:
                first += block
            yield block
        if _is_nested(first, path):
            raise Unreadable("it is an archive inside an archive, and only one level is unpacked; unpack it yourself")


def _too_large(limit: int) -> str:
    return f"it has more than {limit:,} bytes; make the file smaller"


def _reading(member: Member) -> Iterator[bytes]:
    try:
        yield from member.blocks()
    except OSError as error:
        raise Damaged(f"it cannot be read ({error.strerror or error}); copy it again") from error


def _is_nested(first: bytes, path: str) -> bool:
    try:
        return is_archive(first, path) is not None
    except RejectedError:
        return True


def _plain_path(name: str) -> tuple[str, str | None]:
    """A member's path in plain form, and why it may not be taken, "reason; remedy"."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    path = "/".join(parts)
    problem = None
    if name.startswith(("/", "\\")):
        problem = "its path is absolute; make the archive with relative paths"
    elif _DRIVE.match(name):
        problem = "its path begins with a drive; make the archive with relative paths"
    elif ".." in name.replace("\\", "/").split("/"):
        problem = "its path leads out of the archive (..); make the archive with plain paths"
    elif not parts:
        problem = "it has no name; rename it"
    elif (wrong := name_problem(path)) is not None:
        problem = f"{wrong}; rename it"
    elif len(parts) > MAX_DEPTH + 1:
        problem = f"it lies more than {MAX_DEPTH} folders deep; move it up"
    return path, problem
