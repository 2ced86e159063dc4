"""A line's life, through the doors that people use: what each batch's verdict says, and what the dataset holds then."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from assets.ingest.generations import foreseen
from assets.ingest.landing import land
from assets.line.config import Line, parse_line
from assets.loading.records import RecordSet, open_split
from assets.quality.checks.continuation import NEW_NAMES
from assets.quality.gate import judge
from assets.records.dataset import SPLITS, DatasetVersion
from assets.records.line_store import BoundLine, bind
from assets.records.verdict import BatchVerdict
from assets.storage.store import Store
from assets.training.dataset import build_dataset
from assets.training.normalize import input_spec

STEPS, READINGS, UNITS = 4, 12, 30


def machines(*columns: str, modes: Sequence[str] = ("idle", "busy")) -> Line:
    series = {"unit": "machine", "time": "hour", "columns": list(columns), "target": "wear"}
    series |= {"categories": {"mode": list(modes)}} if "mode" in columns else {}
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


def in_parquet(csv: Path, folder: Path) -> Path:
    """The same rows as another system writes them: decimals, numbers of 32 bits, its columns in another order."""
    table = pyarrow.csv.read_csv(csv)
    kinds = {"machine": pa.int16(), "hour": pa.float32(), "heat": pa.decimal128(9, 3), "wear": pa.decimal128(9, 4)}
    for name, kind in kinds.items():
        table = table.set_column(table.column_names.index(name), name, table[name].cast(kind))
    folder.mkdir()
    pq.write_table(table.select(["wear", "mode", "heat", "hour", "machine"]), folder / "month.parquet")
    return folder


def units_by_split(line: BoundLine, dataset: DatasetVersion) -> dict[str, set[str]]:
    """The units of each split; a name is followed by the batch that it is of."""
    spec = input_spec(line.store, dataset, line.config)
    return {split: set(open_split(line.store, dataset, split, spec, line.config).groups) for split in SPLITS}


def lines(file: Path) -> list[str]:
    return file.read_text().splitlines(keepends=True)


def test_units_collide_and_the_same_month_comes_again(tmp_path: Path) -> None:
    line = bind(Store(str(tmp_path / "home")), machines("heat", "mode"))
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
    third = judged(line, in_parquet(month / "month.csv", tmp_path / "again"))
    assert (third.state, third.accepted, third.new, third.quarantined) == ("accepted", UNITS * READINGS, 0, 0)
    assert list(said(third)) == ["every record is new"]
    same = build_dataset(line)
    assert same.splits == both.splits
    again_windows, again_values = train_windows(line, same)
    assert again_windows.ids == windows.ids
    np.testing.assert_array_equal(again_values, values)


def test_a_new_word_waits_and_a_column_is_taken_out(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "home"))
    line = bind(store, machines("heat", "mode"))
    month = delivery(tmp_path / "one", 0)
    first = judged(line, month)
    before = build_dataset(line)

    # A mode that nobody named: its readings wait by name, and no other is lost.
    new = delivery(tmp_path / "two", 5)
    csv = new / "month.csv"
    csv.write_text("".join(row.replace("busy", "eco") if row.startswith("3,") else row for row in lines(csv)))
    second = judged(line, new)
    assert (second.state, second.quarantined, second.refused) == ("accepted", READINGS // 2, 0)
    (reason,) = {(one.reason, one.remedy) for one in second.reasons}
    assert "'eco' is none of the column's words" in " ".join(reason)
    assert "add it to `categories`" in " ".join(reason)
    held = build_dataset(line)
    assert sum(held.splits.values()) == 2 * sum(before.splits.values()) - READINGS // 2

    # The word is added: what was accepted is judged anew in its new form, and the readings that waited are in.
    named = bind(store, machines("heat", "mode", modes=("idle", "busy", "eco")))
    assert foreseen(named).startswith("generation 2: 2 accepted batches are judged anew, because the words of 'mode'")
    again = [judge(named, one.batch) for one in (first, second)]
    assert [(one.state, one.generation, one.quarantined) for one in again] == [("accepted", 2, 0)] * 2
    whole = build_dataset(named)
    assert sum(whole.splits.values()) == 2 * sum(before.splits.values())

    # A column goes: every reading is judged anew, stays on its side, and models see one column less.
    sides = units_by_split(named, whole)
    narrow = bind(store, machines("heat"))
    assert foreseen(narrow).startswith("generation 3: 2 accepted batches are judged anew, because column 'mode' was")
    assert [judge(narrow, one.batch).state for one in (first, second)] == ["accepted"] * 2
    taken = build_dataset(narrow)
    assert taken.splits == whole.splits
    assert units_by_split(narrow, taken) == sides
    _, values = train_windows(narrow, taken)
    assert values.shape[1:] == (STEPS, 1)
    # The first month once more, as Parquet: known in this generation too.
    once_more = judged(narrow, in_parquet(month / "month.csv", tmp_path / "again"))
    assert (once_more.state, once_more.new) == ("accepted", 0)
    assert build_dataset(narrow).splits == taken.splits
