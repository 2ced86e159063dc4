"""A device reads files as the line's readers do: the same rows, units and texts, whatever they were written with."""

from __future__ import annotations

import builtins
import csv
import datetime
import decimal
import gzip
import io
import json
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pyarrow import ipc

from assets.line.data import DataContract
from assets.readers.series import read_series
from assets.readers.tables import read_tables
from assets.training.normalize import row_files
from edge.contracts import InputSpec, ReleaseManifest, RowFiles, from_bytes, to_bytes
from edge.errors import ContractError, RejectedError
from edge.runtime.inputs import tables
from edge.runtime.inputs.words import text_tensor
from edge.runtime.records import Found, files_below, read_records
from tests.assets.readers.rows_of_readers import read_all
from tests.edge.agent.toy_releases import toy_release

COLUMNS = ((0.0, 0.0), (1.0, 1.0), ("a", "b"))
WORDS = {"b": ("off", "on", "1", "true")}
TABLE = InputSpec("table", "x", (2,), *COLUMNS)
CYCLES = RowFiles(("unit", "cycle", "a", "b"), unit="unit", time="cycle")
ENGINES = InputSpec("series", "x", (2, 2), *COLUMNS, files=CYCLES)
LOGS = InputSpec("series", "x", (2, 2), *COLUMNS, files=RowFiles(unit="unit", time="at"))
TEXTS = InputSpec("text", "x", (6,), (), (), buckets=1000, files=RowFiles(("label", "text"), text="text"))
MESSAGES = InputSpec("text", "x", (6,), (), (), buckets=1000, files=RowFiles(text="text"))


def read(spec: InputSpec, folder: Path, content: bytes, name: str = "x.csv") -> list[Found]:
    path = folder / name
    path.write_bytes(content)
    return list(read_records(spec, path))


def values(found: list[Found]) -> list[list[float]]:
    return [[float(value) for value in np.ravel(one.tensor)] for one in found if one.tensor is not None]


def problems(found: list[Found]) -> dict[str, str]:
    return {one.place: one.problem for one in found if one.tensor is None}


@pytest.mark.parametrize(
    "content",
    [
        b"a,b\n1,2\n3,4\n",
        b"b\ta\textra\r\n2\t1\tx\r\n4\t3\ty\r\n",
        b"\xef\xbb\xbfa;b\n1;2\n\n3;4",
        b"sep=;\na;b\n1;2\n3;4\n",
        b"a   b\n 1 2 \n3   4\n",
        b'"a","b","note"\r"1","2","two\nlines"\r"3","4",""\r',
        b"kind,a,b,\nx,1,2,\ny,3,4,\n",
        gzip.compress(b"a,b\n1,2\n3,4\n", mtime=0),
        b'[{"a": 1, "b": 2}, {"b": 4, "a": 3, "c": []}]',
        b"[[1, 2], [3, 4]]",
        b'{"a": 1, "b": 2}\n{"a": 3, "b": "4"}\n',
        gzip.compress(b'{"a": 1, "b": 2}\n\n{"a": 3, "b": "4"}\n', mtime=0),
    ],
)
def test_many_rows_of_every_text_form(tmp_path: Path, content: bytes) -> None:
    found = read(TABLE, tmp_path, content)
    assert values(found) == [[1, 2], [3, 4]]
    assert len({one.place for one in found}) == 2


def test_files_without_a_header_are_read_by_the_lines_names(tmp_path: Path) -> None:
    spec = InputSpec("table", "x", (2,), *COLUMNS, files=RowFiles(("k", "b", "a"), skip_lines=1))
    assert values(read(spec, tmp_path, b"A title, of 2024\nx,2,1\ny,4,3\n")) == [[1, 2], [3, 4]]
    assert values(read(spec, tmp_path, b"title\na,k,b\n1,x,2\n3,y,4\n")) == [[1, 2], [3, 4]], "names win over places"
    with pytest.raises(RejectedError, match="at most 2 cells, files of this line have 3"):
        read(spec, tmp_path, b"title\n1,2\n")


