"""Checkpoints: one training's state as bytes that are checked before they are used, and where they are kept."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from assets.storage import layout
from assets.storage.store import Store

MAGIC = b"edgeloop.checkpoint 1\n"
_DIGEST = 32


@dataclass(frozen=True)
class StorePlace:
    """A key of the store. Local folders: written beside it, synced, renamed over it; so the old one stands until then.

    Attributes:
        key: names the training, so that another one never takes its checkpoint up, e.g. the dataset's and the line's
            digests.
    """

    store: Store
    line: str
    key: str

    @property
    def _path(self) -> str:
        return f"{layout.checkpoints(self.line)}/{self.key}"

    def read(self) -> bytes | None:
        """The last checkpoint; None where there is none."""
        try:
            return self.store.read(self._path)
        except FileNotFoundError:
            return None

    def write(self, data: bytes) -> None:
        """Replace it. Raises OSError; the old one then still stands."""
        try:
            self.store.write(self._path, data)
        except OSError as error:  # a write to an open file does not say which
            error.filename = error.filename or self.store.path(self._path)
            raise

    def remove(self) -> None:
        """Take it away: the training is done."""
        self.store.remove(self._path)


def remove_checkpoints(store: Store, line: str) -> None:
    """Take all of a line's checkpoints away: what they were for is stored."""
    folder = layout.checkpoints(line)
    for name in store.names(folder):
        store.remove(f"{folder}/{name}")


class DamagedError(Exception):
    """Bytes that are no whole checkpoint."""


def to_checkpoint(body: Mapping[str, Any]) -> bytes:
    """Plain values and tensors as bytes that begin with their own SHA-256."""
    file = io.BytesIO()
    torch.save(dict(body), file)
    data = file.getvalue()
    return MAGIC + hashlib.sha256(data).digest() + data


def from_checkpoint(data: bytes) -> dict[str, Any]:
    """What `to_checkpoint` was given, on the CPU. Runs no code from the bytes. Raises DamagedError."""
    head = len(MAGIC) + _DIGEST
    if not data.startswith(MAGIC) or len(data) < head:
        raise DamagedError("it does not begin as a checkpoint does")
    if hashlib.sha256(data[head:]).digest() != data[len(MAGIC) : head]:
        raise DamagedError("its bytes are not the ones that were written")
    try:
        return dict(torch.load(io.BytesIO(data[head:]), map_location="cpu", weights_only=True))
    except Exception as error:  # torch raises whatever the format's parts raise
        raise DamagedError(f"it cannot be read ({error})") from error
