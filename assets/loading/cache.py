"""Files of decoded or still encoded pictures, which spare later epochs, trials and runs the work of the first.

    <folder>/<line>/<key>.pixels    a header of `HEADER` bytes, then (records, channels, height, width) uint8
    <folder>/<line>/<key>.pictures  an Arrow IPC file of picture files, its header in the schema's metadata
    <folder>/<line>/.lock           held by whoever builds, so that of several processes one does

`key` is a digest of everything the content follows from: dataset version, split, size, and which of the line's records
were forgotten. A file is built under another name and gets its own when it is complete and on the disk, so a killed
build leaves nothing that looks finished; what it leaves is removed by the next one. A file is used only where its
header says what is asked for, and its bytes have the sum that the header says.

`<folder>` is $EDGELOOP_CACHE, else `cache` below a store's local root, else in $TMPDIR. It may be removed at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import time
import uuid
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from assets.errors import TransientError
from assets.loading.stored import Stored
from assets.records.forgotten import forgotten_ids
from assets.records.line_store import LineStore
from assets.storage import layout
from assets.storage.store import Store
from edge.contracts import digest
from edge.lock import lock_file

CACHE_VARIABLE = "EDGELOOP_CACHE"
PIXELS, PICTURES = ".pixels", ".pictures"
HEADER = 4096
REVISION = 1
"""Raise it when pictures are decoded in another way."""
RESERVE = 256 * 1000**2
"""Bytes of a disk that are left free, for checkpoints and the store."""
_BLOCK = 16 * 1024**2


@dataclass(frozen=True)
class Content:
    """What a file holds; equal contents are equal bytes.

    Attributes:
        forgotten: digest of the ids of the line's forgotten records.
        shape: (channels, height, width) of a decoded picture; empty where they are still encoded.
    """

    dataset: str
    split: str
    forgotten: str
    records: int
    shape: tuple[int, ...]
    revision: int = REVISION

    @property
    def key(self) -> str:
        """The file's name, without its suffix; it begins with the dataset and what was forgotten."""
        return f"{self.dataset[:16]}-{self.forgotten[:16]}-{digest_of(asdict(self))[:16]}"


def digest_of(value: object) -> str:
    """SHA-256 (hex) of plain data."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def content_of(stored: Stored, shape: tuple[int, ...]) -> Content:
    """What a file of these records holds."""
    dataset = stored.dataset
    return Content(
        digest(dataset),
        stored.split,
        forgotten_digest(LineStore(stored.store, dataset.line)),
        len(stored),
        tuple(shape),
    )


def forgotten_digest(line: LineStore) -> str:
    """A digest of which of a line's records are forgotten."""
    return digest_of(sorted(record.hex() for record in forgotten_ids(line)))


def cache_folder(store: Store) -> Path:
    """Where files lie; see the module."""
    if named := os.environ.get(CACHE_VARIABLE):
        return Path(named)
    if store.local:
        return Path(store.path(layout.CACHE))
    return Path(tempfile.gettempdir()) / f"edgeloop-cache-{os.getuid()}"


def room_for(folder: Path, size: int) -> bool:
    """Whether so many bytes fit on the disk, and `RESERVE` is left."""
    at = folder
    while not at.exists() and at != at.parent:
        at = at.parent
    return shutil.disk_usage(at).free >= size + RESERVE


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One builder at a time; the folder is made, and what killed builders left in it is removed.

    Raises:
        TransientError: the folder cannot be made or locked.
    """
    with contextlib.ExitStack() as stack:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            stack.enter_context(lock_file(folder / ".lock", mode=0o600))
        except OSError as error:
            raise TransientError(
                f"{folder}: no cache can be kept there ({error.strerror}); set {CACHE_VARIABLE}"
            ) from error
        for left in folder.glob(".tmp-*"):
            left.unlink(missing_ok=True)
        yield


@contextlib.contextmanager
def building(path: Path) -> Iterator[Path]:
    """A name to write under; at the end the file is on the disk and has its own name, or is gone.

    Raises:
        TransientError: it cannot be written, e.g. the disk is full.
    """
    temporary = path.with_name(f".tmp-{uuid.uuid4().hex}")
    try:
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise TransientError(
            f"{path.parent}: pictures cannot be cached ({error.strerror or error}); make room, set {CACHE_VARIABLE} to "
            "a folder on a larger disk, or lower `training.cache_gb`"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def added(checksum: int, block: NDArray[np.uint8]) -> int:
    """The sum of the bytes so far and these."""
    return zlib.crc32(block.data, checksum)


def text_of(content: Content) -> bytes:
    """The content as it stands in an Arrow file."""
    return json.dumps(asdict(content), sort_keys=True).encode()


def write_header(file: BinaryIO, content: Content, size: int, checksum: int) -> None:
    """Write the header to the file's beginning."""
    text = json.dumps({**asdict(content), "size": size, "crc32": checksum}, sort_keys=True).encode()
    assert len(text) < HEADER, "a header is a few hundred bytes"
    file.seek(0)
    file.write(text.ljust(HEADER - 1) + b"\n")


def sound(path: Path, content: Content, size: int) -> bool:
    """Whether the file holds this content, so many bytes after its header, undamaged."""
    try:
        with path.open("rb") as file:
            header = json.loads(file.read(HEADER))
            if {name: header.get(name) for name in asdict(content)} != _plain(content) or header.get("size") != size:
                return False
            checksum = 0
            while block := file.read(_BLOCK):
                checksum = zlib.crc32(block, checksum)
            return file.tell() == HEADER + size and checksum == header.get("crc32")
    except (OSError, ValueError, AttributeError):
        return False


def _plain(content: Content) -> dict[str, object]:
    plain: dict[str, object] = json.loads(json.dumps(asdict(content)))
    return plain


def drop_before(line: LineStore) -> None:
    """Remove what was cached on this machine before the line's last record was forgotten; a build is waited for.

    Other machines do so when they next train the line.

    Raises:
        TransientError: the folder cannot be locked.
    """
    folder = cache_folder(line.store) / line.name
    if folder.is_dir():
        with locked(folder):
            drop_forgotten(folder, forgotten_digest(line))


def drop_forgotten(folder: Path, forgotten: str) -> None:
    """Remove files that were made when other records were forgotten: they may hold one that is forgotten now."""
    for path in _files(folder):
        if path.name.split("-")[1] != forgotten[:16]:
            path.unlink(missing_ok=True)


def evict(folder: Path, content: Content, limit: float) -> None:
    """Make place for a new file: of those of other datasets, remove the longest unused beyond `limit` bytes together.

    Whoever has a file open keeps reading it.
    """
    found = []
    for path in _files(folder):
        if not path.name.startswith(content.dataset[:16]):
            with contextlib.suppress(FileNotFoundError):
                state = path.stat()
                found.append((state.st_mtime, state.st_size, path))
    total = 0
    for _, size, path in sorted(found, reverse=True):
        total += size
        if total > limit:
            path.unlink(missing_ok=True)


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*-*-*") if path.suffix in {PIXELS, PICTURES}]


def touch(path: Path) -> None:
    """Note that a file was used now."""
    with contextlib.suppress(OSError):
        now = time.time()
        os.utime(path, (now, now))