def test_one_bad_row_stops_no_other(tmp_path: Path) -> None:
    found = read(TABLE, tmp_path, b"a,b\n1,2\n1\n1,x\n1,\n9007199254740993,1\n1e39,1\n3,4\n")
    assert values(found) == [[1, 2], [3, 4]]
    assert problems(found) == {
        "line 3": "line 3 has 1 cells, the header has 2",
        "line 4": "column 'b': 'x' is not a number",
        "line 5": "column 'b': '' is not a number",
        "line 6": "column 'a': '9007199254740993' is not a number",
        "line 7": "column 'a': inf is not a finite number",
    }
    found = read(TABLE, tmp_path, b'{"a": 1, "b": 2}\n{"a": 1\n[1]\n{"a": 3, "b": 4}\n{"a": true, "b": 1}\n')
    assert values(found) == [[1, 2], [3, 4]]
    assert sorted(problems(found)) == ["line 2", "line 3", "line 5"]


def typed(form: str, table: pa.Table) -> bytes:
    out = io.BytesIO()
    if form == "parquet":
        pq.write_table(table, out, row_group_size=2)
    else:
        make: Any = ipc.new_file if form == "arrow" else ipc.new_stream
        with make(out, table.schema) as writer:
            writer.write_table(table, max_chunksize=2)
    return out.getvalue()


@pytest.mark.parametrize("form", ["parquet", "arrow", "stream"])
def test_typed_files_hold_the_numbers_and_words_that_a_csv_of_them_holds(tmp_path: Path, form: str) -> None:
    spec = InputSpec("table", "x", (2,), *COLUMNS, WORDS)
    shares = pa.array([0.35, 0.1, None], pa.float32())
    words = pa.array(["on", "off", "on"]).dictionary_encode()
    found = read(spec, tmp_path, typed(form, pa.table({"b": words, "more": [[1], [2], [3]], "a": shares})))
    np.testing.assert_array_equal(found[0].tensor, np.asarray([0.35, 1], np.float32))
    assert values(found[1:2]) == [[float(np.float32(0.1)), 0]]
    assert list(problems(found)) == ["row 3"]
    exact = pa.table({"a": pa.array([decimal.Decimal("0.35")] * 2), "b": pa.array([True, True])})
    assert values(read(spec, tmp_path, typed(form, exact))) == [[float(np.float32(0.35)), 3]] * 2
    with pytest.raises(RejectedError, match="column 'b' is missing"):
        read(spec, tmp_path, typed(form, pa.table({"a": [1]})))
    with pytest.raises(RejectedError, match="not a readable Parquet or Arrow file"):
        read(spec, tmp_path, typed(form, exact)[:60])


def test_without_pyarrow_a_sentence_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = builtins.__import__

    def absent(name: str, *more: Any, **named: Any) -> Any:
        if name.partition(".")[0] == "pyarrow":
            raise ImportError(name)
        return loaded(name, *more, **named)

    content = typed("parquet", pa.table({"a": [1], "b": [2]}))
    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(RejectedError, match="run: pip install pyarrow, or give CSV"):
        read(TABLE, tmp_path, content)


