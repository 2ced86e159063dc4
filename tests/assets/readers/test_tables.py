"""The reader of tables: every row is a record or a reason, whatever the bytes."""

from __future__ import annotations

import functools
import gzip
import hashlib
import io
import json
import math
import struct
import tracemalloc
from typing import Any
from unittest import mock

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.errors import LandingError, RejectedError
from assets.line.data import DataContract
from assets.readers import cells, csvblocks, csvrows, rows
from assets.readers.tables import read_tables, record_of
from assets.records.batch import LandedFile
from assets.records.reason import Reason
from tests.assets.readers.rows_of_readers import SHARED, InMemory, needs_shared, read_all

Rows = list[dict[str, Any]]


def contract(*, classes: tuple[str, ...] = ("yes", "no"), aliases: dict[str, str] | None = None, **table: Any) -> Any:
    section = {"target": "kind", "columns": ("a", "b"), **table}
    return DataContract(reader="table", classes=classes, aliases=aliases or {}, table=section)  # type: ignore[arg-type]


def read(content: bytes, path: str = "x.csv", data: DataContract | None = None) -> tuple[Rows, list[Reason]]:
    return read_all(read_tables, {path: content}, data or contract())


def only_reason(content: bytes, path: str = "x.csv", data: DataContract | None = None) -> str:
    found, (reason,) = read(content, path, data)
    assert not found
    assert reason.outcome == "refused"
    return f"{reason.place}: {reason.reason}; {reason.remedy}"


def test_rows_become_records() -> None:
    (first, second), _ = read(b"name,b,kind,a\nx, 2.5 ,yes,-1e3\ny,0,no,-0.0\n")
    assert (first["_label"], first["_split"], first["_file"], first["_group"]) == ("yes", "", "x.csv#2", "")
    assert (first["a"], first["b"], first["_notes"], first["_time"]) == (-1000.0, 2.5, None, None)
    assert first["_input"] == struct.pack("<2d", -1000.0, 2.5)
    assert first["_id"] == hashlib.sha256(first["_input"]).digest()
    assert second["_input"] == struct.pack("<2d", 0.0, 0.0)  # minus zero is zero


@pytest.mark.parametrize(
    "content",
    [
        b"a,b,kind\n1,2,yes\n",
        b"a;b;kind\n1;2;yes\n",
        b"a\tb\tkind\r\n1\t2\tyes\r\n",
        b"\xef\xbb\xbfa,b,kind\r1,2,yes\r",
        b'\n\n"a","b","kind"\n"1","2","yes"\n\n  \n',
        b'"note, long",a;b,a,b,kind\n"line\nbreak",0,1,2,yes',
        b"a b   kind\n 1  2 yes \n",
        gzip.compress(b"a,b,kind\n1,2,yes\n", mtime=0),
    ],
)
def test_delimiters_boms_quotes_line_ends_and_gzip(content: bytes) -> None:
    (row,), _ = read(content)
    assert row["_input"] == struct.pack("<2d", 1, 2)
    assert row["_label"] == "yes"


def test_folders_and_names_declare_the_split() -> None:
    for path, split in {
        "test/x.csv": "test",
        "val/x.tsv": "validation",
        "other/x.csv": "",
        "train.csv": "train",
        "a/test.csv.gz": "test",
        "validation-0001.csv": "validation",
        "train_part2.csv": "train",
        "train/test.csv": "train",
        "training.csv": "",
        "val_x.csv": "",
    }.items():
        (row,), _ = read(b"a,b,kind\n1,2,yes\n", path)
        assert row["_split"] == split, path


@pytest.mark.parametrize(
    ("path", "names", "folders"),
    [
        ("test_1.csv", "test", ""),
        ("valid.csv", "validation", ""),
        ("test/valid.csv", "test", "test"),
        ("x.csv", "", ""),
    ],
)
def test_the_contract_says_what_declares_a_split(path: str, names: str, folders: str) -> None:
    for splits_from, split in ((None, names), ("names", names), ("folders", folders), ("none", "")):
        data = contract().model_copy(update={"splits_from": splits_from})
        (row,), _ = read(b"a,b,kind\n1,2,yes\n", path, data)
        assert row["_split"] == split, splits_from


