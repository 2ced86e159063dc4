"""The files of a source as readers take them, before anything has landed."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any, BinaryIO, cast

from assets.errors import RejectedError
from assets.ingest.sources.collecting import SourceFile
from assets.ingest.sources.members import read_exactly
from assets.records.batch import LandedFile

_BUFFER = 128 * 1024
NO_DIGEST = "0" * 64
"""Stands where a landed file has its SHA-256: a source's files are not hashed to be looked at."""


class SourceFiles:
    """`assets.readers.Files` over the files of a source."""

    def __init__(self, files: Iterable[SourceFile]) -> None:
        self._files = {file.path: file for file in files}

    def listed(self) -> list[LandedFile]:
        """Every file, in the order given."""
        return [LandedFile(path, NO_DIGEST, file.size) for path, file in self._files.items()]

    def read(self, file: LandedFile, limit: int) -> bytes:
        """See `Files.read`."""
        if file.size > limit:
            raise RejectedError(f"{file.size:,} bytes are more than {limit:,}; make the file smaller")
        with self.open(file) as stream:
            try:
                content = read_exactly(stream, limit + 1)
            except OSError as error:
                raise _unreadable(error) from error
        if len(content) != file.size:
            raise RejectedError(f"it has {len(content):,} bytes, it had {file.size:,}; wait until it is complete")
        return content

    def open(self, file: LandedFile) -> BinaryIO:
        """See `Files.open`."""
        try:
            return cast(BinaryIO, io.BufferedReader(_Steady(self._files[file.path].open()), _BUFFER))
        except OSError as error:
            raise _unreadable(error) from error

    def head(self, file: LandedFile, size: int) -> bytes:
        """The first bytes of a file, none where it cannot be read."""
        try:
            with self.open(file) as stream:
                return read_exactly(stream, size)
        except (OSError, RejectedError):
            return b""


class _Steady(io.RawIOBase):
    """A file of a disk that may fail under it: what cannot be read refuses this file, and ends nothing else."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def readable(self) -> bool:
        """It is read only."""
        return True

    def seekable(self) -> bool:
        """Plain files are."""
        return self._stream.seekable()

    def readinto(self, buffer: Any) -> int:
        """See `io.RawIOBase`. Raises RejectedError where the disk fails."""
        try:
            data = self._stream.read(len(buffer))
        except OSError as error:
            raise _unreadable(error) from error
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """See `io.RawIOBase`."""
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        """See `io.RawIOBase`."""
        return self._stream.tell()

    def close(self) -> None:
        """Close the file too."""
        self._stream.close()
        super().close()


def _unreadable(error: OSError) -> RejectedError:
    return RejectedError(f"it cannot be read ({error.strerror or error}); look at the file, then try again")