def test_units_are_records_whose_rows_stand_by_their_time(tmp_path: Path) -> None:
    engines = b"1 1 10 11 \n1 2 20 21 \n1 3 30 31 \n2 1 5 6 \n"
    found = read(ENGINES, tmp_path, engines, "test_FD001.txt")
    assert [one.place for one in found] == ["unit 1", "unit 2"]
    assert values(found) == [[20, 21, 30, 31], [5, 6, 5, 6]]
    logs = b"at,unit,a,b\n2024-01-03,m,3,3\n2024-01-01,m,1,1\n2024-01-02,n,7,7\n2024-01-02,m,2,2\n2024-01-01,n,x,6\n"
    found = read(LOGS, tmp_path, logs)
    assert values(found) == [[2, 2, 3, 3]]
    assert problems(found) == {"unit n": "row 1: column 'a': 'x' is not a number"}


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (b"1,m,1,1\n1,m,2,2\n", "a time twice"),
        (b"1,m,1,1\n2024-01-01,m,2,2\n", "numbers and times"),
        (b"2024-01-01T00:00:00Z,m,1,1\n2024-01-01,m,2,2\n", "with and without a zone"),
        (b"soon,m,1,1\n", "'soon' is neither a number nor a time"),
    ],
)
def test_times_that_give_no_order_are_refused(tmp_path: Path, rows: bytes, told: str) -> None:
    (found,) = read(LOGS, tmp_path, b"at,unit,a,b\n" + rows)
    assert told in found.problem


