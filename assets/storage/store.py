"""Everything the platform keeps, below one fsspec root: a folder on a laptop, a bucket in the cloud.

Writes are all or nothing: a key holds its old bytes or its new ones, also after a power cut. Artifacts are named by
their SHA-256 and checked when they are read.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import uuid
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import fsspec

from assets.storage import layout
from edge.contracts import ArtifactRef, check_key, from_bytes, to_bytes
from edge.errors import RejectedError, VerificationError

T = TypeVar("T")


@dataclass(frozen=True)
class Store:
    """Keys and bytes below `root`, any fsspec URL."""

    root: str

    @cached_property
    def _location(self) -> tuple[Any, str]:
        try:
            filesystem, path = fsspec.core.url_to_fs(self.root)
        except (ValueError, ImportError) as error:
            raise RejectedError(
                f"{self.root}: no state can be kept there ({error}); set EDGELOOP_HOME to a folder, or to a URL "
                "whose file system is installed"
            ) from error
        return filesystem, path.rstrip("/")

    @property
    def folder(self) -> str:
        """The root as the file system knows it: on this machine an absolute path."""
        return self._location[1] or "/"

    @property
    def local(self) -> bool:
        """Whether the root is a folder of this machine."""
        return "file" in self._protocols

    @cached_property
    def _protocols(self) -> tuple[str, ...]:
        protocol = self._location[0].protocol
        return (protocol,) if isinstance(protocol, str) else tuple(protocol)

    def path(self, key: str) -> str:
        """The path of `key` as the file system knows it. Raises ValueError for a key that leaves the root."""
        check_key(key)
        return f"{self._location[1]}/{key}"

    def exists(self, key: str) -> bool:
        """Whether `key` holds bytes, or has keys below it."""
        return bool(self._location[0].exists(self.path(key)))

    def read(self, key: str) -> bytes:
        """The bytes of `key`. Raises FileNotFoundError."""
        return bytes(self._location[0].cat_file(self.path(key)))

    def start(self, key: str, count: int) -> bytes:
        """The first `count` bytes of `key`, or all where there are fewer. Raises FileNotFoundError."""
        return bytes(self._location[0].cat_file(self.path(key), start=0, end=count))

    def write(self, key: str, data: bytes) -> None:
        """Replace the bytes of `key` in one step."""
        if self.local:
            _write_local(Path(self.path(key)), data, replace=True)
        else:
            self._location[0].pipe_file(self.path(key), data)

    def create(self, key: str, data: bytes) -> bool:
        """Write `key` unless it exists; of several writers exactly one is told True."""
        if self.local:
            return _write_local(Path(self.path(key)), data, replace=False)
        if self.exists(key):
            return False
        try:
            self._location[0].pipe_file(self.path(key), data, mode="create")
        except FileExistsError:
            return False
        return True

    def remove(self, key: str) -> bool:
        """Take `key` and its bytes away for good, where something must be forgotten; False where nothing was there.

        Nothing else removes bytes: whoever calls this has replaced every document that still leads here.
        """
        try:
            self._location[0].rm_file(self.path(key))
        except FileNotFoundError:
            return False
        if self.local:
            _sync_folder(Path(self.path(key)).parent)
        return True

    def names(self, prefix: str) -> list[str]:
        """Names directly below `prefix`, sorted; empty where there is nothing."""
        try:
            found = self._location[0].ls(self.path(prefix), detail=False)
        except FileNotFoundError:
            return []
        names = (entry.rstrip("/").rsplit("/", 1)[-1] for entry in found)
        return sorted(name for name in names if not name.startswith(".tmp-"))

    def put(self, line: str, data: bytes, kind: str, suffix: str, parents: tuple[str, ...] = ()) -> ArtifactRef:
        """Store `data` under its digest, below the line's artifacts; the same bytes are stored once."""
        sha256 = hashlib.sha256(data).hexdigest()
        key = f"{layout.artifacts(line)}/{sha256}{suffix}"
        ref = ArtifactRef(key, sha256, len(data), kind, parents)
        if not self.create(key, data) and not self.intact(ref):
            self.write(key, data)
        return ref

    def adopt(self, folder: str, path: Path, kind: str, suffix: str, parents: tuple[str, ...] = ()) -> ArtifactRef:
        """Move a finished local file to `<folder>/<its SHA-256><suffix>`, for what is too large to hold in memory."""
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            size = file.tell()
            os.fsync(file.fileno())
        ref = ArtifactRef(f"{folder}/{sha256}{suffix}", sha256, size, kind, parents)
        if not self.local:
            self._location[0].put_file(str(path), self.path(ref.uri))
            return ref
        target = Path(self.path(ref.uri))
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)  # the same bytes, where they are there already
        _sync_folder(target.parent)
        return ref

    def copy(self, ref: ArtifactRef, key: str) -> None:
        """Have `key` hold an artifact's bytes, checked, in one step; a folder of this machine is copied in pieces.

        Raises:
            VerificationError: they are missing or are not the ones named.
        """
        if not self.local:
            data = self.fetch(ref)
            if not self.exists(key) or self.read(key) != data:
                self.write(key, data)
            return
        target = Path(self.path(key))
        if _digest(target) == ref.sha256:
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".tmp-{uuid.uuid4().hex}")
        try:
            with contextlib.suppress(FileNotFoundError):
                shutil.copyfile(self.path(ref.uri), temporary)
            if (found := _digest(temporary)) != ref.sha256:
                raise self._changed(ref, found)
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
        _sync_folder(target.parent)

    def intact(self, ref: ArtifactRef) -> bool:
        """Whether the artifact's bytes are there and are the ones named."""
        try:
            self.fetch(ref)
        except VerificationError:
            return False
        return True

    def fetch(self, ref: ArtifactRef) -> bytes:
        """The artifact's bytes, checked. Raises VerificationError where they are missing or are not the ones named."""
        try:
            data = self.read(ref.uri)
        except FileNotFoundError as error:
            raise self._changed(ref, None) from error
        found = hashlib.sha256(data).hexdigest()
        if found != ref.sha256:
            raise self._changed(ref, found)
        return data

    def _changed(self, ref: ArtifactRef, found: str | None) -> VerificationError:
        if found is None:
            return VerificationError(f"{ref.uri}: the artifact is missing from {self.root}")
        return VerificationError(
            f"{ref.uri}: expected SHA-256 {ref.sha256[:12]}…, found {found[:12]}…; "
            "the stored file was changed: restore it, or run the step that makes it again"
        )

    def save(self, key: str, value: Any) -> None:
        """Write a contract document as JSON."""
        self.write(key, to_bytes(value))

    def load(self, key: str, cls: type[T]) -> T:
        """Read a contract document. Raises FileNotFoundError, ContractError."""
        return from_bytes(cls, self.read(key), key)

    def newest(self, line: str, cls: type[T]) -> T:
        """The newest result of the asset that makes such documents. Raises RejectedError where there is none yet."""
        asset = layout.asset_of(cls)
        try:
            return self.load(layout.head(line, asset), cls)
        except FileNotFoundError as error:
            raise RejectedError(f"line {line!r} has no {asset} yet; materialize {line}/{asset} first") from error

    def set_newest(self, line: str, value: Any) -> None:
        """Make `value` the newest result of the asset that makes such documents."""
        self.save(layout.head(line, layout.asset_of(value)), value)


def _digest(path: Path) -> str | None:
    """SHA-256 (hex) of a file; None where there is none."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return None


def _write_local(path: Path, data: bytes, *, replace: bool) -> bool:
    if not replace and path.exists():
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".tmp-{uuid.uuid4().hex}")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            temporary.replace(path)
        else:
            try:
                path.hardlink_to(temporary)
            except FileExistsError:
                return False
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)
    return True


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
