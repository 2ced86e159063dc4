"""A header that comes again is refused by its line, wherever it stands and however the file is read."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.line.data import DataContract
from assets.readers.registry import reader_of
from assets.records.batch import LandedFile
from assets.records.reason import Reason
from tests.assets.readers.rows_of_readers import InMemory


def _read(text: str, **section: Any) -> tuple[list[str], list[Reason]]:
    """Places of the records of a CSV, and its refusals."""
    table = {"target": "target", "columns": ["0", "a"], "categories": {"a": ["p", "q"]}, **section}
    data = DataContract.model_validate({"reader": "table", "classes": ["x", "y"], "table": table})
    file = LandedFile("t.csv", "0" * 64, len(text))
    places: list[str] = []
    refused: list[Reason] = []
    for item in reader_of("table")([file], InMemory({"t.csv": text.encode()}), data):
        if isinstance(item, Reason):
            refused.append(item)
        else:
            places += item.column("_file").to_pylist()
    return places, refused


@given(
    rows=st.lists(st.sampled_from(["record", "header", "quoted"]), min_size=1, max_size=30),
    careful=st.booleans(),
    headerless=st.booleans(),
)
def test_every_one_is_refused_by_its_line_and_no_record_is(rows: list[str], careful: bool, headerless: bool) -> None:
    header, record = "0,a,target", ('"1","p""","x"' if careful else '"1.5",p,x')
    written = {"record": record, "header": header, "quoted": '"0","a","target"'}
    lines = [header, *(written[kind] for kind in rows)]
    section = {"categories": {"a": ["p", 'p"']}} | ({"header": ["0", "a", "target"]} if headerless else {})
    places, refused = _read("\n".join([*lines, ""]), **section)
    again = [f"line {at}" for at, kind in enumerate(rows, start=2) if kind != "record"]
    assert [reason.place for reason in refused if "names the columns again" in reason.reason] == again
    assert places == [f"t.csv#{at}" for at, kind in enumerate(rows, start=2) if kind == "record"]


def test_a_row_that_shares_a_word_with_the_header_is_a_record() -> None:
    places, refused = _read("0,a,target\n0,a,x\n1,p,target\n2,q,y\n", categories={"a": ["a", "p", "q"]})
    assert (places, refused) == (["t.csv#2", "t.csv#3", "t.csv#4"], [])


def test_a_file_of_headers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assets.readers.repeated_headers.MAX_REFUSED_ROWS", 100)
    _, refused = _read("0,a,target\n" * 500)
    assert (refused[-1].place, len(refused)) == ("whole file", 101)
    assert "name the columns again" in refused[-1].reason
