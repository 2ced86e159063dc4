"""TensorBoard logs of one training: below the state's `logs/tensorboard/<line>/<training>/`."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from assets.fitting.contract import Progress
from assets.records.line_store import LineStore
from assets.storage import layout

KEEP_SECONDS = 60.0
"""How often the logs are copied to a state that is no local folder."""


class Scalars:
    """Writes scalars in a thread of TensorBoard's own; where they cannot be written, training goes on without.

    Where the state is a bucket, they are written to a scratch folder and copied now and then.
    """

    def __init__(self, line: LineStore, training: str) -> None:
        self._store, self._key = line.store, layout.tensorboard(line.name, training)
        self._scratch: tempfile.TemporaryDirectory[str] | None = None
        self._writer: Any = None
        self._kept = time.monotonic()

    def open(self, first_epoch: int = 1) -> str:
        """Begin; events of epochs from `first_epoch` on, of a run that was cut short, are withdrawn.

        Returns:
            Where the logs are, as TensorBoard's `--logdir` takes it; "" where they cannot be written.
        """
        from torch.utils.tensorboard import SummaryWriter

        if self._store.local:
            folder = self._store.path(self._key)
        else:
            self._scratch = tempfile.TemporaryDirectory()
            folder = self._scratch.name
        try:
            purge = first_epoch if first_epoch > 1 else None
            self._writer = SummaryWriter(folder, purge_step=purge, flush_secs=10)
        except OSError:
            return ""
        return folder if self._store.local else f"{self._store.root.rstrip('/')}/{self._key}"

    def add(self, row: Mapping[str, float], progress: Progress) -> None:
        """The numbers of one epoch, under names that group training and validation in one chart."""
        step = int(row.get("epoch", progress.epoch))
        named = {_tag(name): value for name, value in row.items() if name not in {"epoch", "step", "seconds"}}
        named["speed/records_per_second"] = progress.records_per_second
        for tag, value in named.items():
            self._do("add_scalar", tag, value, step)
        self._do("flush")

    def keep(self) -> None:
        """Copy the logs to a state that is no local folder, once in a while."""
        if self._scratch is not None and time.monotonic() - self._kept >= KEEP_SECONDS:
            self._copy()

    def close(self) -> None:
        """Write what is left."""
        self._do("close")
        self._writer = None
        if self._scratch is not None:
            self._copy()
            self._scratch.cleanup()
            self._scratch = None

    def _do(self, what: str, *args: Any) -> None:
        if self._writer is not None:
            try:
                getattr(self._writer, what)(*args)
            except OSError:  # a full disk
                self._writer = None

    def _copy(self) -> None:
        self._kept = time.monotonic()
        assert self._scratch is not None
        for path in Path(self._scratch.name).iterdir():
            with contextlib.suppress(OSError):
                self._store.write(f"{self._key}/{path.name}", path.read_bytes())


def _tag(name: str) -> str:
    """`train_loss` as `loss/train`, `validation_accuracy` as `accuracy/validation`."""
    for split in ("train", "validation"):
        if name.startswith(f"{split}_"):
            return f"{name.removeprefix(f'{split}_')}/{split}"
    return name
