"""The files that readers read: each checked against what was declared, before a reader sees a byte of it."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import BinaryIO, Protocol, cast

import fsspec

from assets.errors import LandingError, RejectedError
from assets.records.batch import LandedFile
from assets.storage.store import Store
from assets.storage.streams import file_size, hash_stream


class Files(Protocol):
    """Where a reader's files lie. Both methods may be called from several threads at once.

    Raises:
        RejectedError: the file is too large or cannot be read; "reason; remedy". It becomes a `Reason`.
        LandingError: the landing zone was damaged; it goes through.
    """

    def read(self, file: LandedFile, limit: int) -> bytes:
        """All bytes of a file, digest checked; one of more than `limit` bytes is refused before it is read."""

    def open(self, file: LandedFile) -> BinaryIO:
        """A seekable stream of a large file whose digest was checked; the caller closes it."""


class BatchFiles:
    """The files of a landed batch, in the folder `prefix` of the store."""

    def __init__(self, store: Store, prefix: str) -> None:
        self._store = store
        self._prefix = prefix

    def read(self, file: LandedFile, limit: int) -> bytes:
        """See `Files.read`."""
        if file.size > limit:
            raise RejectedError(f"{file.size:,} bytes are more than {limit:,}; make the file smaller")
        key = self._checked_size(file)
        content = self._store.read(key)
        _check_digest(key, hashlib.sha256(content).hexdigest(), file)
        return content

    def open(self, file: LandedFile) -> BinaryIO:
        """See `Files.open`. A remote file is copied to a temporary one: what was checked is what is read."""
        key = self._checked_size(file)
        if self._store.local:
            stream = cast(BinaryIO, Path(self._store.path(key)).open("rb"))  # noqa: SIM115 - the caller closes it
            copy = None
        else:
            stream = fsspec.core.url_to_fs(self._store.root)[0].open(self._store.path(key), "rb")
            copy = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115 - the caller closes it
        try:
            sha256, _ = hash_stream(stream, file.size, copy)
            _check_digest(key, sha256, file)
        except BaseException as error:
            stream.close()
            if copy is not None:
                copy.close()
            if isinstance(error, OverflowError):
                raise _damaged(key, "it grew since") from error
            raise
        if copy is not None:
            stream.close()
            stream = copy
        stream.seek(0)
        return stream

    def _checked_size(self, file: LandedFile) -> str:
        """The file's key. Raises LandingError where it is not there, or not as large as declared."""
        key = f"{self._prefix}/{file.path}"
        found = file_size(self._store, key)
        if found is None:
            raise _damaged(key, "the file is missing or is not a plain file")
        if found != file.size:
            raise _damaged(key, f"{found:,} bytes, but the manifest declares {file.size:,}")
        return key


def _check_digest(key: str, sha256: str, file: LandedFile) -> None:
    if sha256 != file.sha256:
        raise _damaged(key, f"its SHA-256 {sha256[:12]}… is not the one declared, {file.sha256[:12]}…")


def _damaged(key: str, what: str) -> LandingError:
    return LandingError(
        f"{key}: {what}: the landing zone was damaged after the batch landed, so it was not judged; land the same "
        "source again, which copies damaged files anew, then judge the batch again"
    )