def test_a_note_names_the_files_whose_name_was_taken_for_a_split() -> None:
    paths = [
        "training-log.csv",
        "test/valid.csv",
        "valid.csv",
        *(f"test_bench_{n}.csv.gz" for n in range(5)),
        "test.png",
    ]
    assert rows.named_splits(paths, contract()) == (
        "A file's own name was taken for a split: 'test_bench_0.csv.gz', 'test_bench_1.csv.gz', "
        "'test_bench_2.csv.gz' and 2 more for the split test; 'valid.csv' for the split validation. If that is meant, "
        "set `data.splits_from: names`; if not, `data.splits_from: folders`, and the names declare nothing."
    )
    assert rows.named_splits(["training-log.csv", "test/valid.csv", "x"], contract()) == ""
    engines = {"unit": "u", "time": "t", "remaining": True, "columns": ("a",)}
    assert rows.named_splits(paths, DataContract(reader="series", series=engines)) == ""  # type: ignore[arg-type]
    for decided in ("names", "folders", "none"):
        assert rows.named_splits(paths, contract().model_copy(update={"splits_from": decided})) == ""


def test_categories_groups_and_aliases() -> None:
    data = contract(categories={"b": ("low", "high")}, group="person", aliases={"Y": "yes"})
    found, _ = read(b"a,b,kind,person\n1,high,Y,p1\n2,mid,no,p1\n3,,no,\n", data=data)
    assert [row["b"] for row in found] == ["high", None, None]
    assert [row["_label"] for row in found] == ["yes", "no", "no"]
    assert [row["_group"] for row in found] == ["p1", "p1", ""]
    assert struct.unpack("<2d", found[0]["_input"]) == (1.0, 1.0)
    assert math.isnan(struct.unpack("<2d", found[1]["_input"])[1])
    assert json.loads(found[1]["_notes"]) == {"b": "'mid' is none of the column's words"}
    assert json.loads(found[2]["_notes"]) == {"b": "the cell is empty", "person": "the cell is empty"}


def test_a_word_that_only_looks_like_another_is_unknown_and_says_so() -> None:
    data = contract(categories={"b": ("low", "NA", "?")})
    found, _ = read(b"a,b,kind\n1,NA,yes\n2,?,no\n3, Low,no\n4,na,no\n", data=data)
    assert [row["b"] for row in found] == ["NA", "?", None, None]
    assert [json.loads(row["_notes"] or "{}").get("b") for row in found] == [
        None,
        None,
        "' Low' is none of the column's words; if 'low' is meant, write it so",
        "'na' is none of the column's words; if 'NA' is meant, write it so",
    ]


def test_other_words_may_share_one_position() -> None:
    data = contract(categories={"b": ("low", "high", "rest")}, other={"b": "rest"})
    found, _ = read(b"a,b,kind\n1,high,yes\n2,mid,no\n3,,no\n", data=data)
    assert [row["b"] for row in found] == ["high", "rest", None]
    assert [struct.unpack("<2d", row["_input"])[1] for row in found][:2] == [1.0, 2.0]
    assert json.loads(found[2]["_notes"]) == {"b": "the cell is empty"}
    with pytest.raises(ValueError, match=r"other\.b: 'none' is not one of `categories\.b`"):
        contract(categories={"b": ("low", "high")}, other={"b": "none"})


def test_whole_numbers_that_float64_runs_together_have_no_value() -> None:
    cells = ("9007199254740992", "9007199254740993", "-9007199254740993.0", "1e17", "123456789012345678")
    text = "a,b,kind\n" + "".join(f"{cell},1,yes\n" for cell in cells)
    found, _ = read(text.encode())
    assert [row["a"] for row in found] == [2.0**53, None, None, 1e17, None]
    assert "beyond 2^53" in json.loads(found[1]["_notes"])["a"]


def test_a_number_to_predict_is_its_text() -> None:
    found, _ = read(b"a,b,kind\n1,2,0.1\n1,2,5\n1,2,many\n1,2,\n", data=contract(classes=()))
    assert [row["_label"] for row in found] == ["0.1", "5.0", "", ""]
    assert [json.loads(row["_notes"] or "{}") for row in found] == [
        {},
        {},
        {"kind": "'many' is not a number"},
        {"kind": "the cell is empty"},
    ]


