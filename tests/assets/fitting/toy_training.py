"""A training so small that tests can run it often; also a step's module, so that it can be run as the platform does."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from assets.fitting.checkpoints import StorePlace
from assets.fitting.contract import CheckpointPlace, FitControl, Fitted, Progress, TrainingSet, Watch
from assets.fitting.fit import fit
from assets.line.training import TrainingPolicy
from assets.processes.worker import Job, serve
from assets.storage.store import Store
from assets.tasks.task import load_task
from assets.training.triggers.documents import Claim
from tests.memory_set import MemorySet

CLASSES = ("a", "b", "c")


def records(count: int, seed: int) -> MemorySet:
    """Points in ten dimensions; the class is the largest of three fixed directions."""
    x = torch.randn(count, 10, generator=torch.Generator().manual_seed(seed))
    directions = torch.randn(10, 3, generator=torch.Generator().manual_seed(9))
    return MemorySet(x, (x @ directions).argmax(1).numpy())


TRAIN, VALIDATION = records(301, 0), records(101, 1)


def network(dropout: float = 0.0, batch_norm: bool = False) -> nn.Sequential:
    """The same weights each time."""
    torch.manual_seed(1)
    norm = nn.BatchNorm1d(16) if batch_norm else nn.Identity()
    return nn.Sequential(nn.Linear(10, 16), norm, nn.ReLU(), nn.Dropout(dropout), nn.Linear(16, 3))


def policy(**settings: Any) -> TrainingPolicy:
    """Three epochs of ten steps."""
    return TrainingPolicy(**({"epochs": 3, "batch_size": 30, "learning_rate": 0.01} | settings))


def run(net: nn.Module, train: TrainingSet = TRAIN, **settings: Any) -> Fitted:
    """Fit; settings are `fit`'s own or the policy's."""
    own = {name: settings.pop(name) for name in ("objective",) if name in settings}
    own["control"] = FitControl(
        **{name: settings.pop(name) for name in ("watch", "place", "minutes") if name in settings}
    )
    return fit(net, load_task("tabular_classification"), train, VALIDATION, policy(**settings), classes=CLASSES, **own)


@dataclass(frozen=True)
class Slow:
    """Records that take their time."""

    inner: MemorySet
    seconds: float

    @property
    def y(self) -> NDArray[Any]:
        return self.inner.y

    def __len__(self) -> int:
        return len(self.inner)

    def batch(self, rows: NDArray[np.int64]) -> Tensor:
        time.sleep(self.seconds)
        return self.inner.batch(rows)


class Seen(Watch):
    """Remembers everything it is told."""

    def __init__(self) -> None:
        self.rows: list[Mapping[str, float]] = []
        self.notes: list[str] = []
        self.losses: list[float] = []

    def progress(self, progress: Progress, loss: float) -> None:
        self.losses.append(loss)

    def epoch(self, row: Mapping[str, float], progress: Progress) -> None:
        self.rows.append(row)

    def note(self, text: str) -> None:
        self.notes.append(text)


class Shelf(CheckpointPlace):
    """Keeps every checkpoint in memory; may raise after so many."""

    def __init__(self, fail_after: int | None = None) -> None:
        self.kept: list[bytes] = []
        self.fail_after = fail_after

    def read(self) -> bytes | None:
        return self.kept[-1] if self.kept else None

    def write(self, data: bytes) -> None:
        self.kept.append(data)
        if len(self.kept) == self.fail_after:
            raise KeyboardError

    def remove(self) -> None:
        self.kept.clear()


class KeyboardError(Exception):
    """Ends a training from outside, as a crash would."""


def difference(one: Fitted, other: Fitted) -> float:
    """The largest difference of any number of two curves, but for their seconds."""
    assert len(one.curve) == len(other.curve)
    return max(
        abs(mine[name] - its[name])
        for mine, its in zip(one.curve, other.curve, strict=True)
        for name in mine
        if name != "seconds"
    )


def weights_difference(one: nn.Module, other: nn.Module) -> float:
    """The largest difference of any weight."""
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return max(float((mine.double() - its.double()).abs().max()) for mine, its in pairs)


def place(store: Store) -> StorePlace:
    return StorePlace(store, "tiny", "toy")


SLOWLY: Mapping[str, Any] = {"epochs": 3, "checkpoint_seconds": 0.1}


def step(job: Job) -> object:
    """`Job.options`: "end", what it does; "out", where the curve goes; "pids", where this process says who it is."""
    torch.set_num_threads(1)
    end = job.options["end"]
    part = Path(str(job.options["pids"])).with_suffix(f".{job.rank}.part")
    part.write_text(f"{os.getpid()} {os.getppid()}")
    part.rename(part.with_suffix(""))
    net = network()
    if end == "slowly":
        run(net, Slow(TRAIN, 0.15), place=place(job.line.store), **SLOWLY)
    else:
        fitted = run(net, processes=2, accumulate=3)
        out = Path(str(job.options["out"])).with_suffix(f".{job.rank}")
        weights = {name: value.tolist() for name, value in net.state_dict().items()}
        out.write_text(json.dumps({"curve": fitted.curve, "weights": weights}))
    return Claim(job.line.name, 0, 1, (), 3, "command", 0.5)


def read(path: Path) -> tuple[Fitted, nn.Module]:
    """What a step wrote."""
    body = json.loads(path.read_text())
    net = network()
    net.load_state_dict({name: torch.tensor(value) for name, value in body["weights"].items()})
    return replace(Fitted((), 1, 0.0, 0, 0, "epochs", 0.0), curve=tuple(body["curve"])), net


if __name__ == "__main__":
    serve(step)
