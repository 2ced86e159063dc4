"""The reader of series: units, times and targets, as the files say them."""

from __future__ import annotations

import datetime
import io
import json
import math
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.errors import RejectedError
from assets.line.data import DataContract
from assets.readers import series as series_reader
from assets.readers.series import read_series, record_of
from assets.readers.times import Clock
from assets.records.reason import Reason
from tests.assets.readers.rows_of_readers import SHARED, needs_shared, read_all


def contract(**series: Any) -> DataContract:
    section: dict[str, Any] = {"unit": "unit", "time": "time", "columns": ("a",), **series}
    if not section.get("remaining"):
        section.setdefault("target", "y")
    return DataContract(reader="series", series=section)  # type: ignore[arg-type]


def read(
    contents: dict[str, bytes] | bytes, data: DataContract | None = None
) -> tuple[list[dict[str, Any]], list[Reason]]:
    contents = {"x.csv": contents} if isinstance(contents, bytes) else contents
    return read_all(read_series, contents, data or contract())


def notes(row: dict[str, Any]) -> dict[str, str]:
    return dict(json.loads(row["_notes"] or "{}"))


REMAINING = contract(remaining=True, header=("unit", "time", "a"))


def test_readings_keep_their_order_unit_and_time() -> None:
    found, reasons = read(b"unit,time,a,y\nm1,2,0.5,7\nm1,1,0.25,8\nm2,1,0.5,9\n,3,1,1\n")
    assert not reasons
    assert [(row["_group"], row["_time"], row["a"], row["_label"]) for row in found] == [
        ("m1", 2.0, 0.5, "7.0"),
        ("m1", 1.0, 0.25, "8.0"),
        ("m2", 1.0, 0.5, "9.0"),
        ("", 3.0, 1.0, "1.0"),
    ]
    assert notes(found[3]) == {"unit": "the cell is empty"}
    assert len({row["_id"] for row in found}) == 4


def test_the_same_values_at_another_time_or_of_another_unit_are_another_record() -> None:
    found, _ = read(b"unit,time,a,y\n1,1,5,7\n1,2,5,7\n2,1,5,7\n1,1,5,8\n")
    ids = [row["_id"] for row in found]
    assert len(set(ids)) == 3
    assert ids[0] == ids[3]  # another label is no other record


def test_units_may_be_those_of_their_file() -> None:
    head = b"unit,time,a,y\n"
    files = {"a/x.csv": head + b"1,1,5,7\n,2,5,7\n", "b/x.csv": head + b"1,1,5,7\n"}
    found, none = read(files, contract(unit_ids="file"))
    assert not none
    assert [row["_group"] for row in found] == ["a/x/1", "", "b/x/1"]
    assert {row["_group"] for row in read(files)[0]} == {"1", ""}
    with pytest.raises(ValueError, match="with `remaining: true` a unit's life ends in its file"):
        contract(remaining=True, unit_ids="global")


def test_times_are_seconds_since_1970() -> None:
    found, _ = read(b"unit,time,a,y\n1,2024-03-31 00:00:00,1,1\n1,2024-03-31T00:10:00.5,1,1\n1,1 April,1,1\n1,,1,1\n")
    assert [row["_time"] for row in found] == [1711843200.0, 1711843800.5, None, None]
    assert notes(found[2]) == {"time": "'1 April' is neither a number nor a time as ISO 8601 writes it"}
    assert notes(found[3]) == {"time": "the cell is empty"}
    found, _ = read(b"unit,time,a,y\n1,2024-03-31T02:00:00+02:00,1,1\n1,2024-03-31T00:00:00Z,1,1\n")
    assert [row["_time"] for row in found] == [1711843200.0, 1711843200.0]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (
            b"2024-03-31",
            b"2024-03-31T00:00:00Z",
            "a time with an offset, the batch began with a time without an offset",
        ),
        (
            b"2024-03-31T00:00:00Z",
            b"2024-03-31",
            "a time without an offset, the batch began with a time with an offset",
        ),
        (b"17", b"2024-03-31", "'2024-03-31' is not a number"),
        (b"2024-03-31", b"17", "'17' is a number, the batch began with a time without an offset"),
    ],
)
def test_times_of_two_kinds_cannot_be_compared(first: bytes, second: bytes, expected: str) -> None:
    head = b"unit,time,a,y\n1,"
    for contents in (
        {"x.csv": head + first + b",1,1\n1," + second + b",1,1\n"},
        {"a.csv": head + first + b",1,1\n", "b.csv": head + second + b",1,1\n"},
    ):
        (sound, bad), _ = read(contents)
        assert sound["_time"] is not None
        assert bad["_time"] is None
        assert expected in notes(bad)["time"]


