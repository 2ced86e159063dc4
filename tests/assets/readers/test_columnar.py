"""Parquet and Arrow tables: the same rules as for text, and limits before memory is spent."""

from __future__ import annotations

import datetime
import decimal
import io
import json
import random
import struct
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import feather

from assets.errors import RejectedError
from assets.line.data import DataContract
from assets.readers import columnar, frames, pages
from assets.readers.cells import words
from assets.readers.pages import read_footer
from assets.readers.tables import read_tables
from assets.readers.thrift import CutOffError, read_struct
from assets.records.batch import LandedFile
from assets.records.reason import Reason
from tests.assets.readers.rows_of_readers import InMemory, read_all


def contract(**table: Any) -> DataContract:
    section = {"target": "kind", "columns": ("a", "b"), **table}
    return DataContract(reader="table", classes=("yes", "no"), table=section)  # type: ignore[arg-type]


def parquet(table: pa.Table, **settings: Any) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, **settings)
    return buffer.getvalue()


def arrow_file(table: pa.Table, **settings: Any) -> bytes:
    buffer = io.BytesIO()
    feather.write_feather(table, buffer, **settings)
    return buffer.getvalue()


def arrow_stream(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    with pa.ipc.new_stream(buffer, table.schema) as writer:
        writer.write_table(table)
    return buffer.getvalue()


WRITERS: list[Callable[[pa.Table], bytes]] = [parquet, arrow_file, arrow_stream]


def read(content: bytes, data: DataContract | None = None) -> tuple[list[dict[str, Any]], list[Reason]]:
    return read_all(read_tables, {"x.parquet": content}, data or contract())


def only_reason(content: bytes, data: DataContract | None = None) -> str:
    found, (reason,) = read(content, data)
    assert not found
    return f"{reason.place}: {reason.reason}; {reason.remedy}"


@pytest.mark.parametrize("write", WRITERS)
def test_columns_of_every_type_follow_one_rule(write: Callable[[pa.Table], bytes]) -> None:
    nan, inf = float("nan"), float("inf")
    cases: list[tuple[pa.Array, list[float | None]]] = [
        (pa.array([1, 2, None], pa.int8()), [1.0, 2.0, None]),
        (pa.array([2**53, 2**53 + 1, None], pa.uint64()), [2.0**53, None, None]),
        (pa.array([-(2**53), -(2**63), None]), [-(2.0**53), None, None]),
        (pa.array([0.35, 1e10, None], pa.float32()), [0.35, 1e10, None]),
        (pa.array([0.35, 2e-7, None], pa.float16()), [0.35, 2e-07, None]),
        (pa.array([0.5, nan, inf], pa.float32()), [0.5, None, None]),
        (pa.array([-0.0, 1e39, -1e300]), [0.0, None, None]),
        (pa.array([True, False, None]), [1.0, 0.0, None]),
        (pa.array([decimal.Decimal("1.25"), None, None]), [1.25, None, None]),
        (pa.array([decimal.Decimal("0.35"), decimal.Decimal(2**53 + 1), None]), [0.35, None, None]),
        (pa.array([" 1.5 ", "x", ""]), [1.5, None, None]),
        (pa.array(["1e400", None, "7"], pa.large_string()), [None, None, 7.0]),
        (pa.array(["3", "3", "nan"]).dictionary_encode(), [3.0, 3.0, None]),
        (pa.nulls(3), [None, None, None]),
    ]
    for column, expected in cases:
        table = pa.table({"kind": ["yes", None, "no"], "a": column, "skipped": [[1], [], None], "b": [1, 2, 3]})
        found, reasons = read(write(table))
        assert not reasons
        assert [row["a"] for row in found] == expected, column.type
        assert [row["_label"] for row in found] == ["yes", "", "no"]
        assert [row["_file"] for row in found] == ["x.parquet#1", "x.parquet#2", "x.parquet#3"]
        assert [set(json.loads(row["_notes"] or "{}")) for row in found] == [
            set() if value is not None else {"a"} for value in expected
        ]
        for row in found:
            if row["a"] is not None:
                assert row["_input"] == struct.pack("<2d", row["a"], row["b"])


def test_the_same_row_has_the_same_id_in_every_form() -> None:
    table = pa.table({"a": [1.5, 2.0], "b": [3, 4], "kind": ["yes", "no"]})
    ids = [[row["_id"] for row in read(write(table))[0]] for write in WRITERS]
    text, _ = read_all(read_tables, {"x.csv": b"a,b,kind\n1.5,3,yes\n2,4,no\n"}, contract())
    assert ids == [[row["_id"] for row in text]] * 3


def test_words_of_other_types() -> None:
    day = datetime.date(2024, 3, 31)
    for column, expected in (
        (pa.array([1, 0]), ["1", "0"]),
        (pa.array([1.0, 0.5]), ["1", "0.5"]),
        (pa.array([True, False]), ["true", "false"]),
        (pa.array([day, None]), ["2024-03-31", ""]),
        (pa.array(["yes", "no"]).dictionary_encode(), ["yes", "no"]),
    ):
        found, _ = read(parquet(pa.table({"a": [1, 2], "b": [1, 2], "kind": column})))
        assert [row["_label"] for row in found] == expected


def test_a_moment_is_one_word_whatever_unit_it_is_stored_in() -> None:
    units = {
        0: ("12:30:00", "s", "ms", "us", "ns"),
        500_000: ("12:30:00.5", "ms", "us", "ns"),
        100: ("12:30:00.0001", "us", "ns"),
    }
    for micros, (text, *kinds) in units.items():
        moment = datetime.datetime(2020, 10, 30, 12, 30, 0, micros)
        for unit in kinds:
            assert words(pa.array([moment, None], pa.timestamp(unit))).to_pylist() == [f"2020-10-30 {text}", ""]
            aware = pa.array([moment], pa.timestamp(unit)).cast(pa.timestamp(unit, "UTC"))
            assert words(aware).to_pylist() == [f"2020-10-30 {text}Z"]
            berlin = words(aware.cast(pa.timestamp(unit, "Europe/Berlin"))).to_pylist()
            assert berlin == [f"2020-10-30 {text.replace('12:', '13:')}+0100"]


@pytest.mark.parametrize("write", WRITERS)
def test_what_cannot_be_numbers_or_words_is_refused(write: Callable[[pa.Table], bytes]) -> None:
    good = {"a": pa.array([1.0]), "b": pa.array([2.0]), "kind": pa.array(["yes"])}
    for name, column, expected in (
        ("a", pa.array([[1.0]]), "'a'"),
        ("a", pa.array([datetime.date(2024, 1, 1)]), "its column 'a' holds date32[day]; write it as numbers"),
        ("a", pa.array([b"1"]), "its column 'a' holds binary"),
        ("kind", pa.array([{"x": 1}]), "'kind'"),
    ):
        text = only_reason(write(pa.table({**good, name: column})))
        assert text.startswith("whole file: its column")
        assert expected in text
    assert "the target column 'kind' is missing" in only_reason(write(pa.table({"a": [1], "b": [2]})))
    assert "no rows" in only_reason(write(pa.table(good).slice(0, 0)))


@pytest.mark.parametrize("write", WRITERS)
def test_odd_types_of_time_are_words_or_refusals(write: Callable[[pa.Table], bytes]) -> None:
    for kind in (
        pa.date32(), pa.date64(), pa.time32("s"), pa.time64("ns"), pa.duration("us"), pa.timestamp("s"),
        pa.timestamp("us", "Nowhere/Land"), pa.timestamp("us", "Europe/Berlin"), pa.month_day_nano_interval(),
    ):  # fmt: skip
        values = [(1, 2, 3)] if kind == pa.month_day_nano_interval() else [86_400_000]
        column = pa.array(values, kind)
        try:
            content = write(pa.table({"a": [1], "b": [2], "kind": column}))
        except pa.ArrowNotImplementedError:
            continue  # Parquet holds no intervals
        found, reasons = read(content)
        assert len(found) + len(reasons) == 1, kind
        assert not found or found[0]["_label"]


def test_columns_that_are_there_twice_are_refused() -> None:
    table = pa.Table.from_arrays([pa.array([1])] * 3 + [pa.array(["yes"])], names=["a", "a", "b", "kind"])
    assert "its header has 'a' more than once" in only_reason(arrow_stream(table))


@pytest.mark.parametrize("write", WRITERS)
def test_texts_that_are_too_long_or_not_utf8_refuse_their_row(write: Callable[[pa.Table], bytes]) -> None:
    bad = pa.Array.from_buffers(pa.string(), 3, pa.array([b"yes", b"\xff\xfe", b"no"]).buffers())
    table = pa.table({"a": [1, 2, 3], "b": [1, 2, 3], "kind": bad})
    found, (reason,) = read(write(table))
    assert [row["_file"] for row in found] == ["x.parquet#1", "x.parquet#3"]
    assert (reason.place, reason.reason) == ("row 2", "column 'kind': its text is not UTF-8")
    found, (reason,) = read(write(table.set_column(2, "kind", pa.array(["yes", "x" * 10_001, "no"]))))
    assert len(found) == 2
    assert "longer than 10,000 characters" in reason.reason


def test_a_long_text_in_a_million_rows_takes_the_memory_of_one() -> None:
    kinds = pa.DictionaryArray.from_arrays(pa.array(np.zeros(300_000, dtype=np.int32)), pa.array(["y" * 10_000]))
    content = parquet(pa.table({"a": np.zeros(300_000), "b": np.zeros(300_000), "kind": kinds}))
    assert len(content) < 100_000
    source = InMemory({"x.parquet": content})
    before = pa.default_memory_pool().max_memory()
    rows = 0
    for item in read_tables([LandedFile("x.parquet", "0" * 64, len(content))], source, contract()):
        assert isinstance(item, pa.Table)
        assert item.nbytes < 100e6
        rows += item.num_rows
    assert rows == 300_000
    assert pa.default_memory_pool().max_memory() - before < 300e6


def test_limits_hold_before_anything_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    table = pa.table({"a": np.zeros(200_000), "b": np.zeros(200_000), "kind": ["yes"] * 200_000})
    packed = parquet(table, compression="zstd", use_dictionary=False)
    monkeypatch.setattr(columnar, "MAX_ROWS", 100)
    assert "200,000 rows, at most 100" in only_reason(packed)
    monkeypatch.undo()
    monkeypatch.setattr(pages, "MAX_UNPACKED_PAGE", 1000)
    assert "a page unpacks to" in only_reason(packed)
    monkeypatch.setattr(frames, "MAX_UNPACKED_BATCH", 1000)
    assert "a batch has" in only_reason(arrow_file(table, compression="zstd"))
    assert "a batch has" in only_reason(arrow_stream(table))
    words = pa.table({"a": [1], "b": [1], "kind": pa.array(["x" * 2000]).dictionary_encode()})
    assert "a batch has 2,0" in only_reason(arrow_stream(words))
    deep = pa.array([1])
    for _ in range(40):
        deep = pa.ListArray.from_arrays(pa.array([0, 1], pa.int32()), deep)
    assert "nested more than 32 deep" in only_reason(
        parquet(pa.table({"a": [1], "b": [1], "kind": ["yes"], "x": deep}))
    )


def test_a_huge_text_is_refused_without_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "MAX_UNPACKED_PAGE", 16 * 1024**2)
    content = parquet(pa.table({"a": [1.0], "b": [1.0], "kind": ["x" * 20_000_000]}), compression="zstd")
    before = pa.total_allocated_bytes()
    tracemalloc.start()
    assert "a page unpacks to" in only_reason(content)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5e6
    assert pa.total_allocated_bytes() - before < 5e6


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"PAR1", "it is cut off"),
        (b"PAR1" + bytes(50), "it is cut off: a Parquet file ends with PAR1"),
        (b"PAR1" + bytes(50) + b"PARE", "it is encrypted"),
        (b"PAR1" + bytes(20) + b"\xff\xff\xff\x00PAR1", "its footer is said to have 16,777,215 bytes"),
        (b"PAR1" + bytes(20) + b"\x05\x00\x00\x00PAR1", "its footer makes no sense"),
        (b"ARROW1\0\0", "it holds no message of Arrow"),
        (b"ARROW1\0\0\xff\xff\xff\xff\xff\xff\xff\x7f", "a description is said to have"),
        (b"ARROW1\0\0\xff\xff\xff\xff\x10\x00\x00\x00abc", "it is cut off within a description"),
        (b"ARROW1\0\0\xff\xff\xff\xff\x04\x00\x00\x00abcd", "a description makes no sense"),
        (b"FEA1" + bytes(30), "it is Feather of version 1; write it as Parquet"),
    ],
)
def test_damaged_files_say_what_is_wrong(content: bytes, expected: str) -> None:
    assert expected in only_reason(content)


