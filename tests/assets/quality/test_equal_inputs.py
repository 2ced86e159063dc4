"""Equal inputs through the whole gate: repeated rows, other targets, corrected labels, inputs in two splits."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assets.ingest.landing import land
from assets.line.config import Line, parse_line
from assets.quality.equal_inputs import ONE_TARGET
from assets.quality.gate import judge
from assets.quality.rules import APART
from assets.records.line_store import bind
from assets.records.read import distinct_rows
from assets.records.verdict import BatchVerdict
from assets.storage.store import Store
from assets.training.dataset import build_dataset

Files = Mapping[str, bytes]
Landing = Callable[..., BatchVerdict]


def table_line(name: str, classes: tuple[str, ...] = (), **quality: Any) -> Line:
    """Rows of a and b with a target t."""
    data = {"reader": "table", "table": {"target": "t", "columns": ["a", "b"]}, "classes": classes}
    return parse_line(name, {"data": data, "quality": {"min_records": 5, **quality}}, "test")


def csv(rows: list[tuple[Any, ...]], names: str = "a,b,t") -> bytes:
    """Rows as a CSV file."""
    return "\n".join([names, *(",".join(map(str, row)) for row in rows)]).encode() + b"\n"


@pytest.fixture
def landed(store: Store, tmp_path: Path) -> Landing:
    count = 0

    def call(line: Line, files: Files, corrections: bool = False) -> BatchVerdict:
        nonlocal count
        count += 1
        for name, content in files.items():
            path = tmp_path / f"in{count}" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        bound = bind(store, line)
        return judge(bound, land(bound, tmp_path / f"in{count}", corrections=corrections).batch)

    return call


def targets(store: Store, line: Line) -> list[float]:
    """The targets of the line's dataset, sorted."""
    dataset = build_dataset(bind(store, line))
    shards = distinct_rows(store, dataset.shards, dataset.classes, dataset)
    return sorted(row.label for _, rows in shards for row in rows)


