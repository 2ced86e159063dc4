"""Units over several batches, through the gate: landed, judged, and what the verdict says and keeps."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pyarrow.parquet as pq
import pytest

from assets.forgetting.forget import forget
from assets.line.config import Line, parse_line
from assets.quality.checks.continuation import NEW_NAMES
from assets.quality.gate import judge
from assets.quality.history import INDEX_SCHEMA
from assets.quality.rules_by_kind import GOES_ON
from assets.records.forgotten import fetch_shard
from assets.records.line_store import LineStore, bind
from assets.records.verdict import BatchVerdict
from assets.storage import layout
from assets.storage.store import Store

Land = Callable[[Line, Mapping[str, bytes]], str]


def machines(unit_ids: str, **more: Any) -> Line:
    series = {"unit": "u", "time": "t", "columns": ["a"], "target": "y", "unit_ids": unit_ids}
    data = {"reader": "series", "series": series, **more}
    return parse_line("machines", {"data": data, "quality": {"min_records": 1, "max_bad_share": 0.9}}, "test")


def month(units: str, times: range, factor: float = 1.0) -> dict[str, bytes]:
    rows = [f"{unit},{time},{factor * time + ord(unit)},{time % 7}.5" for unit in units for time in times]
    return {"month.csv": "\n".join(["u,t,a,y", *rows, ""]).encode()}


def check(verdict: BatchVerdict, name: str) -> tuple[str, str]:
    return next((check.outcome, check.detail) for check in verdict.checks if check.name == name)


def without_units(store: Store, verdict: BatchVerdict) -> None:
    """Leave the index of an accepted batch as versions did that knew no units in it."""
    assert verdict.ids is not None
    table = pq.read_table(io.BytesIO(fetch_shard(store, verdict.ids)), columns=INDEX_SCHEMA.names)
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    old = LineStore(store, verdict.line).put(buffer.getvalue(), "parquet", ".parquet")
    store.save(layout.verdict(verdict.line, verdict.batch), replace(verdict, ids=old))


@pytest.mark.parametrize("old", [False, True])
def test_a_global_unit_goes_on_in_a_later_batch(store: Store, put: Land, old: bool) -> None:
    line = machines("global")
    first = judge(bind(store, line), put(line, month("12", range(10))))
    assert (first.state, first.accepted) == ("accepted", 20)
    if old:
        without_units(store, first)
    # unit 1 goes on, unit 2 was there at 8 and 9 with other values, unit 3 is new
    later = month("1", range(10, 20)) | {"two.csv": month("2", range(8, 12), 2.0)["month.csv"]}
    later |= {"three.csv": month("3", range(4))["month.csv"]}
    verdict = judge(bind(store, line), put(line, later))
    assert (verdict.state, verdict.accepted, verdict.quarantined) == ("accepted", 16, 2)
    assert {reason.file for reason in verdict.reasons} == {"two.csv"}
    assert verdict.reasons[0].reason == "its unit already has readings up to 9 from earlier batches"
    assert "if each batch numbers its units anew, say `unit_ids: batch`" in verdict.reasons[0].remedy
    assert check(verdict, GOES_ON)[0] == "failed"
    assert NEW_NAMES not in {one.name for one in verdict.checks}


def test_the_same_month_again_is_known_and_not_late(store: Store, put: Land) -> None:
    line = machines("global")
    judge(bind(store, line), put(line, month("12", range(10))))
    again = judge(bind(store, line), put(line, month("12", range(12))))
    assert (again.accepted, again.new, again.quarantined) == (24, 4, 0)
    assert check(again, GOES_ON)[0] == "passed"


def test_a_known_reading_with_another_target_is_no_known_one(store: Store, put: Land) -> None:
    line = machines("global")
    judge(bind(store, line), put(line, month("1", range(10))))
    text = month("1", range(12))["month.csv"].decode().replace("\n1,3,52.0,3.5\n", "\n1,3,52.0,9.5\n")
    again = judge(bind(store, line), put(line, {"month.csv": text.encode()}))
    assert "9.5" in text
    assert (again.accepted, again.quarantined) == (11, 1)
    assert again.reasons[0].place == "line 5"


def test_names_that_come_again_are_other_units_and_the_verdict_says_so(store: Store, put: Land) -> None:
    line = machines("batch")
    first = judge(bind(store, line), put(line, month("12", range(10))))
    assert check(first, NEW_NAMES)[0] == "passed"
    verdict = judge(bind(store, line), put(line, month("123", range(10), 2.0)))
    assert (verdict.state, verdict.quarantined) == ("accepted", 0)
    outcome, detail = check(verdict, NEW_NAMES)
    assert outcome == "failed"
    assert "2 units ('1', '2') had their names in earlier batches" in detail
    assert "`unit_ids: global`" in detail


def test_two_files_of_one_batch_with_equal_names_are_told_apart_or_refused(store: Store, put: Land) -> None:
    files = {"left.csv": month("12", range(10))["month.csv"], "right.csv": month("12", range(10), 2.0)["month.csv"]}
    verdict = judge(bind(store, machines("batch")), put(machines("batch"), files))
    assert verdict.quarantined > 0
    assert "which is in left.csv and right.csv" in verdict.reasons[0].reason
    assert "say `unit_ids: file`" in verdict.reasons[0].remedy
    verdict = judge(bind(store, machines("file")), put(machines("file"), files | {"x.csv": b"u,t,a,y\n9,1,1,1\n"}))
    assert (verdict.accepted, verdict.quarantined) == (41, 0)


def test_the_index_keeps_no_unit_and_time_of_a_forgotten_reading(store: Store, put: Land) -> None:
    line = machines("global")
    first = judge(bind(store, line), put(line, month("1", range(10))))
    shard = pq.read_table(io.BytesIO(fetch_shard(store, first.records[0])))
    last = next(row["id"] for row in shard.to_pylist() if row["time"] == 9.0)
    forget(bind(store, line), last, "asked for", "ann")
    verdict = bind(store, line).verdict(first.batch)
    assert verdict is not None
    assert verdict.ids is not None
    kept = pq.read_table(io.BytesIO(fetch_shard(store, verdict.ids))).to_pylist()
    assert sorted((row["_group"], row["_time"]) for row in kept if row["_time"] is not None) == [
        ("1", float(time)) for time in range(9)
    ]
    assert [row["_group"] for row in kept if row["_time"] is None] == [""]
    other = judge(bind(store, line), put(line, {"x.csv": b"u,t,a,y\n1,9,5,1\n"}))
    assert other.quarantined == 0  # nothing remembers that time