def test_files_without_a_header() -> None:
    data = contract(header=("a", "b", "kind"))
    for content, path in (
        (b"1,2,yes\n", "x.data"),
        (b"1 2 yes \n", "x.txt"),
        (b"\xef\xbb\xbf1;2;yes", "x"),
        (b"1\t2\tyes", "x.tsv"),
        (b"a,b,kind\n1,2,yes\n", "x.csv"),
    ):
        (row,), _ = read(content, path, data)
        assert (row["a"], row["b"], row["_label"]) == (1.0, 2.0, "yes")
    assert "its first rows have at most 2 cells, `header` names 3 columns" in only_reason(b"1,2\n", data=data)
    assert "`header` does not name 'b'" in only_reason(b"1,yes\n", data=contract(header=("a", "kind")))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "whole file: the file is empty"),
        (b" \n\n", "whole file: the file is empty"),
        (b"a,b,kind\n", "whole file: it has a header, but no rows"),
        (b"a,b\n1,2\n", "whole file: the target column 'kind' is missing"),
        (b"a,kind\n1,yes\n", "the input columns 'b' are missing"),
        (b"A,b,Kind \n1,2,yes\n", "rename 'Kind' to 'kind'"),
        (b"a,b,a,kind\n1,2,3,yes\n", "its header has 'a' more than once"),
        ("a,b,kind\n1,2,yes\n".encode("utf-16"), "it is UTF-16; save it as UTF-8"),
        ("a,b,kind\n1,2,yes\n".encode("utf-32"), "it is UTF-32; save it as UTF-8"),
        ("a,b,kind\n1,2,yes\n".encode("utf-16-le"), "NUL bytes"),
        (b"a,b,kind\0\n1,2,yes\n", "its header (line 1): it has NUL bytes"),
        (b"a,b,kind,\xfc\n1,2,yes,x\n", "its header (line 1): it has bytes that are not UTF-8"),
        (b"PK\x03\x04\x14\x00\x06\x00", "a zip archive or an Excel workbook"),
        (b"x" * 5_000_000, "the line is longer than 1,048,576 characters"),
        (gzip.compress(b"a,b,kind\n1,2,yes\n", mtime=0)[:-4], "it is damaged gzip"),
        (b"\x28\xb5\x2f\xfd" + bytes(9), "it is packed by zstd; unpack it"),
    ],
)
def test_a_table_that_cannot_be_read_is_one_refusal(content: bytes, expected: str) -> None:
    found, reasons = read(content)
    (reason,) = [reason for reason in reasons if reason.place == "whole file"]
    assert expected in f"{reason.place}: {reason.reason}; {reason.remedy}"
    assert len(found) <= 1  # gzip is damaged at its end only


def test_gzip_that_unpacks_to_absurdly_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "FREE_BYTES", 1000)
    content = gzip.compress(b"a,b,kind\n" + b"1,2,yes\n" * 500_000)
    tracemalloc.start()
    _, reasons = read(content)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "it unpacks to more than 200 times its size" in reasons[-1].reason
    assert peak < 50e6


def test_what_is_no_table_by_its_name() -> None:
    assert "not a table by its name" in only_reason(b"hello", "README.md")


def test_a_damaged_landing_zone_goes_through() -> None:
    source = mock.Mock()
    source.open.side_effect = LandingError("lost")
    with pytest.raises(LandingError):
        list(read_tables([LandedFile("x.csv", "0" * 64, 1)], source, contract()))


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
        (b"1,2," + b"x" * (9 << 20), "the line is longer than"),
        (b"," * 500_000, "the row has 500001 cells"),
    ],
)
def test_a_row_of_wrong_form_is_refused_and_the_rest_goes_on(row: bytes, expected: str) -> None:
    found, (refused,) = read(b"a,b,kind\n1,2,yes\n" + row + b"\n3,4,no\n")
    assert [one["_file"] for one in found] == ["x.csv#2", "x.csv#4"]
    assert refused.place == "line 3"
    assert expected in refused.reason


def test_an_open_quote_counts_every_line_it_swallows() -> None:
    found, reasons = read(b'a,b,kind\n1,2,yes\n1,"2,yes\n' + b"3,4,no\n" * 5)
    assert len(found) == 1
    assert [reason.place for reason in reasons] == [f"line {number}" for number in range(3, 9)]
    assert "a quote is not closed" in reasons[-1].reason


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
        ('"1,000"', "'1,000' is not a number"),
        ("1 000", "is not a number"),
        ("0x10", "is not a number"),
        ("١٢", "is not a number"),
        ("9" * 5000, "larger than a 32-bit number holds"),
        ("yes" * 1000, "is not a number"),
    ],
)
def test_a_wrong_cell_makes_a_note(cell: str, expected: str) -> None:
    (row,), _ = read(f"a,b,kind\n1,{cell},yes\n".encode())
    (name, note), *_ = json.loads(row["_notes"]).items()
    assert name == "b"
    assert expected in note
    assert len(note) < 250
    assert row["b"] is None
    assert not math.isfinite(struct.unpack("<2d", row["_input"])[1])


