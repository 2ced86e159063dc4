"""The reader of tables: every row is a record or a reason, whatever the bytes."""

from __future__ import annotations

import hashlib
import math
import struct
import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assets.ingest import csvrows, tables
from assets.ingest.contract import LandedFile, Record
from assets.ingest.tables import read_tables
from assets.line import Line
from assets.quality.contract import Reason

MakeLine = Callable[..., Line]


def read(line: Line, content: bytes, path: str = "x.csv") -> list[Record | Reason]:
    file = LandedFile(path, hashlib.sha256(content).hexdigest(), len(content))
    return list(read_tables([file], lambda _: content, line.config.data))


def only_reason(items: list[Record | Reason]) -> str:
    (item,) = items
    assert isinstance(item, Reason)
    assert item.outcome == "refused"
    assert item.remedy
    return f"{item.place}: {item.reason}; {item.remedy}"


def test_rows_become_records(table_line: MakeLine) -> None:
    first, second = read(table_line(), b"name,b,kind,a\nx, 2.5 ,yes,-1e3\ny,0,no,-0.0\n")
    assert isinstance(first, Record)
    assert isinstance(second, Record)
    assert (first.label, first.split, first.file) == ("yes", "", "x.csv#2")
    assert first.input == struct.pack("<2d", -1000.0, 2.5)
    assert first.id == hashlib.sha256(first.input).hexdigest()
    assert second.input == struct.pack("<2d", 0.0, 0.0)  # minus zero is zero


@pytest.mark.parametrize(
    "content",
    [
        b"a,b,kind\n1,2,yes\n",
        b"a;b;kind\n1;2;yes\n",
        b"a\tb\tkind\r\n1\t2\tyes\r\n",
        b"\xef\xbb\xbfa,b,kind\r1,2,yes\r",
        b'\n\n"a","b","kind"\n"1","2","yes"\n\n  \n',
        b'"note, long",a;b,a,b,kind\n"line\nbreak",0,1,2,yes',
    ],
)
def test_delimiters_boms_quotes_and_line_ends(table_line: MakeLine, content: bytes) -> None:
    (record,) = read(table_line(), content)
    assert isinstance(record, Record)
    assert record.input == struct.pack("<2d", 1, 2)
    assert record.label == "yes"


def test_a_folder_declares_the_split(table_line: MakeLine) -> None:
    for path, split in (("test/x.csv", "test"), ("val/x.tsv", "validation"), ("other/x.csv", ""), ("train.csv", "")):
        (record,) = read(table_line(), b"a,b,kind\n1,2,yes\n", path)
        assert isinstance(record, Record)
        assert record.split == split


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "whole file: the file is empty"),
        (b" \n\n", "whole file: the file is empty"),
        (b"a,b,kind\n", "whole file: it has a header, but no rows"),
        (b"a,b\n1,2\n", "whole file: the target column 'kind' is missing"),
        (b"a,kind\n1,yes\n", "the input columns 'b' are missing"),
        (b"A,b,Kind \n1,2,yes\n", "rename 'Kind ' to 'kind'"),
        (b"a,b,a,kind\n1,2,3,yes\n", "its header has 'a' more than once"),
        ("a,b,kind\n1,2,yes\n".encode("utf-16"), "it is UTF-16; save it as UTF-8"),
        (b"a,b,kind\0\n1,2,yes\n", "its header (line 1): it has NUL bytes"),
        (b"a,b,kind,\xfc\n1,2,yes,x\n", "its header (line 1): it has bytes that are not UTF-8"),
        (b"PK\x03\x04\x14\x00\x06\x00", "NUL bytes"),
    ],
)
def test_a_table_that_cannot_be_read_is_one_refusal(table_line: MakeLine, content: bytes, expected: str) -> None:
    assert expected in only_reason(read(table_line(), content))


def test_what_is_no_table_by_its_name(table_line: MakeLine) -> None:
    assert "not a table by its name" in only_reason(read(table_line(), b"hello", "README.md"))


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (b"1,2", "the row has 2 cells, the header has 3"),
        (b"1,2,yes,4", "the row has 4 cells"),
        (b"1,2,y\0es", "NUL"),
        (b"1,2,\xff", "not UTF-8"),
        (b'1,"2"x,yes', "expected after"),
        (b"1,2," + b"x" * 20_000, "a cell is longer than 10,000 characters"),
        (b"1,2," + b"x" * (2 << 20), "the line is longer than"),
        (b"," * 500_000, "the row has 500001 cells"),
    ],
)
def test_a_row_of_wrong_form_is_refused_and_the_rest_goes_on(table_line: MakeLine, row: bytes, expected: str) -> None:
    before, refused, after = read(table_line(), b"a,b,kind\n1,2,yes\n" + row + b"\n3,4,no\n")
    assert isinstance(before, Record)
    assert isinstance(after, Record)
    assert isinstance(refused, Reason)
    assert refused.place == "line 3"
    assert expected in refused.reason