HOURS = [(hour % 24, hour // 24 % 7, round(50 + 10 * np.sin(hour) + hour % 24, 3)) for hour in range(1008)]


def test_rows_of_equal_inputs_keep_their_targets_and_count_once_when_they_come_again(
    store: Store, landed: Landing
) -> None:
    line = table_line("load")
    verdict = landed(line, {"load.csv": csv(HOURS)})
    assert (verdict.accepted, verdict.new) == (1008, 1008)
    said = next(check.detail for check in verdict.checks if check.name == ONE_TARGET)
    assert said.startswith("168 inputs come with more than one target: kept, as rows of a table may")
    assert targets(store, line) == sorted(row[2] for row in HOURS)
    buffer = io.BytesIO()
    pq.write_table(pa.table(dict(zip("abt", map(list, zip(*HOURS, strict=True)), strict=True))), buffer)
    again = landed(line, {"load.parquet": buffer.getvalue()})
    assert (again.accepted, again.new) == (1008, 0)
    assert targets(store, line) == sorted(row[2] for row in HOURS)


@pytest.mark.parametrize(("copies", "new", "total"), [("once", 0, 30), ("per_batch", 30, 90), ("all", 90, 150)])
def test_how_often_equal_rows_count_is_a_setting(
    store: Store, landed: Landing, copies: str, new: int, total: int
) -> None:
    line = table_line("often", copies=copies)
    rows = [(n, n, n) for n in range(30)]
    landed(line, {"one.csv": csv(rows * 2)})
    assert landed(line, {"two.csv": csv(rows * 3)}).new == new
    assert len(targets(store, line)) == total


def test_classes_that_differ_for_equal_rows_are_ordinary_unless_the_line_says_otherwise(landed: Landing) -> None:
    rows = [(n % 30, 0, "yn"[n // 30 % 2]) for n in range(900)]
    assert landed(table_line("noisy", ("y", "n")), {"a.csv": csv(rows)}).accepted == 900
    warned = landed(table_line("told", ("y", "n"), conflicts="warn"), {"a.csv": csv(rows)})
    assert warned.accepted == 900
    assert "no record has two labels in the batch" in [c.name for c in warned.checks if c.outcome == "failed"]
    assert landed(table_line("strict", ("y", "n"), conflicts="quarantine"), {"a.csv": csv(rows)}).state == "blocked"


def test_a_picture_under_two_classes_is_label_trouble(
    landed: Landing, pictures: Line, good: Files, png: Callable[[int], bytes]
) -> None:
    verdict = landed(pictures, {**good, "cat/twin.png": png(99), "dog/twin.png": png(99)})
    assert (verdict.accepted, verdict.quarantined) == (12, 2)
    assert {reason.file for reason in verdict.reasons} == {"cat/twin.png", "dog/twin.png"}


def test_a_label_is_corrected_where_the_source_says_so_and_the_verdict_says_which_won(
    store: Store, landed: Landing, pictures: Line, good: Files
) -> None:
    assert landed(pictures, good).new == 12
    other = {f"{'dog' if name[:3] == 'cat' else 'cat'}{name[3:]}": content for name, content in good.items()}
    some = dict(list(other.items())[:3])
    held = landed(pictures, {**other, "cat/new.png": b""})
    assert held.state == "blocked"
    few = parse_line("pets", pictures.config.model_dump() | {"quality": {"min_records": 1}}, "test")
    fixed = landed(few, some, corrections=True)
    assert (fixed.state, fixed.corrected) == ("accepted", 3)
    assert "3 labels corrected: " in fixed.why
    assert " -> " in fixed.why
    assert fixed.new == 3
    dataset = bind(store, few).line.config.data.classes
    assert dataset == ("cat", "dog")


def test_corrected_targets_of_a_table_leave_the_dataset_and_do_not_come_back(store: Store, landed: Landing) -> None:
    line = table_line("meter")
    rows = [(n, 0, 1.0) for n in range(40)]
    landed(line, {"a.csv": csv(rows)})
    verdict = landed(line, {"b.csv": csv([(n, 0, 2.5) for n in range(5)])}, corrections=True)
    assert verdict.why.endswith("5 labels corrected: 1.0 -> 2.5.")
    assert targets(store, line) == [1.0] * 35 + [2.5] * 5
    assert landed(line, {"c.csv": csv([*rows, (99, 0, 7.0)])}).new == 1
    assert targets(store, line) == [1.0] * 35 + [2.5] * 5 + [7.0]
    back = landed(line, {"d.csv": csv([(n, 0, 1.0) for n in range(5)])}, corrections=True)
    assert back.why.endswith("5 labels corrected: 2.5 -> 1.0.")
    assert targets(store, line) == [1.0] * 40 + [7.0]


def test_another_target_without_a_word_corrects_nothing(store: Store, landed: Landing) -> None:
    line = table_line("plain")
    landed(line, {"a.csv": csv([(n, 0, 1.0) for n in range(30)])})
    assert landed(line, {"b.csv": csv([(n, 0, 2.0) for n in range(30)])}).new == 30
    assert targets(store, line) == [1.0] * 30 + [2.0] * 30


def test_train_rows_whose_input_is_tested_on_are_set_aside_and_are_not_bad(landed: Landing) -> None:
    line = table_line("leaky", ("y", "n"))
    train = [(n, 0, "y") for n in range(60)]
    test = [(n, 0, "n") for n in range(40, 70)]
    verdict = landed(line, {"train.csv": csv(train), "test.csv": csv(test)})
    assert (verdict.state, verdict.accepted, verdict.quarantined) == ("accepted", 70, 20)
    assert "20 whose input is in another split are not counted" in " ".join(check.detail for check in verdict.checks)
    later = landed(line, {"train.csv": csv([(n, 0, "y") for n in range(60, 80)])})
    assert (later.accepted, later.quarantined) == (10, 10)
    assert {reason.reason for reason in later.reasons} == {
        f"its input is also test.csv#{line} of an earlier batch, a test record" for line in range(22, 32)
    }
    kept = landed(table_line("open", ("y", "n"), leakage="warn"), {"train.csv": csv(train), "test.csv": csv(test)})
    assert kept.accepted == 90
    assert APART in [check.name for check in kept.checks if check.outcome == "failed"]
