"""From a landed batch to records: opens the batch, checks each file against its manifest, and hands it to its reader.

A reader is a pure function of a batch's files; what it cannot read becomes a `Reason`. Only a file that is not the one
that landed raises: that is a fault of the landing zone, and no verdict on the data may come of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from assets.errors import LandingError, RejectedError
from assets.ingest.contract import BatchManifest, LandedFile, Record
from assets.ingest.images import read_images
from assets.ingest.landing import find_landing, load_manifest
from assets.ingest.limits import largest_file
from assets.ingest.names import system_part
from assets.ingest.storage import file_size
from assets.ingest.tables import read_tables
from assets.line import DataContract, Line
from assets.quality.contract import Reason
from assets.store import Store

Read = Callable[[LandedFile], bytes]


class Reader(Protocol):
    """Reads the files of a batch in their order; `read` gives a file's checked bytes or raises RejectedError.

    A LandingError of `read` goes through; any other refusal becomes a `Reason`.
    """

    def __call__(self, files: Sequence[LandedFile], read: Read, data: DataContract) -> Iterator[Record | Reason]: ...


READERS: dict[str, Reader] = {"image_folder": read_images, "csv": read_tables}


def read_landed(store: Store, line: Line, batch: str) -> Iterator[Record | Reason]:
    """See `assets.ingest.contract.read_batch`."""
    landing = find_landing(store, line.name, batch)
    manifest = load_manifest(store, line.name, landing.drop, batch)
    return _records(store, line, landing.drop, manifest)


def _records(store: Store, line: Line, drop: str, manifest: BatchManifest) -> Iterator[Record | Reason]:
    data = line.config.data
    limit = largest_file(data.reader)
    folder = f"landing/{line.name}/{drop}/files"

    def read(file: LandedFile) -> bytes:
        return read_checked(store, f"{folder}/{file.path}", file, limit)

    files = []
    for file in manifest.files:
        if (part := system_part(file.path)) is None:
            files.append(file)
        else:
            yield Reason(file.path, "its name", "ignored", f"{part} is a system's own file, not data", "nothing to do")
    yield from READERS[data.reader](files, read, data)


def read_checked(store: Store, key: str, file: LandedFile, limit: int) -> bytes:
    """A landed file's bytes.

    Args:
        limit: bytes; a larger file is refused before it is read.

    Raises:
        RejectedError: too large; "reason; remedy".
        LandingError: missing, or not the file that the manifest declares: the landing zone is damaged.
    """
    if file.size > limit:
        raise RejectedError(f"{file.size:,} bytes are more than {limit:,}; make the file smaller")
    found = file_size(store, key)
    if found is None:
        raise _damaged(key, "the file is missing or is not a plain file")
    if found != file.size:
        raise _damaged(key, f"{found:,} bytes, but the manifest declares {file.size:,}")
    content = store.read(key)
    sha256 = hashlib.sha256(content).hexdigest()
    if sha256 != file.sha256:
        raise _damaged(key, f"its SHA-256 {sha256[:12]}… is not the one declared, {file.sha256[:12]}…")
    return content


def _damaged(key: str, what: str) -> LandingError:
    return LandingError(
        f"{key}: {what}: the landing zone was damaged after the batch landed, so it was not judged; land the same "
        "source again, which copies damaged files anew, then judge the batch again"
    )