def test_an_open_quote_counts_every_line_it_swallows(table_line: MakeLine) -> None:
    items = read(table_line(), b'a,b,kind\n1,2,yes\n1,"2,yes\n' + b"3,4,no\n" * 5)
    places = [item.place for item in items if isinstance(item, Reason)]
    assert places == [f"line {number}" for number in range(3, 9)]
    assert "a quote is not closed" in items[-1].reason  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("", "the cell is empty"),
        ("  ", "the cell is empty"),
        ("NaN", "missing ('NaN')"),
        ("N/A", "missing"),
        ("inf", "'inf' is not finite"),
        ("-Infinity", "is not finite"),
        ("1e400", "larger than a 32-bit number holds"),
        ("1e39", "larger than a 32-bit number holds"),
        ("12;5", "'12;5' is not a number"),
        ("1_000", "is not a number"),
        ("0x10", "is not a number"),
        ("١٢", "is not a number"),
        ("9" * 5000, "larger than a 32-bit number holds"),
        ("yes" * 1000, "is not a number"),
    ],
)
def test_a_wrong_cell_makes_a_note(table_line: MakeLine, cell: str, expected: str) -> None:
    (record,) = read(table_line(), f"a,b,kind\n1,{cell},yes\n".encode())
    assert isinstance(record, Record)
    assert list(record.notes) == [1]
    assert "column b" in record.notes[1]
    assert expected in record.notes[1]
    assert len(record.notes[1]) < 250
    assert not math.isfinite(struct.unpack("<2d", record.input)[1])


def test_too_many_rows_and_columns(table_line: MakeLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MAX_ROWS", 3)
    items = read(table_line(), b"a,b,kind\n" + b"1,2,yes\n" * 9)
    assert len(items) == 4
    assert "more than 3 rows" in only_reason(items[3:])
    header = b",".join([b"a", b"b", b"kind", *(b"c%d" % n for n in range(10_000))])
    assert "10,003 columns" in only_reason(read(table_line(), header + b"\n"))


def test_memory_stays_bounded_on_hostile_rows(table_line: MakeLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A quoted line break in every cell makes the csv module hold all of them as one row."""
    monkeypatch.setattr(csvrows, "MAX_ROW_LINES", 100)
    content = b"a,b,kind\n" + b'"\n",' * 200_000
    tracemalloc.start()
    file = LandedFile("x.csv", "0" * 64, len(content))
    count = sum(1 for _ in read_tables([file], lambda _: content, table_line().config.data))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count > 1000
    assert peak < 20e6


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.one_of(st.binary(max_size=300), st.text('ab,;"\n\r1.e-\t\0é ', max_size=120).map(str.encode)),
    head=st.booleans(),
)
def test_any_bytes_are_records_or_refusals(table_line: MakeLine, body: bytes, head: bool) -> None:
    line = table_line()
    items = read(line, (b"a,b,kind\n" if head else b"") + body)
    for item in items:
        if isinstance(item, Record):
            assert len(item.input) == 16
            item.label.encode()
            values = struct.unpack("<2d", item.input)
            assert [math.isfinite(value) for value in values] == [index not in item.notes for index in (0, 1)]
        else:
            assert item.reason
            assert item.remedy
            item.reason.encode()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.tuples(st.floats(-1e30, 1e30), st.floats(-1e30, 1e30), st.sampled_from(["yes", "no"])),
        min_size=1,
        max_size=10,
    ),
    delimiter=st.sampled_from([",", ";", "\t"]),
)
def test_good_rows_come_back_exactly(
    table_line: MakeLine, rows: list[tuple[float, float, str]], delimiter: str
) -> None:
    text = "\n".join(delimiter.join((label, repr(b), repr(a))) for a, b, label in rows)
    items = read(table_line(), f"kind{delimiter}b{delimiter}a\n{text}".encode())
    assert [(item.label, *struct.unpack("<2d", item.input)) for item in items if isinstance(item, Record)] == [
        (label, a, b) for a, b, label in rows
    ]
