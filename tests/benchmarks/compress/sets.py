"""The two data sets, the lines that read them, and the teacher of each, which is trained once and kept."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from assets.line.config import Line, parse_line
from assets.records.dataset import DatasetVersion
from assets.records.line_store import LineStore, bind
from assets.storage.store import Store
from assets.training.documents import TrainedModel
from assets.training.train import train
from edge.contracts import digest
from platform_defs.home import find_home
from tests.line_steps import accepted, dataset_of
from tests.shared_sets import CLOTHES, SHARED, THINGS

TARGETS = ("cpu-x86", "rtx-sm86")
BUDGETS = (0.5, 1.0, 2.0, 4.0)
"""Points of accuracy (hundredths) that a model may lose against its teacher, on validation records."""

_COMPRESS: dict[str, Any] = {
    "blocks": [1],
    "survivors": 8,
    "formats": ["int8", "float16"],
    "max_minutes": 7,
}
"""Each cut is taught a little, eight that no other beats to the end. What INT8 at batch 1 feels most is how many places
a layer writes, so the first layer's step and the first stage's block count more than channels."""


@dataclass(frozen=True)
class BenchSet:
    """A data set: where it lies below the shared data, and what its line says."""

    source: str
    line: dict[str, Any]


SETS: dict[str, BenchSet] = {
    "cifar10": BenchSet(
        "cifar10/cifar-10-batches-py",
        {
            "description": "5,000 colour pictures of 32x32 pixels, ten classes; 1,000 more for the test.",
            "data": {
                "reader": "cifar10",
                "classes": THINGS,
                "image": {"height": 32, "width": 32, "channels": 3},
                "carve": ["validation"],
                "validation_share": 0.2,
            },
            "model": {"family": "resnet", "width": 24, "depth": 1},
            "training": {
                "epochs": 45,
                "batch_size": 64,
                "learning_rate": 0.1,
                "optimizer": "sgd",
                "weight_decay": 0.001,
                "label_smoothing": 0.1,
                "channels_last": True,
                "augment": {"crop": 4, "flip": True, "cutout": 8},
            },
            "compress": {**_COMPRESS, "prune": [0.3, 0.5], "halvings": [1], "distill_epochs": 30, "proxy_share": 0.1},
            "budget": {"max_drop": max(BUDGETS) / 100},
            "targets": TARGETS,
        },
    ),
    "fashion-mnist": BenchSet(
        "fashion-mnist",
        {
            "description": "60,000 grey pictures of 28x28 pixels, ten classes; 10,000 more for the test.",
            "data": {
                "reader": "idx",
                "classes": CLOTHES,
                "image": {"height": 28, "width": 28, "channels": 1},
                "carve": ["validation"],
                "validation_share": 0.1,
            },
            "model": {"family": "resnet", "width": 20, "depth": 1},
            "training": {
                "epochs": 6,
                "batch_size": 128,
                "learning_rate": 0.1,
                "optimizer": "sgd",
                "weight_decay": 0.0005,
                "label_smoothing": 0.05,
                "channels_last": True,
                "augment": {"crop": 1, "flip": True},
            },
            "compress": {
                **_COMPRESS,
                "prune": [0.5],
                "halvings": [1, 2],
                "distill_epochs": 5,
                "proxy_share": 0.2,
            },
            "budget": {"max_drop": max(BUDGETS) / 100},
            "targets": TARGETS,
        },
    ),
}


@dataclass(frozen=True)
class Opened:
    """A data set that landed, and its teacher.

    Attributes:
        seconds: of landing, judging and training now; next to nothing where the teacher was kept.
    """

    name: str
    store: Store
    line: Line
    dataset: DatasetVersion
    teacher: TrainedModel
    seconds: float


def open_set(name: str, small: bool, report: Callable[[str], None]) -> Opened:
    """Land the data and train the teacher, or find both as they were left below `.edgeloop/bench/compress`.

    What is kept is named by the digest of the line's data, model and training, so a changed recipe trains anew.

    Args:
        small: a teacher of few epochs, to look whether everything runs.
    """
    began, line = time.monotonic(), line_of(name, small)
    config = line.config.model_dump(mode="json", include={"data", "model", "training"})
    key = hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:16]
    store = Store(f"{find_home()}/bench/compress/{name}-{key}")
    if not store.exists("model.json"):
        report(f"{name}: landing, judging, training the teacher")
        accepted(bind(store, line), SHARED / SETS[name].source)
        dataset = dataset_of(bind(store, line))
        store.save("model.json", train(bind(store, line), dataset, lambda text: report(f"{name}: {text}")))
    teacher = store.load("model.json", TrainedModel)
    dataset = LineStore(store, line.name).dataset(teacher.dataset)
    assert digest(dataset) == teacher.dataset, "a dataset is named by its digest"
    return Opened(name, store, line, dataset, teacher, time.monotonic() - began)


def line_of(name: str, small: bool) -> Line:
    """The line of a data set."""
    body = dict(SETS[name].line)
    if small:
        # One thread: several that wait for each other on a busy machine take many times as long.
        body["training"] = {**body["training"], "epochs": 2 if name == "cifar10" else 1, "threads": 1}
        body["model"] = {**body["model"], "width": 8}
        body["compress"] = {**body["compress"], "distill_epochs": 1, "prune": [], "blocks": [1]}
    return parse_line(f"bench-{name}", body, "tests/benchmarks/compress/sets.py")
