"""Applies a line's privacy at the door: to a source before it lands, and to landed files before they are read.

What lands is filtered (`privacy`), then sealed where the line encrypts. Reading undoes the sealing. It filters again,
for folders that other tools wrote; what was filtered when it landed is not changed by that, so a note beside the
manifest spares the work.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from assets.errors import LandingError, RejectedError
from assets.ingest.privacy.filtering import Protection, filtered, protection
from assets.ingest.privacy.strip import strip_picture
from assets.ingest.sources.collecting import Collected, SourceFile
from assets.line.config import Line
from assets.readers.files import Files
from assets.records.batch import LandedFile
from assets.records.limits import RETURNED_SUFFIX
from assets.records.line_store import BoundLine
from assets.records.paths import printable
from assets.records.reason import refusal
from assets.storage import layout
from assets.storage.sealed import open_unsealed, seal_stream, unseal

KIND = "landed"
"""What landed files are sealed as."""


def guard_source(line: BoundLine, found: Collected, scratch: Path, name: str) -> Collected:
    """A source's files as they may land; those that may not are skipped, with the reason.

    Args:
        scratch: a folder of our own; changed files are written there, to be moved into the landing zone.
        name: of the source, for messages.

    Raises:
        LandingError: a file changed meanwhile, or none is left.
        RejectedError: the key of pseudonyms or of sealing cannot be used.
    """
    protect, encrypt = protection(line), line.config.data.privacy.encrypt
    files, skipped = [], list(found.skipped)
    for number, file in enumerate(found.files):
        try:
            kept = _filter(protect, file, scratch / f"filtered-{number:07d}")
        except RejectedError as error:
            skipped.append(refusal(printable(file.path), "whole file", str(error)))
            if file.owned is not None:
                file.owned.unlink(missing_ok=True)
            continue
        except OSError as error:
            raise LandingError(f"{name}: {file.path} changed while it was being landed; land it again") from error
        if encrypt and not file.path.endswith(RETURNED_SUFFIX):  # those come sealed from our own store
            kept = _seal(line.name, kept, scratch / f"sealed-{number:07d}")
        files.append(kept)
    if not files:
        raise LandingError(f"{name}: nothing in it may land; {skipped[-1].file}: {skipped[-1].reason}")
    return replace(found, files=files, skipped=skipped)


def note_filtered(line: BoundLine, drop: str) -> None:
    """Note beside a drop's manifest, before that is written, that its files were filtered by the policy of today."""
    line.store.write(layout.filtered(line.name, drop), _policy(line.line))


class GuardedFiles:
    """A batch's files as readers may see them: unsealed, and filtered unless that was done when they landed."""

    def __init__(self, files: Files, line: BoundLine, drop: str) -> None:
        self._files = files
        self._line = line.name
        self._protect: Protection | None = None
        if not _is_filtered(line, drop):
            self._protect = protection(line)

    def read(self, file: LandedFile, limit: int) -> bytes:
        """See `Files.read`."""
        content = unseal(self._files.read(file, limit), self._line)
        if self._protect is None or not self._protect.applies(file.path):
            return content
        if self._protect.data.image is not None:
            return strip_picture(content)
        with self.open(file) as stream:
            return stream.read()

    def open(self, file: LandedFile) -> BinaryIO:
        """See `Files.open`."""
        stream = open_unsealed(self._files.open(file), self._line)
        if self._protect is None:
            return stream
        size = stream.seek(0, 2)
        stream.seek(0)
        return filtered(self._protect, file.path, stream, size)


def _filter(protect: Protection, file: SourceFile, target: Path) -> SourceFile:
    """The file, or what may be kept of it as a file of our own. Raises RejectedError, OSError."""
    if not protect.applies(file.path):
        return file
    try:
        with file.open() as source, target.open("xb") as written:
            changed = protect.filter(file.path, source, file.size, written)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    if not changed:
        target.unlink()
        return file
    return _own(file, target)


def _seal(line: str, file: SourceFile, target: Path) -> SourceFile:
    with target.open("xb") as written:
        for piece in seal_stream(file.open, line, KIND):
            written.write(piece)
    return _own(file, target)


def _own(file: SourceFile, target: Path) -> SourceFile:
    if file.owned is not None:
        file.owned.unlink(missing_ok=True)
    return SourceFile(file.path, target.stat().st_size, lambda: target.open("rb"), target)


def _policy(line: Line) -> bytes:
    """The sections that a filter depends on, as a digest."""
    return hashlib.sha256(f"filter-1 {line.config.digest('data')}".encode()).hexdigest().encode()


def _is_filtered(line: BoundLine, drop: str) -> bool:
    try:
        return line.store.read(layout.filtered(line.name, drop)) == _policy(line.line)
    except FileNotFoundError:
        return False