def test_cut_and_changed_files_are_records_or_refusals() -> None:
    """Thousands of these were tried; a few here. Without our own reading of the footer, pyarrow ends the process."""
    kinds = pa.array(["yes", "no", None, "yes"] * 30)
    table = pa.table({"a": pa.array([1.5, None] * 60), "b": pa.array(range(120)), "kind": kinds})
    chance = random.Random(0)
    for content in (parquet(table, row_group_size=50, data_page_size=64), arrow_file(table, chunksize=50)):
        for _ in range(150):
            changed = bytearray(content)
            for _ in range(chance.choice([1, 1, 3])):
                changed[chance.randrange(8, len(changed))] = chance.randrange(256)
            for raw in (bytes(changed), content[: chance.randrange(8, len(content))]):
                found, reasons = read(raw)
                assert found or reasons


def test_names_of_columns_may_have_dots() -> None:
    data = contract(columns=("a.b", "b"))
    found, _ = read(parquet(pa.table({"a": [[1]], "a.b": [7], "b": [8], "kind": ["yes"]})), data)
    assert found[0]["a.b"] == 7.0


def test_the_footer_says_what_pyarrow_says() -> None:
    table = pa.table({"a": range(1000), "l": [[1, 2]] * 1000, "s": [{"x": 1, "y": {"z": "q"}}] * 1000})
    content = parquet(table, row_group_size=300)
    footer = read_footer(io.BytesIO(content), len(content))
    metadata = pq.read_metadata(io.BytesIO(content))
    assert (footer.rows, len(footer.groups)) == (metadata.num_rows, metadata.num_row_groups)
    assert (footer.names, footer.plain) == (("a", "l", "s"), {"a"})
    assert [part.path for part in footer.groups[0]] == ["a", "l.list.element", "s.x", "s.y.z"]
    largest = pages.check_pages(io.BytesIO(content), footer)
    groups = [metadata.row_group(group) for group in range(metadata.num_row_groups)]
    assert 0 < largest <= max(group.total_byte_size for group in groups)


def test_thrift_stays_inside_its_bytes() -> None:
    assert read_struct(b"\x15\x04\x00", 0, {1: None}) == ({1: 2}, 3)
    for data in (b"", b"\x15", b"\x18\x7f", b"\x19\xf5\xff\xff\x03", b"\x1c" * 10):
        with pytest.raises(CutOffError):
            read_struct(data, 0, {})
    for data in (b"\x1c" * 40, b"\x1f", b"\x15" + b"\xff" * 20, b"\x19\xf5" + b"\xff" * 4 + b"\x7f"):
        with pytest.raises(RejectedError):
            read_struct(data, 0, {})
