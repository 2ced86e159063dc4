"""Checkpoints: a training's state as bytes, where they lie, when they are written, and how the last one is resumed."""

from __future__ import annotations

import hashlib
import io
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from assets.errors import of_the_machine
from assets.fitting.contract import CheckpointPlace, Watch
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


def fingerprint(network: nn.Module, facts: Mapping[str, Any]) -> str:
    """Names what a checkpoint fits: the network's tensors and everything that decides what a step does."""
    shapes = {name: [str(value.dtype), *value.shape] for name, value in network.state_dict().items()}
    body = json.dumps([shapes, dict(facts)], sort_keys=True, default=str)
    return hashlib.sha256(body.encode()).hexdigest()


class Checkpoints:
    """The checkpoints of one training. Without a place, none are kept."""

    def __init__(self, place: CheckpointPlace | None, seconds: float, fits: str) -> None:
        self.place, self.seconds, self.fits = place, seconds, fits
        self._last = time.monotonic()

    def due(self) -> bool:
        """Whether the last one is old enough."""
        return self.place is not None and time.monotonic() - self._last >= self.seconds

    def read(self, watch: Watch) -> dict[str, Any] | None:
        """The last checkpoint of this very training; None, and the reason told, where there is none of use."""
        try:
            data = self.place.read() if self.place is not None else None
            if data is None:
                return None
            body = from_checkpoint(data)
        except DamagedError as error:
            watch.note(f"the checkpoint found is damaged: {error}; training starts afresh")
            return None
        except OSError as error:
            watch.note(f"the checkpoint found cannot be read ({error}); training starts afresh")
            return None
        if body.get("fits") != self.fits:
            watch.note("the checkpoint found is of a training with other data or settings; training starts afresh")
            return None
        return body

    def write(self, body: Mapping[str, Any]) -> None:
        """Replace the last checkpoint.

        Raises:
            TransientError: the disk is full; the last checkpoint still stands.
            RejectedError: the place may not be written.
        """
        if self.place is None:
            return
        try:
            self.place.write(to_checkpoint({**body, "fits": self.fits}))
        except OSError as error:
            raise of_the_machine(error, "the training's checkpoint", "see that it may be written") from error
        self._last = time.monotonic()