def test_times_of_parquet() -> None:
    moment = datetime.datetime(2024, 3, 31, 12, tzinfo=datetime.UTC)
    for times, expected in (
        (pa.array([moment, None], pa.timestamp("ns", "Europe/Berlin")), [1711886400.0, None]),
        (pa.array([moment.replace(tzinfo=None), None], pa.timestamp("ms")), [1711886400.0, None]),
        (pa.array([moment.date(), None]), [1711843200.0, None]),
        (pa.array([1.5, math.nan]), [1.5, None]),
        (pa.array([datetime.timedelta(1), None]), [None, None]),
    ):
        buffer = io.BytesIO()
        pq.write_table(pa.table({"unit": [1, 1], "time": times, "a": [1, 2], "y": [1, 2]}), buffer)
        found, _ = read({"x.parquet": buffer.getvalue()})
        assert [row["_time"] for row in found] == expected
        assert [row["_group"] for row in found] == ["1", "1"]
        assert [bool(notes(row)) for row in found] == [value is None for value in expected]


def test_a_class_as_target() -> None:
    data = DataContract(
        reader="series",
        classes=("ok", "bad"),
        aliases={"OK": "ok"},
        series={"unit": "unit", "time": "time", "columns": ("a",), "target": "y"},  # type: ignore[arg-type]
    )
    found, _ = read(b"unit,time,a,y\n1,1,1,OK\n1,2,1,bad\n1,3,1,\n", data)
    assert [row["_label"] for row in found] == ["ok", "bad", ""]


def test_the_time_that_is_left() -> None:
    contents = {
        "RUL_1.txt": b"10 \n0 \n",
        "test_1.txt": b"1 1 0.5\n1 2 0.5\n2 1 0.5\n",
        "train_1.txt": b"1 1 0.5  \n1 3 0.5  \n2 1 0.5\n",
    }
    found, (reason,) = read(contents, REMAINING)
    assert (reason.file, reason.outcome) == ("RUL_1.txt", "ignored")
    assert [(row["_group"], row["_split"], row["_label"]) for row in found] == [
        ("test_1/1", "test", "11.0"),
        ("test_1/1", "test", "10.0"),
        ("test_1/2", "test", "0.0"),
        ("train_1/1", "train", "2.0"),
        ("train_1/1", "train", "0.0"),
        ("train_1/2", "train", "0.0"),
    ]


@pytest.mark.parametrize(
    ("rul", "expected"),
    [
        (b"10\n", "RUL_1.txt has 1 numbers for its 2 units; write one for each"),
        (b"10\n1\n2\n", "RUL_1.txt has 3 numbers for its 2 units"),
        (b"10\n-1\n", "holds more than numbers from 0 on"),
        (b"10\nmany\n", "holds more than numbers from 0 on"),
        (b"\xff\xfe1", "RUL_1.txt is not UTF-8 text"),
        (None, "how much longer its units lived is not known; land RUL_1.txt beside it"),
    ],
)
def test_test_units_need_what_they_had_left(rul: bytes | None, expected: str) -> None:
    contents = {"test_1.txt": b"1 1 0.5\n2 1 0.5\n"} | ({} if rul is None else {"RUL_1.txt": rul})
    found, reasons = read(contents, REMAINING)
    assert not found
    assert reasons[0].file == "test_1.txt"
    assert expected in f"{reasons[0].reason}; {reasons[0].remedy}"


def test_rul_without_its_test_file_is_refused() -> None:
    _, reasons = read({"train_1.txt": b"1 1 1\n", "a/RUL_1.txt": b"5\n"}, REMAINING)
    assert [(reason.file, reason.outcome) for reason in reasons] == [("a/RUL_1.txt", "refused")]
    assert "land test_1.txt too" in reasons[0].remedy


