"""Times with the day first are read exactly where the contract says so, and refused with a remedy where it does not."""

from __future__ import annotations

import datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.line.cell_form import CellForm
from assets.line.data import DataContract
from assets.readers.day_first import is_day_or_month_first, to_iso, to_iso_cells
from assets.readers.series import read_series
from assets.readers.times import Clock
from tests.assets.readers.rows_of_readers import read_all

DAYS = CellForm(day_first=True)


def written(moment: datetime.datetime, mark: str, padded: bool, parts: int) -> str:
    """A moment as people write it: date alone, to the minute, second or microsecond."""
    two = "02d" if padded else "d"
    date = mark.join((format(moment.day, two), format(moment.month, two), format(moment.year, "04d")))
    time = f"{moment.hour:{two}}:{moment.minute:02d}"
    more = ("", f" {time}", f" {time}:{moment.second:02d}", f" {time}:{moment.second:02d}.{moment.microsecond:06d}")
    return date + more[parts]


def cut(moment: datetime.datetime, parts: int) -> datetime.datetime:
    kept = ("hour", "minute"), ("second",), ("microsecond",)
    return moment.replace(tzinfo=datetime.UTC, **{name: 0 for names in kept[parts:] for name in names})


@given(
    st.lists(st.tuples(st.datetimes(), st.sampled_from("/.-"), st.booleans(), st.integers(0, 3)), min_size=1),
)
def test_times_written_with_the_day_first_come_back_exactly(
    cases: list[tuple[datetime.datetime, str, bool, int]],
) -> None:
    cells = [written(*case) for case in cases]
    moments = [cut(moment, parts) for moment, _, _, parts in cases]
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    expected = [(moment - epoch) // datetime.timedelta(microseconds=1) / 1e6 for moment in moments]
    values, notes = Clock(form=DAYS).seconds(pa.array(cells))
    assert not notes and values.tolist() == expected
    assert to_iso_cells(pa.array(cells)).to_pylist() == [to_iso(cell) for cell in cells]
    values, notes = Clock().seconds(pa.array(cells))
    assert len(notes) == len(cells) and all("say `cells: {day_first: true}`" in note for note in notes.values())


@given(st.text(st.sampled_from("0123456789./-: T"), max_size=22))
def test_any_cell_is_made_the_same_alone_and_in_a_column(cell: str) -> None:
    assert to_iso_cells(pa.array([cell])).to_pylist() == [to_iso(cell)]
    assert (to_iso(cell) != cell) == is_day_or_month_first(cell)


@pytest.mark.parametrize("cell", ["31.13.2024", "32/1/2024", "12/31/2024", "29.02.2023", "1.1.2024 24:01"])
def test_no_such_day_is_bad_and_never_another_day(cell: str) -> None:
    _, notes = Clock(form=DAYS).seconds(pa.array(["01.02.2024", cell]))
    assert list(notes) == [1] and f"'{cell}' is neither" in notes[1] and "not even with the day first" in notes[1]


@pytest.mark.parametrize("cell", ["1.2.24", "31/12-2024", "31.12.2024 5 pm", "2024/12/31", "31.12.2024 23"])
def test_what_could_be_read_otherwise_is_not_read(cell: str) -> None:
    _, notes = Clock(form=DAYS).seconds(pa.array(["01.02.2024", cell]))
    assert list(notes) == [1]


def test_iso_is_read_beside_the_day_first() -> None:
    values, notes = Clock(form=DAYS).seconds(pa.array(["2024-02-01", "01.02.2024", "2024-02-01T00:00:00"]))
    assert not notes and len(set(values.tolist())) == 1


def series(**more: Any) -> DataContract:
    section = {"unit": "u", "time": "t", "target": "y", "columns": ["a"], **more}
    return DataContract.model_validate({"reader": "series", "series": section})


def test_a_series_is_read_by_its_form() -> None:
    content = b"u;t;a;y\n m ;31.12.2024 9:05;1,5;1.000\nm;01.01.2025;2;2,5\n"
    form = {"decimal": ",", "thousands": ".", "day_first": True, "trim": True}
    rows, refused = read_all(read_series, {"x.csv": content}, series(cells=form))
    assert not refused
    assert [(row["_group"], row["_time"], row["a"], row["_label"]) for row in rows] == [
        ("m", 1735635900.0, 1.5, "1000.0"),
        ("m", 1735689600.0, 2.0, "2.5"),
    ]


def test_what_units_had_left_is_written_in_the_form_too() -> None:
    data = series(target=None, remaining=True, header=["u", "t", "a"], cells={"decimal": ","})
    files = {"test_1.txt": b"1 1 0,5\n1 2,5 0,5\n", "RUL_1.txt": b"7,25\n"}
    rows, _ = read_all(read_series, files, data)
    assert [row["_label"] for row in rows] == ["8.75", "7.25"]