def test_notes_do_not_show_private_cells() -> None:
    data = DataContract.model_validate({**contract().model_dump(), "privacy": {"private": ("b",)}})
    (row,), _ = read(b"a,b,kind\n1,secret,yes\n", data=data)
    assert json.loads(row["_notes"]) == {"b": "a private value is not a finite number"}


def test_too_many_rows_columns_and_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csvblocks, "MAX_ROWS", 3)
    monkeypatch.setattr(csvblocks, "MAX_REFUSED_ROWS", 5)
    found, (reason,) = read(b"a,b,kind\n" + b"1,2,yes\n" * 9)
    assert len(found) == 3
    assert "more than 3 rows" in reason.reason
    _, reasons = read(b"a,b,kind\n" + b"1,2\n" * 9)
    assert len(reasons) == 6
    assert "more than 5 of its lines cannot be read" in reasons[-1].reason
    header = b",".join([b"a", b"b", b"kind", *(b"c%d" % number for number in range(10_000))])
    assert "10,003 columns" in only_reason(header + b"\n")


@pytest.mark.parametrize("blank", [b"\n", b"\r\n", b"\r", b'""\n', b'"\n"\n', b"  \n"])
def test_blank_lines_without_end_end_the_file(monkeypatch: pytest.MonkeyPatch, blank: bytes) -> None:
    monkeypatch.setattr(csvrows, "MAX_BLANK_LINES", 20)
    found, reasons = read(b"a,b,kind\n1,2,yes\n" + 20 * blank + b"3,4,no\n")
    assert ([row["_label"] for row in found], reasons) == (["yes", "no"], [])
    found, (reason,) = read(b"a,b,kind\n1,2,yes\n" + 21 * blank + b"3,4,no\n")
    assert [row["_label"] for row in found] == ["yes"]
    assert (reason.place, "more than 20 blank lines follow each other" in reason.reason) == ("whole file", True)
    assert "more than 20 blank lines" in only_reason(21 * blank + b"a,b,kind\n1,2,yes\n")


def test_many_small_files_make_one_table() -> None:
    contents = {f"{number}.csv": b"a,b,kind\n1,2,yes\n" for number in range(50)}
    files = [LandedFile(path, "0" * 64, len(raw)) for path, raw in contents.items()]
    (table,) = read_tables(files, InMemory(contents), contract())
    assert isinstance(table, pa.Table)
    assert table.num_rows == 50


