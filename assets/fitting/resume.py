"""Writes a training's checkpoints, and takes the last one up."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from typing import Any

from torch import nn

from assets.errors import of_the_machine
from assets.fitting.checkpoints import DamagedError, from_checkpoint, to_checkpoint
from assets.fitting.contract import CheckpointPlace, Watch


def fingerprint(network: nn.Module, facts: Mapping[str, Any]) -> str:
    """Names what a checkpoint fits: the network's tensors and everything that decides what a step does."""
    shapes = {name: [str(value.dtype), *value.shape] for name, value in network.state_dict().items()}
    body = json.dumps([shapes, dict(facts)], sort_keys=True, default=str)
    return hashlib.sha256(body.encode()).hexdigest()


class Keeper:
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
