"""Retraining when a second batch has come: from scratch, and from the first batch's model in a third of the epochs."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from assets.line.config import Line
from assets.records.dataset import DatasetVersion
from assets.records.line_store import BoundLine, bind
from assets.storage.store import Store
from assets.training.documents import TrainedModel
from assets.training.train import train
from platform_defs.catalog import LINES_FOLDER, read_line
from platform_defs.demo.data import write_batches
from tests.line_steps import accepted, dataset_of

SEEDS = 3
SHARE = 3
"""A warm start gets one of so many epochs."""


def measure() -> list[dict[str, Any]]:
    """Accuracy on the same test records, and minutes, of each start: `digits` with the demo's batches 1 and 2."""
    line = read_line(LINES_FOLDER / "digits" / "defs.yaml").in_profile("full")
    epochs = line.config.training.epochs
    found: dict[str, list[tuple[TrainedModel, float]]] = {"batch 1 alone": [], "from scratch": [], "from batch 1": []}
    for seed in range(SEEDS):
        with tempfile.TemporaryDirectory(prefix="bench-warm-") as home:
            store, (first, second, _) = Store(f"{home}/state"), write_batches(Path(home) / "batches")
            accepted(bind(store, line), first)
            before, minutes = _timed(bind(store, _line(line, seed, epochs, "scratch")), dataset_of(bind(store, line)))
            found["batch 1 alone"].append((before, minutes))
            store.set_newest(line.name, before)
            accepted(bind(store, line), second)
            both = dataset_of(bind(store, line))
            found["from scratch"].append(_timed(bind(store, _line(line, seed, epochs, "scratch")), both))
            found["from batch 1"].append(_timed(bind(store, _line(line, seed, epochs // SHARE, "last")), both))
    return [row for name, models in found.items() for row in _rows(line.name, name, models)]


def _line(line: Line, seed: int, epochs: int, start: str) -> Line:
    training = line.config.training.model_copy(update={"seed": seed, "epochs": epochs, "start": start})
    return Line(line.name, line.config.model_copy(update={"training": training}))


def _timed(line: BoundLine, dataset: DatasetVersion) -> tuple[TrainedModel, float]:
    began = time.monotonic()
    model = train(line, dataset, lambda text: None)
    return model, (time.monotonic() - began) / 60


def _rows(line: str, name: str, models: list[tuple[TrainedModel, float]]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for seed, (model, minutes) in enumerate(models):
        one = model.evidence.metric("accuracy", "test")
        rows.append(
            {
                "line": line,
                "metric": f"accuracy, {name}",
                "value": one.value,
                "seed": seed,
                "minutes": minutes,
                "fitting_seconds": model.curve[-1]["seconds"],
                "low": one.low,
                "high": one.high,
                "records": one.records,
                "note": f"{len(model.curve)} epochs, start: {model.start.kind}",
            }
        )
    means = {key: statistics.mean(row[key] for row in rows) for key in ("value", "minutes", "fitting_seconds")}
    spread = statistics.stdev(row["value"] for row in rows)
    summary = {"line": line, "metric": f"accuracy, {name}, mean of {SEEDS} seeds", **means, "spread": spread}
    return [*rows, summary]
