"""Numbers with decimal commas and separators of thousands are read exactly, and never as another number."""

from __future__ import annotations

import csv
import io
import math
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.line.cell_form import PLAIN, CellForm
from assets.line.data import DataContract
from assets.readers import csvblocks
from assets.readers.cells import number, numbers
from assets.readers.separators import FORMS, to_plain
from assets.readers.tables import read_tables
from tests.assets.readers.rows_of_readers import read_all

GERMAN = CellForm(decimal=",", thousands=".")
ENGLISH = CellForm(thousands=",")
FRENCH = CellForm(decimal=",", thousands=" ")
SWISS = CellForm(thousands="'")
COMMA = CellForm(decimal=",")

decimals = st.decimals(-(10**9), 10**9, places=3) | st.integers(-(2**53), 2**53).map(Decimal)


def written(value: Decimal, form: CellForm, grouped: bool) -> str:
    """A number as spreadsheets write it in a form."""
    text = format(value, ",f" if grouped and form.thousands else "f")
    return text.translate({ord(","): form.thousands, ord("."): form.decimal})


def table(form: CellForm | None = None, **more: Any) -> DataContract:
    section = {"target": "y", "columns": ["a"], "cells": form and form.model_dump(), **more}
    return DataContract.model_validate({"reader": "table", "table": section})


@pytest.mark.parametrize(
    ("cell", "form", "value"),
    [
        ("1.234,5", GERMAN, 1234.5),
        (" -1.234.567,25 ", GERMAN, -1234567.25),
        ("1234,5", GERMAN, 1234.5),
        ("1.234", GERMAN, 1234.0),
        (",5", GERMAN, 0.5),
        ("5,", GERMAN, 5.0),
        ("0,123", GERMAN, 0.123),
        ("1,5e-3", COMMA, 0.0015),
        ("1,234,567.5", ENGLISH, 1234567.5),
        ("1 234,5", FRENCH, 1234.5),
        ("1\u202f234\u00a0567,5", FRENCH, 1234567.5),
        ("1\u2019234.5", SWISS, 1234.5),
        ("1_000", CellForm(thousands="_"), 1000.0),
        ("-0,0", COMMA, 0.0),
    ],
)
def test_a_cell_of_the_form_is_its_number(cell: str, form: CellForm, value: float) -> None:
    assert number(cell, form) == (value, None)


@pytest.mark.parametrize(
    ("cell", "form"),
    [
        ("12,34.5", GERMAN),
        ("12,34.5", ENGLISH),
        ("1.23,4", GERMAN),
        ("1,00,000", ENGLISH),
        ("1234.567", GERMAN),
        ("1.234.5678", GERMAN),
        ("1.234e5", GERMAN),
        ("0.123", GERMAN),
        ("012.345", GERMAN),
        ("1.5", GERMAN),
        ("1.5", COMMA),
        ("1,2,3", COMMA),
        (".234", GERMAN),
        ("1.234,567.8", GERMAN),
        ("1  234", FRENCH),
        ("1 .234", GERMAN),
        ("~", GERMAN),
    ],
)
def test_what_does_not_fit_is_bad_and_names_the_setting(cell: str, form: CellForm) -> None:
    value, note = number(cell, form)
    assert math.isnan(value)
    assert note is not None and "is not a number as `cells: {" in note


@pytest.mark.parametrize("cell", ["", "NA", "-", "inf", "-Infinity", "nan"])
def test_what_is_no_number_at_all_stays_so(cell: str) -> None:
    assert str(number(cell)) == str(number(cell, GERMAN))


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("1,5", '; `cells: {decimal: ","}` reads it as 1.5'),
        ("1,234", '; `cells: {decimal: ","}` reads it as 1.234, `cells: {thousands: ","}` reads it as 1234'),
        ("1.234,5", '; `cells: {decimal: ",", thousands: "."}` reads it as 1234.5'),
        ("1 234", '; `cells: {thousands: " "}` reads it as 1234'),
        ("0,5%", ""),
        ("x", ""),
    ],
)
def test_without_the_setting_the_remedy_names_it(cell: str, said: str) -> None:
    assert number(cell)[1] == f"{cell!r} is not a number{said}"