def test_units_are_counted_in_the_order_of_their_numbers() -> None:
    found, _ = read({"test_1.txt": b"10 1 0\n9 1 0\n", "RUL_1.txt": b"1 2"}, REMAINING)
    assert [row["_label"] for row in found] == ["2.0", "1.0"]


def test_readings_without_unit_or_time_have_no_time_left() -> None:
    found, _ = read({"x.csv": b"1,1,0\n1,,0\n,2,0\n1,5,0\n"}, REMAINING)
    assert [row["_label"] for row in found] == ["4.0", "", "", "0.0"]
    assert [set(notes(row)) for row in found] == [set(), {"time"}, {"unit"}, set()]
    assert found[2]["_group"] == ""


def test_too_many_units_and_empty_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series_reader, "MAX_UNITS", 2)
    _, (reason,) = read({"x.csv": b"1,1,0\n2,1,0\n3,1,0\n"}, REMAINING)
    assert "more than 2 units" in reason.reason
    _, (reason,) = read({"test_1.txt": b""}, REMAINING)
    assert "the file is empty" in reason.reason


def test_a_stored_reading_becomes_a_record_again() -> None:
    (row, *_), _ = read({"train_1.txt": b"1 1 0.5\n1 4 0.5\n"}, REMAINING)
    record = record_of(row["_input"], row["_label"], "train", "r#1", row["_group"], row["_time"], REMAINING)
    assert bytes.fromhex(record.id) == row["_id"]
    assert (record.label, record.time, record.notes) == ("3.0", 1.0, {})
    record = record_of(row["_input"], "x", "", "r#1", "", None, REMAINING)
    assert set(record.notes) == {"unit", "time", "remaining"}
    with pytest.raises(RejectedError):
        record_of(b"", "x", "", "r#1", "", None, REMAINING)


@settings(max_examples=80, deadline=None)
@given(st.one_of(st.binary(max_size=200), st.text("12 .\n\t-:TZe", max_size=100).map(str.encode)))
def test_any_bytes_are_readings_or_refusals(body: bytes) -> None:
    found, reasons = read({"test_1.txt": body, "RUL_1.txt": b"1", "train.csv": b"1,1,1\n" + body}, REMAINING)
    assert found or reasons
    for row in found:
        assert (row["_time"] is None) == ("time" in notes(row))


@given(st.lists(st.datetimes(), min_size=1, max_size=5), st.sampled_from(["", "Z", "+05:30", "-11:00"]))
def test_arrow_reads_times_as_python_does(moments: list[datetime.datetime], offset: str) -> None:
    cells = [moment.isoformat() + offset for moment in moments]
    clock = Clock()
    values, wrong = clock.seconds(pa.array(cells))
    assert not wrong
    assert values.tolist() == clock._one_by_one(pa.array(cells), pa.array(cells))[0].tolist()
    for cell, value in zip(cells, values.tolist(), strict=True):
        time = datetime.datetime.fromisoformat(cell)
        time = time if time.tzinfo else time.replace(tzinfo=datetime.UTC)
        assert value == time.timestamp() or abs(time.year - 1970) > 280  # float64 holds no microseconds there


@needs_shared
def test_the_real_engines() -> None:
    header = ("unit", "time", *(f"s{number}" for number in range(24)))
    data = contract(remaining=True, header=header, columns=header[2:])
    folder = SHARED / "predictive-maintenance/cmapss-fd001"
    found, (reason,) = read({path.name: path.read_bytes() for path in sorted(folder.glob("*.txt"))}, data)
    assert reason.outcome == "ignored"
    assert [sum(row["_split"] == split for row in found) for split in ("train", "test")] == [20_631, 13_096]
    assert len({row["_group"] for row in found}) == 200
    first = next(row for row in found if row["_group"] == "test_FD001/1")
    assert first["_label"] == "142.0"  # 31 cycles seen, 112 to come
    assert not any(row["_notes"] for row in found)


@needs_shared
def test_the_real_times() -> None:
    data = contract(time="timestamp", columns=("T24", "T30"), target="P30")
    for name in ("ts_good", "ts_unordered"):
        found, reasons = read((SHARED / f"bad/csv/{name}.csv").read_bytes(), data)
        times = [row["_time"] for row in found]
        assert not reasons
        assert (times == sorted(times)) == (name == "ts_good")
