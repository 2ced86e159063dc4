"""What stands above a header, below it and at a table's end is no record, no name and no class."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.ingest.inspection.inspect import Inspection, inspect_source
from assets.ingest.inspection.odd_rows import header_at, sums, units_below
from assets.line.data import DataContract, TableData

R = Random(0)
ROWS = [[f"{R.random() * 9:.2f}", str(R.randrange(90)), R.choice(["red", "blue"]), R.choice("ab")] for _ in range(60)]
NAMES = ["x", "count", "colour", "label"]


def look(folder: Path, lines: list[str], encoding: str = "utf-8") -> Inspection:
    folder.mkdir(exist_ok=True)
    (folder / "t.csv").write_bytes("\n".join([*lines, ""]).encode(encoding))
    return inspect_source(folder)


def section(found: Inspection) -> tuple[DataContract, TableData]:
    data = DataContract.model_validate(yaml.safe_load(found.data)["data"])
    assert data.table is not None
    return data, data.table


@pytest.mark.parametrize(
    "above",
    [
        ["# made by a tool, v1, 2, 3"],
        ["// a,b,c,d", "// e,f,g,h"],
        ["% one,two,three,four", ""],
        ["My table,,,"],
        [",Report of May,,"],
        ["Report", "", "My table,,,", "# a,b,c,d"],
        ["size,size,look,answer"],
    ],
)
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_titles_and_comments_are_no_header(tmp_path: Path, above: list[str], delimiter: str) -> None:
    lines = [*above, ",".join(NAMES), *map(",".join, ROWS)]
    found = look(tmp_path / "in", [line.replace(",", delimiter) for line in lines])
    data, table = section(found)
    assert (data.classes, table.target, table.columns) == (("a", "b"), "label", ("x", "count", "colour"))
    assert (table.header, table.skip_lines, found.records, found.refused) == ((), len(above), 60, 0)
    assert any("before its header" in note for note in found.notes)


def test_a_comment_sign_before_the_only_names_is_a_header(tmp_path: Path) -> None:
    found = look(tmp_path / "in", ["# x,count,colour,label", *map(",".join, ROWS)])
    _, table = section(found)
    assert (table.columns, table.skip_lines, found.records) == (("# x", "count", "colour"), 0, 60)


def test_a_title_above_a_table_without_names(tmp_path: Path) -> None:
    found = look(tmp_path / "in", ["My table,,,", *map(",".join, ROWS)])
    _, table = section(found)
    assert (table.header, table.skip_lines, found.records) == (("c1", "c2", "c3", "c4"), 1, 60)


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(4)), st.permutations(range(4)))
def test_rows_that_end_with_a_delimiter_are_read_by_name_in_any_order(first: list[int], second: list[int]) -> None:
    import tempfile

    def lines(order: list[int]) -> list[str]:
        return [",".join(NAMES[at] for at in order), *(",".join([*(row[at] for at in order), ""]) for row in ROWS)]

    with tempfile.TemporaryDirectory() as folder:
        found = look(Path(folder) / "1", lines(first))
        data, table = section(found)
        assert (table.header, table.skip_lines, set(table.columns)) == ((), 0, {"x", "count", "colour"})
        (Path(folder) / "2").mkdir()
        (Path(folder) / "2/t.csv").write_text("\n".join([*lines(second), ""]))
        again = inspect_source(Path(folder) / "2", data)
    assert (found.records, again.records, again.refused) == (60, 60, 0)
    assert again.rows[0]["x"] == float(ROWS[0][0])
    assert again.rows[0]["label"] == ROWS[0][3]


@pytest.mark.parametrize("names", [["größe", "count", "colour", "label"], NAMES])
def test_another_encoding_is_said_and_its_header_is_no_record(tmp_path: Path, names: list[str]) -> None:
    rows = [[*row[:2], "grün" if row[2] == "red" else row[2], row[3]] for row in ROWS]
    found = look(tmp_path / "in", [",".join(names), *map(",".join, rows)], "latin-1")
    assert [column.name for column in found.columns] == names
    assert any("not UTF-8 but Windows-1252 or Latin-1" in note for note in found.notes)
    assert found.refused
    assert "header:" not in found.data


@pytest.mark.parametrize("units", ["[mm],[1/min],,", "mm,1/min,,", "°C,%,-,-", "(m),(s),(none),(none)"])
def test_units_below_a_header_are_said(tmp_path: Path, units: str) -> None:
    found = look(tmp_path / "in", [",".join(NAMES), units, *map(",".join, ROWS)])
    data, table = section(found)
    assert (table.columns, table.categories) == (("x", "count", "colour"), {"colour": ("blue", "red")})
    assert data.classes == ("a", "b")
    assert any("seems to hold units" in note and "take it out" in note for note in found.notes)


@pytest.mark.parametrize(
    "row", ["Total,60,,", "12.5,99,Total,", "Grand Total,1,,", "Summe:,5,,", "5,5,,Total", "Mean,4,,"]
)
def test_sums_are_said_and_are_no_words(tmp_path: Path, row: str) -> None:
    found = look(tmp_path / "in", [",".join(NAMES), *map(",".join, ROWS), row])
    data, table = section(found)
    assert (data.classes, table.categories) == (("a", "b"), {"colour": ("blue", "red")})
    assert any("add up the others" in note for note in found.notes)


def test_a_sum_at_the_end_of_a_long_file_is_said(tmp_path: Path) -> None:
    found = look(tmp_path / "in", [",".join(NAMES), *(",".join(row) for row in ROWS * 100), "9,9,,Total"])
    assert section(found)[0].classes == ("a", "b")
    assert any("a row seems to add up the others" in note for note in found.notes)


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(-99, 99), st.sampled_from(["red", "Total", "b"])), min_size=3, max_size=60))
def test_sound_tables_have_no_such_rows(rows: list[tuple[int, str]]) -> None:
    cells = [(f"{number / 2}", word) for number, word in rows]
    assert header_at([("n", "word"), *cells]) == (0, True)
    assert not units_below(cells)
    frequent = [("1.0", "Total")] * len(cells) + cells
    assert sums(frequent) == [] or len(frequent) < 7
