"""Each line's full profile on real data: landed, judged, made a dataset and trained by the very functions that run."""

from __future__ import annotations

import dataclasses
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import Any

from assets.line.config import Line
from assets.records.line_store import bind
from assets.storage.store import Store
from assets.training.documents import TrainedModel
from assets.training.train import train
from platform_defs.catalog import LINES_FOLDER, read_line
from tests.benchmarks.data.measured import run_alone
from tests.benchmarks.train.asked import LINES, Row
from tests.benchmarks.train.special import DigitJudge, engines
from tests.line_steps import accepted, dataset_of
from tests.shared_sets import SHARED

LIMIT_MINUTES = 10
"""What one training of a line may take, landing and judging included."""


def measure(names: Sequence[str], seeds: int | None) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Each line's rows as they are there, each line in a process of its own; a line's failure is a row.

    Args:
        seeds: how often each is trained; None for what `LINES` says.
    """
    for name in names:
        count = seeds or LINES[name].seeds
        try:
            found = run_alone(__name__, name, str(count), timeout=60 * LIMIT_MINUTES * (count + 1), sample_seconds=1.0)
            rows = [{**row, "peak_mb": found["peak_mb"]} for row in found["rows"]]
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            rows = [Row(name, "failed", None, note=" ".join(str(error).split())[-600:]).plain()]
        yield name, rows


def main() -> None:
    """One line, `python -m tests.benchmarks.train.lines NAME SEEDS`; prints its rows as JSON."""
    name, count = sys.argv[1], int(sys.argv[2])
    rows = list(_of_line(name, range(count)))
    print(json.dumps({"rows": [row.plain() for row in (*rows, *_means(rows))]}))


def _of_line(name: str, seeds: Sequence[int]) -> Iterator[Row]:
    asked = LINES[name]
    line = read_line(next(LINES_FOLDER.rglob(f"{name}/defs.yaml"))).in_profile("full")
    with tempfile.TemporaryDirectory(prefix="bench-train-") as home:
        store, began = Store(home), time.monotonic()
        accepted(bind(store, line), None if asked.source is None else SHARED / asked.source)
        dataset = dataset_of(bind(store, line))
        data_minutes = (time.monotonic() - began) / 60
        judge = DigitJudge(bind(store, line), dataset) if name == "mnist-gan" else None
        for seed in seeds:
            seeded, began = _seeded(line, seed), time.monotonic()
            model = train(bind(store, seeded), dataset, lambda text: print(text, file=sys.stderr, flush=True))
            minutes = (time.monotonic() - began) / 60
            rows = list(_of_model(name, model))
            if name == "turbofan":
                assert asked.target is not None
                rows = list(engines(bind(store, seeded), dataset, model, asked.target))
            elif judge is not None:
                rows += judge.look(store, model, seed)
            for row in rows:
                yield dataclasses.replace(row, seed=seed, minutes=data_minutes + minutes, train_minutes=minutes)
        if judge is not None:
            yield judge.row


def _seeded(line: Line, seed: int) -> Line:
    training = line.config.training.model_copy(update={"seed": seed})
    return Line(line.name, line.config.model_copy(update={"training": training}))


def _of_model(name: str, model: TrainedModel) -> Iterator[Row]:
    """The line's metric of the exported file, on test records."""
    asked = LINES[name]
    one = model.evidence.metric(asked.metric, "test")
    note = f"{len(model.curve)} epochs, ended by {model.ended}, {model.parameters:,} parameters"
    yield Row(
        line=name,
        metric=asked.metric,
        value=one.value,
        low=one.low,
        high=one.high,
        target=asked.target,
        better=asked.better,
        records=one.records,
        note=note,
    )


def _means(rows: Sequence[Row]) -> Iterator[Row]:
    """Mean over seeds of each metric that has several, with the standard deviation, the least and the largest."""
    for metric in dict.fromkeys(row.metric for row in rows):
        found = [row for row in rows if row.metric == metric and row.seed is not None and row.value is not None]
        values = [row.value for row in found if row.value is not None]
        if len(values) > 1:
            yield dataclasses.replace(
                found[0],
                metric=f"{metric}, mean of {len(values)} seeds",
                value=statistics.mean(values),
                spread=statistics.stdev(values),
                low=min(values),
                high=max(values),
                seed=None,
                minutes=statistics.mean(row.minutes or 0 for row in found),
                train_minutes=statistics.mean(row.train_minutes or 0 for row in found),
                note="low and high are the least and the largest, spread the standard deviation",
            )


if __name__ == "__main__":
    main()
