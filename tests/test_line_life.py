"""A line's life, through the doors that people use: what each batch's verdict says, and what the dataset holds then."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.csv
import pyarrow.parquet as pq

from assets.ingest.landing import land
from assets.line.config import Line, parse_line
from assets.loading.records import RecordSet, open_split
from assets.quality.checks.continuation import NEW_NAMES
from assets.quality.gate import judge
from assets.records.dataset import DatasetVersion
from assets.records.line_store import BoundLine, bind
from assets.records.verdict import BatchVerdict
from assets.storage.store import Store
from assets.training.dataset import build_dataset
from assets.training.normalize import input_spec

STEPS, READINGS, UNITS = 4, 12, 30


def machines() -> Line:
    series = {
        "unit": "machine",
        "time": "hour",
        "columns": ["heat", "mode"],
        "categories": {"mode": ["idle", "busy"]},
        "target": "wear",
    }
    attributes = {
        "data": {"reader": "series", "series": series},
        "quality": {"min_records": 20, "max_bad_share": 0.3, "drift": {"action": "off"}},
        "model": "gru",
        "features": {"steps": STEPS},
    }
    return parse_line("machines", attributes, "test")


def delivery(folder: Path, seed: int) -> Path:
    """A CSV of machines 1 to `UNITS`, each with readings from hour 0 on; every delivery has machines of its own."""
    draw = np.random.default_rng(seed)
    rows = [
        f"{machine},{hour},{draw.normal(seed, 1):.3f},{('idle', 'busy')[hour % 2]},{draw.normal():.4f}"
        for machine in range(1, UNITS + 1)
        for hour in range(READINGS)
    ]
    folder.mkdir()
    (folder / "month.csv").write_text("\n".join(["machine,hour,heat,mode,wear", *rows, ""]))
    return folder


def judged(line: BoundLine, source: Path) -> BatchVerdict:
    return judge(line, land(line, source).batch)


def said(verdict: BatchVerdict) -> dict[str, str]:
    """What did not hold, by check."""
    return {check.name: check.detail for check in verdict.checks if check.outcome != "passed"}


def train_windows(line: BoundLine, dataset: DatasetVersion) -> tuple[RecordSet, np.ndarray]:  # type: ignore[type-arg]
    """The windows that models learn from, in the columns' own units."""
    spec = input_spec(line.store, dataset, line.config)
    windows = open_split(line.store, dataset, "train", spec, line.config)
    values = windows.batch(np.arange(len(windows))).numpy() * np.asarray(spec.std) + np.asarray(spec.mean)
    return windows, values


def test_units_collide_and_the_same_month_comes_again(tmp_path: Path) -> None:
    line = bind(Store(str(tmp_path / "home")), machines())
    month = delivery(tmp_path / "one", 0)
    first = judged(line, month)
    assert (first.state, first.accepted, first.new) == ("accepted", UNITS * READINGS, UNITS * READINGS)
    assert not said(first)
    alone = build_dataset(line)
    before, _ = train_windows(line, alone)

    # Another delivery numbers its machines from 1, too: they are other machines, and the verdict says how they count.
    second = judged(line, delivery(tmp_path / "two", 50))
    assert (second.state, second.accepted, second.new) == ("accepted", UNITS * READINGS, UNITS * READINGS)
    assert list(said(second)) == [NEW_NAMES]
    assert f"{UNITS} units ('1', '2', '3', …) had their names in earlier batches" in said(second)[NEW_NAMES]
    both = build_dataset(line)
    assert both.splits == {split: 2 * count for split, count in alone.splits.items()}
    windows, values = train_windows(line, both)
    assert len(windows) == 2 * len(before)
    heat = values[:, :, 0]
    assert ((heat > 25).all(axis=1) | (heat < 25).all(axis=1)).all()  # machines of a delivery have about its heat
    assert len(set(windows.groups)) == 2 * len(set(before.groups))

    # The first month again, from another system as Parquet: nothing is new, and the dataset holds what it held.
    again = tmp_path / "again"
    again.mkdir()
    pq.write_table(pyarrow.csv.read_csv(month / "month.csv"), again / "month.parquet")
    third = judged(line, again)
    assert (third.state, third.accepted, third.new, third.quarantined) == ("accepted", UNITS * READINGS, 0, 0)
    assert list(said(third)) == ["every record is new"]
    same = build_dataset(line)
    assert same.splits == both.splits
    again_windows, again_values = train_windows(line, same)
    assert again_windows.ids == windows.ids
    np.testing.assert_array_equal(again_values, values)