def test_texts_of_a_table_and_texts_of_their_own(tmp_path: Path) -> None:
    def tokens(*texts: str) -> list[list[float]]:
        return [[float(value) for value in text_tensor(TEXTS, text)] for text in texts]

    many = 'ham\tsee "you\u2028there\nspam\tfree prize\n'.encode()
    for name in ("SMSSpamCollection", "more.tsv", "more.txt"):
        assert values(read(TEXTS, tmp_path, many, name)) == tokens('see "you\u2028there', "free prize")
    assert values(read(TEXTS, tmp_path, b"free prize, or not\n", "one.txt")) == tokens("free prize, or not")
    found = read(MESSAGES, tmp_path, b'text,n\n"free\nprize",1\n" ",2\nhello,3\n')
    assert values(found) == tokens("free\nprize", "hello")
    assert problems(found) == {"line 4": "column 'text' has no text"}
    assert values(read(MESSAGES, tmp_path, b"text,n\nfree,1\n", "one.txt")) == tokens("text,n\nfree,1")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"PK\x03\x04 and more", "an Excel workbook"),
        (b"\x1f\x8b\x08 and more", "damaged gzip"),
        (gzip.compress(b"a,b\n" + b"1,2\n" * 9000, mtime=0)[:-12], "damaged gzip"),
        (b"a,b\n1,2\n\xff,2\n", "not text in UTF-8"),
        (b"", "empty"),
        (b"c,d\n1,2\n", "column 'a' is missing; its header has 'c', 'd'"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_as_a_whole(tmp_path: Path, content: bytes, told: str) -> None:
    with pytest.raises(RejectedError, match=told):
        read(TABLE, tmp_path, content)


def test_json_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MAX_JSON_BYTES", 100)
    with pytest.raises(RejectedError, match="more than 100 bytes of JSON; write an object per line"):
        read(TABLE, tmp_path, json.dumps([[1, 2]] * 50).encode())
    assert len(read(TABLE, tmp_path, b'{"a": 1, "b": 2}\n' * 50)) == 50


def test_files_of_a_folder_are_found_without_hidden_ones(tmp_path: Path) -> None:
    for name in ("b/2.csv", "a.csv", ".DS_Store", ".git/x.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert [str(path.relative_to(tmp_path)) for path in files_below(tmp_path)] == ["a.csv", "b/2.csv"]


NUMBERS = st.one_of(
    st.floats(-1e30, 1e30).map(repr),
    st.integers(-(2**54), 2**54).map(str),
    st.decimals(-1000, 1000, places=3).map(str),
    st.sampled_from(
        ["", "NA", "x", "1_0", "\u0661", "1e400", "1e-400", "inf", "nan", "-0", "+.5", "5.", " 7 ", "0x1F"]
    ),
)


@settings(max_examples=300, deadline=None)
@given(
    rows=st.lists(st.tuples(NUMBERS, st.sampled_from([*WORDS["b"], "ON", " on", "", "up"])), min_size=1, max_size=6),
    delimiter=st.sampled_from(",;\t"),
    named=st.booleans(),
    packed=st.booleans(),
)
def test_a_device_reads_what_the_lines_reader_read(
    rows: list[tuple[str, str]], delimiter: str, named: bool, packed: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    written = io.StringIO()
    out = csv.writer(written, delimiter=delimiter)
    out.writerows([("kind", "a", "b")] if named else [])
    out.writerows(("yes", *row) for row in rows)
    content = written.getvalue().encode()
    content = gzip.compress(content) if packed else content
    header = () if named else ("kind", "a", "b")
    section: Any = {"target": "kind", "columns": ("a", "b"), "categories": WORDS, "header": header}
    data = DataContract(reader="table", classes=("yes", "no"), table=section)
    records, refused = read_all(read_tables, {"x.csv": content}, data)
    assume(not refused)  # a first row with a wrong number may look like a header of other names
    theirs = [struct.unpack("<2d", row["_input"]) if row["_notes"] is None else None for row in records]
    spec = InputSpec("table", "x", (2,), *COLUMNS, WORDS, files=RowFiles(header))
    folder = tmp_path_factory.mktemp("rows")
    ours = read(spec, folder, content)
    assert [one.tensor is None for one in ours] == [row is None for row in theirs]
    clipped = [[float(np.float32(np.clip(cell, -1e6, 1e6))) for cell in row] for row in theirs if row is not None]
    assert values(ours) == clipped


def test_a_release_tells_how_files_are_written_and_an_older_one_keeps_its_bytes() -> None:
    manifest, _ = toy_release(1, 1.0)
    assert b'"files"' not in to_bytes(manifest)
    told = replace(manifest, input=replace(manifest.input, files=RowFiles(("a", "b", "kind"), 2)))
    assert from_bytes(ReleaseManifest, to_bytes(told)) == told


FORMS = st.builds(
    dict,
    decimal=st.sampled_from(".,"),
    thousands=st.sampled_from(["", ",", ".", " ", "'", "_"]),
    trim=st.booleans(),
).filter(lambda form: form["decimal"] != form["thousands"])
CENTS = st.decimals(-(10**7), 10**7, places=2).map(lambda value: f"{value:,}")
WRITTEN = st.one_of(
    NUMBERS,
    CENTS,
    CENTS.map(lambda text: text.translate({ord(","): ".", ord("."): ","})),
    CENTS.map(lambda text: text.replace(",", "\u202f")),
    CENTS.map(lambda text: text.translate({ord(","): "\u2019", ord("."): ","})),
    st.text(st.sampled_from("0123456789.,' _-e"), max_size=9),
)
SPACED = st.sampled_from([*WORDS["b"], " on", "on\u00a0", "\toff "])


def written_in(kind: str, rows: list[tuple[str, str]], spaced: bool) -> tuple[str, bytes]:
    """A file of columns kind, a and b: text, or Parquet with text or decimals in a."""
    if kind in {"comma", "semicolon"}:
        text = io.StringIO()
        csv.writer(text, delimiter=",;"[kind == "semicolon"]).writerows(
            [("kind", "a", "b"), *(("yes", *row) for row in rows)]
        )
        return "x.csv", text.getvalue().encode()
    cells = pa.array([cell for cell, _ in rows])
    if kind == "decimals":
        cells = pa.array([decimal.Decimal(at).scaleb(-3) for at in range(len(rows))], pa.decimal128(9, 3))
    words = [word for _, word in rows]
    return "x.parquet", typed(
        "parquet", pa.table({"kind": ["yes"] * len(rows), "a " if spaced else "a": cells, "b": words})
    )


@settings(max_examples=300, deadline=None)
@given(
    rows=st.lists(st.tuples(WRITTEN, SPACED), min_size=1, max_size=6),
    form=FORMS,
    kind=st.sampled_from(["comma", "semicolon", "parquet", "decimals"]),
)
def test_a_device_reads_cells_of_each_form_as_the_lines_reader_does(
    rows: list[tuple[str, str]], form: dict[str, Any], kind: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    name, content = written_in(kind, rows, form["trim"])
    section: Any = {"target": "kind", "columns": ("a", "b"), "categories": WORDS, "cells": form}
    data = DataContract(reader="table", classes=("yes", "no"), table=section)
    records, refused = read_all(read_tables, {name: content}, data)
    assert not refused
    theirs = [struct.unpack("<2d", row["_input"]) if row["_notes"] is None else None for row in records]
    spec = InputSpec("table", "x", (2,), *COLUMNS, WORDS, files=row_files(data))
    ours = read(spec, tmp_path_factory.mktemp("rows"), content, name)
    assert [one.tensor is None for one in ours] == [row is None for row in theirs]
    clipped = [[float(np.float32(np.clip(cell, -1e6, 1e6))) for cell in row] for row in theirs if row is not None]
    assert values(ours) == clipped


MOMENTS = st.datetimes(datetime.datetime(1990, 1, 1), datetime.datetime(2040, 1, 1))
TIMES = st.one_of(
    MOMENTS.map(lambda at: f"{at:%d.%m.%Y %H:%M:%S}"),
    MOMENTS.map(lambda at: f"{at.day}/{at.month}/{at.year}"),
    MOMENTS.map(lambda at: f"{at:%d-%m-%Y} {at.hour}:{at:%M}"),
    MOMENTS.map(lambda at: f"{at:%Y-%m-%d}"),
    st.sampled_from(["31.04.2024", "12/31/2024", "1.2.24", "31.12.2024 24:60"]),
)


@settings(max_examples=200, deadline=None)
@given(times=st.lists(TIMES, min_size=1, max_size=6))
def test_a_device_orders_readings_with_the_day_first_as_the_lines_reader_does(
    times: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = "unit;at;a;b;y\n" + "".join(f" m ;{time};{row},5;0;0\n" for row, time in enumerate(times))
    section: Any = {"unit": "unit", "time": "at", "target": "y", "columns": ("a", "b")}
    cells = {"decimal": ",", "day_first": True, "trim": True}
    data = DataContract(reader="series", series={**section, "cells": cells})
    records, refused = read_all(read_series, {"x.csv": content.encode()}, data)
    assert not refused
    theirs = [(row["_time"], struct.unpack("<2d", row["_input"])) for row in records]
    spec = InputSpec("series", "x", (6, 2), *COLUMNS, files=row_files(data))
    found = read(spec, tmp_path_factory.mktemp("units"), content.encode())
    if any(time is None for time, _ in theirs) or len({time for time, _ in theirs}) < len(theirs):
        assert [one.tensor for one in found] == [None]
        return
    window = [list(row) for _, row in sorted(theirs)]
    assert [one.place for one in found] == ["unit m"]
    assert found[0].tensor is not None and found[0].tensor[-len(window) :].tolist() == window


def test_a_device_trims_texts_where_the_line_does(tmp_path: Path) -> None:
    spec = replace(MESSAGES, files=RowFiles(text="text", trim=True))
    (found,) = read(spec, tmp_path, b"label; text \nx;  so it is \t\n")
    assert found.tensor is not None and np.array_equal(found.tensor, text_tensor(spec, "so it is"))


def test_how_cells_are_written_is_told_and_left_out_where_it_is_as_usual() -> None:
    manifest, _ = toy_release(1, 1.0)
    usual = replace(manifest, input=replace(manifest.input, files=RowFiles(("a", "b"), 2)))
    assert b'"decimal"' not in to_bytes(usual) and b'"trim"' not in to_bytes(usual)
    files = RowFiles(decimal=",", thousands=".", day_first=True, trim=True)
    told = replace(manifest, input=replace(manifest.input, files=files))
    assert from_bytes(ReleaseManifest, to_bytes(told)) == told
    with pytest.raises(ContractError, match="decimal and thousands are both"):
        from_bytes(ReleaseManifest, to_bytes(told).replace(b'"thousands":"."', b'"thousands":","'))