def test_memory_stays_bounded_on_hostile_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quoted line break in every cell makes the csv module hold all of them as one row."""
    monkeypatch.setattr(csvrows, "MAX_ROW_LINES", 100)
    content = b"a,b,kind\n" + b'"\n",' * 200_000
    source = InMemory({"x.csv": content})
    tracemalloc.start()
    count = sum(1 for _ in read_tables([LandedFile("x.csv", "0" * 64, len(content))], source, contract()))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count > 1000
    assert peak < 20e6


def test_a_stored_row_becomes_a_record_again() -> None:
    data = contract(categories={"b": ("low", "high")}, group="p", classes=())
    (row,), _ = read(b"a,b,kind,p\n1,high,7,x\n", data=data)
    record = record_of(row["_input"], row["_label"], "", "r#1", row["_group"], None, data)
    assert bytes.fromhex(record.id) == row["_id"]
    assert (record.label, record.group, record.facts, record.notes) == ("7.0", "x", {"a": 1.0, "b": "high"}, {})
    record = record_of(struct.pack("<2d", math.inf, 5), "x", "", "r#1", "", None, data)
    assert set(record.notes) == {"a", "b", "kind"}
    assert record.facts == {"a": None, "b": None}
    assert struct.unpack("<2d", record.input)[0] == math.inf
    assert math.isnan(struct.unpack("<2d", record.input)[1])
    minus, zero = (record_of(struct.pack("<2d", value, 0), "1", "", "r#1", "", None, data) for value in (-0.0, 0.0))
    assert (minus.id, minus.input) == (zero.id, zero.input)
    with pytest.raises(RejectedError, match="2 columns are 16"):
        record_of(b"123", "1", "", "r#1", "", None, data)


@settings(max_examples=150, deadline=None)
@given(
    body=st.one_of(st.binary(max_size=300), st.text('ab,;"\n\r1.e-\t\0é ', max_size=120).map(str.encode)),
    head=st.booleans(),
)
def test_any_bytes_are_records_or_refusals(body: bytes, head: bool) -> None:
    found, _ = read((b"a,b,kind\n" if head else b"") + body)
    for row in found:
        row["_label"].encode()
        values = struct.unpack("<2d", row["_input"])
        notes = json.loads(row["_notes"] or "{}")
        assert [math.isfinite(value) for value in values] == [name not in notes for name in ("a", "b")]


@settings(max_examples=60, deadline=None)
@given(
    given_rows=st.lists(
        st.tuples(st.floats(-1e30, 1e30), st.floats(-1e30, 1e30), st.sampled_from(["yes", "no"])),
        min_size=1,
        max_size=10,
    ),
    delimiter=st.sampled_from([",", ";", "\t", " "]),
)
def test_good_rows_come_back_exactly(given_rows: list[tuple[float, float, str]], delimiter: str) -> None:
    text = "\n".join(delimiter.join((label, repr(b), repr(a))) for a, b, label in given_rows)
    found, _ = read(f"kind{delimiter}b{delimiter}a\n{text}".encode())
    assert [(row["_label"], row["a"], row["b"]) for row in found] == [(label, a, b) for a, b, label in given_rows]


def by_place(reason: Reason) -> tuple[str, str]:
    return reason.place, reason.reason


CELL = st.one_of(
    st.sampled_from(
        ["1", "-2.5", " 3 ", "+4", ".5", "6.", "1e3", "nan", "", "x", "1e400", "é", '"q"', '"q""q"', '"a,b"']
    ),
    st.sampled_from(['"', '"a\nb"', "\0", "\x1c1", "\u20031", "-0", "inf", "x" * 30, "'", "\\", '"1"', "\t", ";", " "]),
    st.floats(width=32).map(repr),
    st.text("0123456789+-.eE_ ", max_size=8),
)


def check_same(content: bytes) -> None:
    """The fast way finds what the careful reader finds, at once and in small blocks; refusals in any order."""
    for limit, size in ((csvrows.MAX_LINE_CHARS, csvrows.BLOCK_BYTES), (60, 256)):
        with (
            mock.patch.object(csvrows, "MAX_LINE_CHARS", limit),
            mock.patch.object(csvblocks, "MAX_LINE_CHARS", limit),
        ):
            with mock.patch.object(csvblocks, "_fast", lambda *_: None):
                expected, refused = read(content)
            with mock.patch.object(rows, "Blocks", functools.partial(csvrows.Blocks, size=size)):
                found, reasons = read(content)
        assert found == expected
        assert sorted(reasons, key=by_place) == sorted(refused, key=by_place)


@settings(max_examples=200, deadline=None)
@given(
    lines=st.lists(st.lists(CELL, min_size=1, max_size=4), max_size=12),
    delimiter=st.sampled_from([",", ";", "\t", " "]),
    ends=st.lists(st.sampled_from(["\n", "\n", "\r\n", "\r", "\n\n"]), min_size=12, max_size=12),
    raw=st.binary(max_size=3),
)
def test_the_fast_way_finds_what_the_careful_reader_finds(
    lines: list[list[str]], delimiter: str, ends: list[str], raw: bytes
) -> None:
    body = "".join(delimiter.join(line) + end for line, end in zip(lines, ends, strict=False)).encode() + raw
    check_same(delimiter.join(("a", "b", "kind")).encode() + b"\n" + body)


_LINES = (
    *(b"1,2,yes", b"3,x,no", b"1,2", b"", b"a,b,c,d", b"1,\0,y", b"\xc3\xa9,1,no", b"  ", b",,", b"1,2,\x0byes"),
    *(b"1,2,\xff", b"x" * 70 + b",1,no", b"1,2,\r", b"1,2,yes\r"),
)


@settings(max_examples=150, deadline=None)
@given(lines=st.lists(st.sampled_from(_LINES), max_size=14), last=st.sampled_from([b"", b"\n", b"\xff", b"1,2,no"]))
def test_odd_lines_among_plain_ones_are_found_the_same(lines: list[bytes], last: bytes) -> None:
    check_same(b"a,b,kind\n" + b"\n".join(lines) + last)


@given(st.one_of(st.text("0123456789+-.eEinfa ", max_size=12), st.floats().map(repr), CELL))
def test_arrow_reads_numbers_as_the_rule_says(cell: str) -> None:
    values, notes = cells.numbers(pa.array([cell]))
    value, note = cells.number(cell)
    assert struct.pack("<d", values[0]) == struct.pack("<d", value)
    assert notes.get(0) == note


def test_blocks_end_where_lines_end() -> None:
    blocks = csvrows.Blocks(io.BytesIO(b"ab\ncdef\nghijklmnop\nq\r\rst\r\n"), size=8)
    found = []
    while block := blocks.take():
        found.append(block)
    assert b"".join(found) == b"ab\ncdef\nghijklmnop\nq\r\rst\r\n"
    assert found[0] == b"ab\ncdef\n"
    assert found[1] == b"ghijklmn"  # longer than a block: cut


@needs_shared
def test_the_real_tables() -> None:
    columns = ["Air temperature [K]", "Rotational speed [rpm]", "Torque [Nm]", "Tool wear [min]", "Type"]
    section = {"target": "Machine failure", "columns": columns, "categories": {"Type": ("L", "M", "H")}}
    data = DataContract(reader="table", classes=("0", "1"), table=section)  # type: ignore[arg-type]
    expected = {"good": (400, 0, 0), "ragged_rows": (389, 11, 0), "nan_inf_empty": (400, 0, 106)}
    for name, counts in expected.items():
        found, reasons = read((SHARED / f"bad/csv/{name}.csv").read_bytes(), data=data)
        assert (len(found), len(reasons), sum(row["_notes"] is not None for row in found)) == counts, name
    path = next((SHARED / "predictive-maintenance/ai4i2020").glob("*.csv"))
    found, reasons = read(path.read_bytes(), data=data)
    assert (len(found), reasons) == (7000, [])
    assert sum(row["_label"] == "1" for row in found) == 278


SPACED = b' color , n , y , g \n red , 1.0 , p , 7\nred,2,"q\t",7 \n "red",3, p,  \n'
TRIMMED = {"target": "y", "group": "g", "columns": ["color", "n"], "categories": {"color": ["red", "blue"]}}


def trimmed(**cells: bool) -> DataContract:
    return DataContract.model_validate(
        {"reader": "table", "classes": ["p", "q"], "table": {**TRIMMED, "cells": {"trim": True, **cells}}}
    )


def test_spaces_around_words_do_not_count_where_the_contract_says_so() -> None:
    rows, refused = read_all(read_tables, {"x.csv": SPACED.replace(b' "red"', b"red")}, trimmed())
    assert not refused
    assert [(row["color"], row["n"], row["_label"], row["_group"]) for row in rows] == [
        ("red", 1.0, "p", "7"),
        ("red", 2.0, "q", "7"),
        ("red", 3.0, "p", ""),
    ]
    exact, _ = read_all(read_tables, {"x.csv": SPACED.replace(b' "red"', b"red")}, trimmed(trim=False))
    assert [row["color"] for row in exact] == [None, "red", "red"]
    assert "if 'red' is meant, write it so, or say `cells: {trim: true}`" in (exact[0]["_notes"] or "")


@pytest.mark.parametrize("form", ["parquet", "arrow"])
def test_columns_of_text_are_trimmed_in_typed_files_and_so_are_their_names(form: str) -> None:
    columns = {
        " n": [1.5, 2.5],
        "color ": pa.array([" red", "blue "]).dictionary_encode(),
        "y": ["p ", "q"],
        "g": ["1"] * 2,
    }
    table, sink = pa.table(columns), io.BytesIO()
    if form == "parquet":
        pq.write_table(table, sink)
    else:
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
    rows, refused = read_all(read_tables, {"x.parquet": sink.getvalue()}, trimmed())
    assert not refused
    assert [(row["color"], row["n"], row["_label"]) for row in rows] == [("red", 1.5, "p"), ("blue", 2.5, "q")]
    _, refused = read_all(read_tables, {"x.parquet": sink.getvalue()}, trimmed(trim=False))
    assert "the input columns 'color', 'n' are missing" in refused[0].reason


def test_a_corrected_label_is_trimmed_and_a_corrected_number_has_a_point() -> None:
    stored = struct.pack("<2d", 0.0, 1.5)
    assert record_of(stored, " p ", "", "x#1", "", None, trimmed()).label == "p"
    number = DataContract.model_validate(
        {"reader": "table", "table": {**TRIMMED, "cells": {"decimal": ",", "thousands": "."}}}
    )
    assert record_of(stored, "1.234", "", "x#1", "", None, number).label == "1.234"
    assert record_of(stored, "1,5", "", "x#1", "", None, number).notes["y"] == "'1,5' is not a number"