def test_private_cells_are_not_read_out_in_remedies() -> None:
    _, notes = numbers(pa.array(["1,5"]), private=True)
    assert notes == {0: "a private value is not a finite number"}


@given(st.lists(decimals, min_size=1, max_size=8), st.sampled_from(FORMS), st.booleans())
def test_numbers_written_in_a_form_come_back_exactly(values: list[Decimal], form: CellForm, grouped: bool) -> None:
    cells = [written(value, form, grouped) for value in values]
    expected = [float(value) + 0.0 for value in values]
    assert [number(cell, form) for cell in cells] == [(value, None) for value in expected]
    for column in (pa.array(cells), pa.array(cells).dictionary_encode(), pa.array(cells, pa.large_string())):
        found, notes = numbers(column, form=form)
        assert found.tolist() == expected and not notes


@given(st.text(st.sampled_from("0123456789.,' -_e\u00a0"), max_size=9), st.sampled_from(FORMS))
def test_a_column_is_read_as_its_cells_are(cell: str, form: CellForm) -> None:
    found, notes = numbers(pa.array([cell]), form=form)
    value, note = number(cell, form)
    assert str(found[0]) == str(value) and notes.get(0) == note
    plain = to_plain(cell.strip(), form)
    assert plain is None or float(plain) == float(plain.replace("+", ""))


@given(
    st.lists(decimals | st.sampled_from(["", "x", "1.5", "1,5", "1,234", "1.234,5"]), min_size=1, max_size=6),
    st.sampled_from([PLAIN, *FORMS]),
    st.sampled_from([",", ";", "\t"]),
    st.booleans(),
)
def test_the_fast_way_reads_forms_as_the_careful_one(
    cells: list[Decimal | str], form: CellForm, delimiter: str, quoted: bool
) -> None:
    buffer = io.StringIO()
    quoting = csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL
    out = csv.writer(buffer, delimiter=delimiter, lineterminator="\n", quoting=quoting)
    out.writerow(["a", "y"])
    out.writerows([cell if isinstance(cell, str) else written(cell, form, True), "1"] for cell in cells)
    content = buffer.getvalue().encode()
    fast = read_all(read_tables, {"x.csv": content}, table(form))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csvblocks, "_fast", lambda *_: None)
        assert str(fast) == str(read_all(read_tables, {"x.csv": content}, table(form)))
    assert [row["a"] for row in fast[0]] == [
        value
        if math.isfinite(
            value := number(cell if isinstance(cell, str) else str(cell), form if isinstance(cell, str) else PLAIN)[0]
        )
        else None
        for cell in cells
    ]


def test_a_number_to_predict_has_the_form_and_typed_columns_have_not() -> None:
    rows, _ = read_all(read_tables, {"x.csv": b"a;y\n1.234,5;0,25\n2;x\n"}, table(GERMAN))
    assert [(row["a"], row["_label"]) for row in rows] == [(1234.5, "0.25"), (2.0, "")]
    sink = io.BytesIO()
    columns = {"a": [Decimal("1234.567"), Decimal("2.500")], "y": ["1.234,5", "7"]}
    pq.write_table(pa.table({**columns, "a": pa.array(columns["a"], pa.decimal128(9, 3))}), sink)
    rows, _ = read_all(read_tables, {"x.parquet": sink.getvalue()}, table(GERMAN))
    assert [(row["a"], row["_label"]) for row in rows] == [(1234.567, "1234.5"), (2.5, "7.0")]


def test_a_first_row_of_decimal_commas_is_no_header() -> None:
    content = b"1,5;2,5\n" + b"3;4\n" * 3
    rows, refused = read_all(read_tables, {"x.csv": content}, table(COMMA, header=["a", "y"]))
    assert not refused and [row["a"] for row in rows] == [1.5, 3.0, 3.0, 3.0]


def test_spaces_between_cells_leave_the_comma_to_numbers() -> None:
    rows, refused = read_all(read_tables, {"x.txt": b"a  y\n 1,5 2,5 \n3   4,25\n"}, table(COMMA))
    assert not refused and [(row["a"], row["_label"]) for row in rows] == [(1.5, "2.5"), (3.0, "4.25")]
