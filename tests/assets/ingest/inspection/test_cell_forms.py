"""How cells are written is filled in where the file says so, and asked where it could be read in two ways."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.ingest.inspection.cell_forms import forms_of
from assets.line.cell_form import CellForm
from assets.line.data import DataContract
from assets.readers.separators import FORMS
from assets.readers.tables import read_tables
from tests.assets.ingest.inspection.test_guess import look, proposed, text
from tests.assets.readers.rows_of_readers import read_all

KINDS = ("yes", "no")


def cells(data: DataContract) -> dict[str, Any]:
    return data.cells.settings


def table(folder: Path, *columns: list[str], delimiter: str = ";") -> tuple[DataContract, Any]:
    names = [*"abcdef"[: len(columns)], "kind"]
    rows = [delimiter.join([*row, KINDS[at % 2]]) for at, row in enumerate(zip(*columns, strict=True))]
    found = look(folder / "in", {"x.csv": text(delimiter.join(names), rows)})
    return proposed(found), found


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (["0,5", "1,25", "3,125"], {"decimal": ","}),
        (["1.234,5", "0,5", "12"], {"decimal": ",", "thousands": "."}),
        (["1.234.567", "12.345.678", "5"], {"decimal": ",", "thousands": "."}),
        (["1,234.5", "7.25", "12"], {"thousands": ","}),
        (["1,234,567", "12", "7.25"], {"thousands": ","}),
        (["1 234", "12", "7"], {"thousands": " "}),
        (["1\u202f234,5", "12,5", "7"], {"decimal": ",", "thousands": " "}),
        (["1\u2019234.5", "12.5", "7"], {"thousands": "'"}),
        (["1_234", "12.5", "7"], {"thousands": "_"}),
        (["1.5", "12.25", "7"], {}),
        (["1", "2", "3"], {}),
    ],
)
def test_what_could_not_be_otherwise_is_filled_in(column: list[str], expected: dict[str, str], tmp_path: Path) -> None:
    data, found = table(tmp_path, column * 8, delimiter="\t")
    assert cells(data) == expected
    assert data.table is not None and data.table.columns == ("a",)
    assert found.facts.get("cells without a value") is None and found.refused == 0


def test_what_could_be_two_numbers_is_asked_with_both_readings(tmp_path: Path) -> None:
    data, found = table(tmp_path, ["1,234", "2,500", "12,125"] * 8, ["1", "2", "3"] * 8)
    assert cells(data) == {} and data.table is not None and data.table.columns == ("b",)
    comment = next(line for line in found.data.splitlines() if line.startswith("# column"))
    assert """'1,234' is 1.234 with `cells: {decimal: ","}` and 1234 with `cells: {thousands: ","}`""" in comment
    assert any(comment.removeprefix("# ").rstrip(".") in note for note in found.notes)


def test_a_sure_decimal_point_elsewhere_makes_commas_thousands(tmp_path: Path) -> None:
    data, found = table(tmp_path, ["1,234", "2,500", "12,125"] * 8, ["1.5", "0.25", "3"] * 8)
    assert cells(data) == {"thousands": ","} and data.table is not None and data.table.columns == ("a", "b")
    assert not found.facts.get("cells without a value")


def test_points_before_three_digits_are_asked_beside_decimal_commas(tmp_path: Path) -> None:
    data, found = table(tmp_path, ["0,5", "1,25", "2"] * 8, ["1.234", "2.500", "12.125"] * 8)
    assert cells(data) == {"decimal": ","} and data.table is not None and data.table.columns == ("a",)
    assert "'1.234' is 1.234 where the point is a decimal sign, and 1234 with" in found.data
    assert any(note.startswith("column 'b' is no input") for note in found.notes)


def test_two_ways_in_one_file_are_said_and_nothing_is_set(tmp_path: Path) -> None:
    data, found = table(tmp_path, ["0,5", "1,25", "2"] * 8, ["1.25", "2.5", "0.75"] * 8)
    assert cells(data) == {} and data.table is not None and data.table.columns == ("b",)
    assert any("more than one way" in note for note in found.notes)


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_a_table_of_decimal_commas_alone_is_proposed_and_read(delimiter: str, tmp_path: Path) -> None:
    rows = [delimiter.join((f"{at},5", f"0,{at}", f"{at % 3},25")) for at in range(40)]
    found = look(tmp_path / "in", {"x.csv": text(delimiter.join("abt"), rows)})
    data = proposed(found)
    assert data.regression and cells(data) == {"decimal": ","}
    assert found.records == 40 and not found.facts
    assert not any("number or name the rows" in note for note in found.notes)


def test_a_table_without_a_header_is_cut_where_its_numbers_are(tmp_path: Path) -> None:
    rows = [f"{at},5;0,{at};{at % 3},25" for at in range(40)]
    found = look(tmp_path / "in", {"x.csv": text(rows[0], rows[1:])})
    assert proposed(found).table is not None and found.records == 40
    assert proposed(found).table.header == ("c1", "c2", "c3")  # type: ignore[union-attr]


def test_where_no_column_is_settled_it_says_so_in_words(tmp_path: Path) -> None:
    rows = [f"{at},234;1,{100 + at}" for at in range(10, 50)]
    found = look(tmp_path / "in", {"x.csv": text("a;b", rows)})
    assert found.data == ""
    assert any("no column is left that could be an input" in note for note in found.notes)
    assert not any("List should have" in note for note in found.notes)


def test_labels_with_a_decimal_comma_are_classes_as_written(tmp_path: Path) -> None:
    rows = [f"{at},5;{('0,0', '1,0')[at % 2]}" for at in range(40)]
    found = look(tmp_path / "in", {"x.csv": text("a;target", rows)})
    assert proposed(found).classes == ("0,0", "1,0")
    assert found.unknown == {}


def series(folder: Path, times: list[str]) -> tuple[DataContract, Any]:
    rows = [f"m{unit};{time};{at};{at % 3}" for unit in range(2) for at, time in enumerate(times)]
    found = look(folder / "in", {"x.csv": text("unit;time;a;y", rows)})
    return proposed(found), found


@pytest.mark.parametrize("form", ["{:02}.03.2024", "{}/3/2024 9:05", "{:02}-03-2024 10:00:00"])
def test_the_day_is_first_where_some_day_says_so(form: str, tmp_path: Path) -> None:
    data, found = series(tmp_path, [form.format(day) for day in range(5, 25)])
    assert data.series is not None and cells(data) == {"day_first": True}
    assert not found.facts.get("cells without a value")


def test_an_order_of_dates_that_nothing_tells_is_asked(tmp_path: Path) -> None:
    data, found = series(tmp_path, [f"{day:02}/03/2024" for day in range(1, 12)])
    assert data.series is not None and cells(data) == {}
    assert "may have the day or the month first" in found.data


def test_dates_with_points_have_the_day_first(tmp_path: Path) -> None:
    data, found = series(tmp_path, [f"{day:02}.03.2024 7:00" for day in range(1, 12)])
    assert data.series is not None and cells(data) == {"day_first": True}
    assert any("is read with the day first, as dates with points" in note for note in found.notes)


def test_months_first_are_said_not_to_be_read(tmp_path: Path) -> None:
    _, found = series(tmp_path, [f"03/{day:02}/2024" for day in range(5, 25)])
    assert any("the month comes first, which is not read" in note for note in found.notes)


def test_spaces_that_make_two_words_of_one_do_not_count(tmp_path: Path) -> None:
    data, found = table(tmp_path, ["red", " red", "blue"] * 8, ["1", "2", "3"] * 8)
    assert cells(data) == {"trim": True}
    assert data.table is not None and data.table.categories == {"a": ("blue", "red")}
    assert not found.facts.get("cells without a value")


def test_spaces_around_names_of_columns_do_not_count(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    words = ["red ", "blue "] * 10
    pq.write_table(pa.table({" a": [float(at) for at in range(20)], "b ": words, "kind": KINDS * 10}), path)
    found = look(tmp_path / "in", {"x.parquet": path.read_bytes()})
    data = proposed(found)
    assert cells(data) == {"trim": True} and data.table is not None and data.table.columns == ("a", "b")
    assert found.records == 20 and not found.facts.get("cells without a value")


def test_labels_that_differ_by_spaces_are_only_offered(tmp_path: Path) -> None:
    rows = [f"{at % 7};{('yes', ' yes', 'no')[at % 3]}" for at in range(30)]
    found = look(tmp_path / "in", {"x.csv": text("a;kind", rows)})
    assert cells(proposed(found)) == {} and found.aliases


@settings(max_examples=60)
@given(
    st.lists(st.decimals(-(10**7), 10**7, places=2), min_size=8, max_size=30, unique=True),
    st.sampled_from(FORMS),
    st.integers(0, 10**6),
)
def test_what_is_proposed_reads_every_number_as_it_was_written(
    values: list[Decimal], form: CellForm, seed: int
) -> None:
    written = [f"{value:,f}".translate({ord(","): form.thousands, ord("."): form.decimal}) for value in values]
    found = forms_of(["a"], [(cell,) for cell in written], semicolons=True)
    if not found.form.plain_numbers:
        rows = "".join(f"{cell}\ty\n" for cell in written)
        section: Any = {"target": "k", "columns": ["a"], "cells": found.form.model_dump()}
        data = DataContract.model_validate({"reader": "table", "classes": ["y", "n"], "table": section})
        records, _ = read_all(read_tables, {"x.tsv": f"a\tk\n{rows}".encode()}, data)
        assert [row["a"] for row in records] == [float(value) + 0.0 for value in values]
        assert [float(cell) for (cell,) in found.cells] == [float(value) for value in values]
    else:
        assert form.decimal == "." and not any(abs(value) >= 1000 for value in values)
