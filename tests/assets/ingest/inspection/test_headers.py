"""Header lines: told by what stands below, read by name, and never a record."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.ingest.inspection.headers import header_of
from assets.ingest.inspection.inspect import inspect_source
from assets.line.data import DataContract
from assets.readers.tables import read_tables
from tests.assets.readers.rows_of_readers import read_all

ROWS = [f"{n},{n % 7}.5,{n * 3 % 11},{('yes', 'no')[n % 2]}" for n in range(40)]


def look(tmp_path: Path, files: Mapping[str, str]) -> tuple[DataContract | None, tuple[str, ...], int]:
    """The proposed contract, the notes, and how many records the source has by it."""
    source = tmp_path / "in"
    source.mkdir()
    for name, text in files.items():
        (source / name).write_text(text)
    found = inspect_source(source)
    data = DataContract.model_validate(yaml.safe_load(found.data)["data"]) if found.data else None
    return data, found.notes, found.records


@pytest.mark.parametrize(
    ("head", "said"),
    [
        ("0,1,2,target", "names columns by numbers"),
        ("2019,2020,2021,target", "names columns by numbers"),
        ("id,a,b,target", ""),
        ("sep=,\nid,a,b,target", ""),
        ("Report of May\n\nid,a,b,target", "2 lines stand before its header"),
    ],
)
def test_names_are_no_record_and_no_class(tmp_path: Path, head: str, said: str) -> None:
    data, notes, records = look(tmp_path, {"x.csv": "\n".join([head, *ROWS, ""])})
    assert data is not None and data.table is not None
    assert (data.classes, data.table.target, data.table.header, records) == (("no", "yes"), "target", (), 40)
    assert any(said in note for note in notes)


def test_a_trailing_delimiter_and_a_doubled_name_are_said(tmp_path: Path) -> None:
    data, notes, records = look(tmp_path, {"x.csv": "\n".join(["id,a,b,target,", *(f"{row}," for row in ROWS), ""])})
    assert data is not None and (data.classes, records) == (("no", "yes"), 40)
    assert any("1 of its columns have no name" in note for note in notes)
    assert not header_of(ROWS[0].split(","), [row.split(",") for row in ROWS[1:]])
    assert header_of(["a", "a", "b", "target"], [row.split(",") for row in ROWS])


def table(**more: object) -> DataContract:
    body = {"columns": ["a", "b"], "target": "kind", "header": ["a", "b", "kind"], **more}
    return DataContract.model_validate({"reader": "table", "classes": ["yes", "no"], "table": body})


def test_where_names_are_known_columns_are_read_by_name() -> None:
    text = b"b,kind,a\n2,yes,1\n4,no,3\n"
    found, reasons = read_all(read_tables, {"x.csv": text}, table())
    assert [(row["a"], row["b"], row["_label"]) for row in found] == [(1.0, 2.0, "yes"), (3.0, 4.0, "no")]
    assert not reasons
    plain, _ = read_all(read_tables, {"x.csv": b"1,2,yes\n3,4,no\n"}, table())
    assert [row["_input"] for row in plain] == [row["_input"] for row in found]


@pytest.mark.parametrize("head", ["b,a,class", "b,kind,more", "heat,load,kind", "x,y,z"])
def test_a_header_of_other_names_is_refused_not_read_by_place(head: str) -> None:
    found, (reason,) = read_all(read_tables, {"x.csv": f"{head}\n2,1,yes\n4,3,no\n".encode()}, table())
    assert not found
    assert "its first line seems to be a header" in reason.reason


def test_a_missing_number_in_the_first_row_is_no_header() -> None:
    found, reasons = read_all(read_tables, {"x.csv": b"NA,,yes\n4,3,no\n5,6,no\n"}, table())
    assert (len(found), reasons) == (3, [])


def test_lines_before_the_header_are_left_out_and_counted() -> None:
    data = table(header=[], skip_lines=2)
    text = b"Report;of;May\n\nkind,b,a\nyes,2,1\nno,4\n"
    found, (reason,) = read_all(read_tables, {"x.csv": text}, data)
    assert [(row["a"], row["_file"]) for row in found] == [(1.0, "x.csv#4")]
    assert reason.place == "line 5"
    found, reasons = read_all(read_tables, {"x.csv": b"sep=;\nkind;b;a\nyes;2;1\n"}, table(header=[]))
    assert [(row["b"], row["_file"]) for row in found] == [(2.0, "x.csv#3")]
    assert not reasons


BAD = ["9007199254740993", "1e39", "12 mm", "oops", "1,5", "#REF!", "ERR"]


@pytest.mark.parametrize("cell", BAD)
@pytest.mark.parametrize("both", [False, True])
def test_a_first_row_with_a_bad_cell_is_a_row(cell: str, both: bool) -> None:
    """What stands below tells: `yes` comes again, so the line is a row, and only its own cell is bad."""
    first = f'"{cell}",{f"{chr(34)}{cell}{chr(34)}" if both else 1},yes'
    below = "".join(f"{at},{at * 7 % 5},{('yes', 'no')[at % 2]}\n" for at in range(9))
    found, reasons = read_all(read_tables, {"x.csv": f"{first}\n{below}".encode()}, table())
    assert (len(found), reasons) == (10, [])
    assert "a" in found[0]["_notes"] and not any(row["_notes"] for row in found[1:])


@pytest.mark.parametrize("cell", BAD)
def test_a_bad_first_cell_of_a_number_to_predict_is_a_row(cell: str) -> None:
    data = DataContract.model_validate(
        {"reader": "table", "table": {"columns": ["a"], "target": "b", "header": ["a", "b"]}}
    )
    found, reasons = read_all(read_tables, {"x.csv": f'"{cell}",3\n2,1\n4,3\n'.encode()}, data)
    assert (len(found), reasons) == (3, [])


@settings(max_examples=60)
@given(st.permutations(["a", "b", "kind"]), st.sampled_from(",;\t"), st.integers(1, 9))
def test_a_delimiter_at_the_end_of_rows_only_changes_no_value(order: list[str], delimiter: str, count: int) -> None:
    rows = [{"a": f"{at}.5", "b": f"{at * 3}", "kind": ("yes", "no")[at % 2]} for at in range(count)]
    lines = [delimiter.join(order), *(delimiter.join([*(row[name] for name in order), ""]) for row in rows)]
    found, reasons = read_all(read_tables, {"x.csv": "\n".join([*lines, ""]).encode()}, table(header=[]))
    assert not reasons
    assert [(row["a"], row["b"], row["_label"]) for row in found] == [
        (float(row["a"]), float(row["b"]), row["kind"]) for row in rows
    ]


def test_a_cell_too_many_is_refused_where_it_says_something() -> None:
    text = b"a,b,kind\n1,2,yes\n3,4,no\n5,6,yes,\n7,8,no,9\n"
    found, reasons = read_all(read_tables, {"x.csv": text}, table(header=[]))
    assert [row["a"] for row in found] == [1.0, 3.0]
    assert [reason.place for reason in reasons] == ["line 4", "line 5"]


@pytest.mark.parametrize(
    ("head", "row"),
    [("colour,shape,kind", "{c},{s},{k}"), ("0,1,target", "{n},{n}.5,{k}"), ("a,b,kind", "{n},{s},{k}")],
)
def test_a_header_that_comes_again_is_no_record_and_names_no_class(tmp_path: Path, head: str, row: str) -> None:
    rows = [
        row.format(c=("red", "blue")[n % 2], s=("u", "v")[n // 2 % 2], k=("hi", "lo")[n % 3 // 2], n=n)
        for n in range(40)
    ]
    lines = [head, *rows[:20], head, *rows[20:], ""]
    (tmp_path / "x.csv").write_text("\n".join(lines))
    found = inspect_source(tmp_path)
    data = DataContract.model_validate(yaml.safe_load(found.data)["data"])
    assert (data.classes, found.records, found.refused) == (("hi", "lo"), 40, 1)
    assert any("names the columns again" in note for note in found.notes)


def test_names_that_come_twice_get_no_proposal_and_other_marks_are_told(tmp_path: Path) -> None:
    for name, text, told in (
        ("twice", "x,x,kind\n" + "1,2,a\n3,4,b\n" * 9, "its header has 'x' more than once"),
        ("bars", "x|y|kind\n" + "1|2|a\n3|4|b\n" * 9, "| stands between its cells, which is not read"),
        ("wide", "x,kind\n" + "1,a\n2,b\n" * 9, "it is UTF-16; save it as UTF-8"),
    ):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "x.csv").write_bytes(text.encode("utf-16" if name == "wide" else "utf-8"))
        found = inspect_source(folder)
        assert found.data == ""
        assert any(told in note for note in found.notes), found.notes
        assert not any("Value error" in note for note in found.notes)
