"""Records that return: what a file says is not believed, what it stores is read as if it had just landed."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from assets.ingest.landing import land
from assets.ingest.reading import read_landed
from assets.line.config import Line
from assets.line.data import DataContract
from assets.readers import returned
from assets.readers.dispatch import read_files
from assets.readers.images import record_of
from assets.readers.returned import read_returned
from assets.records.batch import LandedFile
from assets.records.line_store import bind
from assets.records.reason import Reason
from assets.records.record import RECORD_COLUMNS
from assets.storage.store import Store
from tests.assets.readers.rows_of_readers import InMemory, read_all

PATH = "fixed.records.parquet"


def pictures() -> DataContract:
    image = {"height": 8, "width": 8, "channels": 1}
    return DataContract(reader="image_folder", classes=("cat", "dog"), image=image)  # type: ignore[arg-type]


def tables() -> DataContract:
    table = {"target": "kind", "columns": ("a", "b")}
    return DataContract(reader="table", classes=("yes", "no"), table=table)  # type: ignore[arg-type]


def picture(seed: int = 0) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def stored(inputs: list[Any], **columns: Any) -> pa.Table:
    count = len(inputs)
    usual: dict[str, Any] = {
        "id": ["f" * 64] * count,
        "label": ["cat"] * count,
        "split": [""] * count,
        "file": ["cat/1.png"] * count,
        "group": [""] * count,
        "time": pa.nulls(count, pa.float64()),
        "input": pa.array(inputs, pa.binary()),
        "origin": [""] * count,
        "drawn_by": pa.nulls(count, pa.string()),
    }
    return pa.table({**usual, **columns})


def written(table: pa.Table, **options: Any) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, **options)
    return buffer.getvalue()


def only_reason(content: bytes) -> Reason:
    rows, (reason,) = read_all(read_returned, {PATH: content}, pictures())
    assert not rows
    assert reason.outcome == "refused"
    return reason


def test_ids_and_facts_are_made_anew() -> None:
    assert tuple(stored([]).column_names) == RECORD_COLUMNS
    table = stored([picture(1), picture(2)], label=["cat", "dog"], split=["train", "test"], group=["g", ""])
    rows, none = read_all(read_returned, {PATH: written(table)}, pictures())
    assert not none
    for row, seed in zip(rows, (1, 2), strict=True):
        alone = record_of(picture(seed), "", "", "", "", None, pictures())
        assert row["_id"].hex() == alone.id
        assert row["brightness"] == alone.facts["brightness"]
    assert [row["_file"] for row in rows] == [f"{PATH}#1", f"{PATH}#2"]
    assert [(row["_label"], row["_split"], row["_group"]) for row in rows] == [
        ("cat", "train", "g"),
        ("dog", "test", ""),
    ]


def test_every_kind_of_record_returns() -> None:
    table = stored([struct.pack("<2d", 1.5, -2.0), b"short"], label=["yes", "no"])
    (row,), (reason,) = read_all(read_returned, {PATH: written(table)}, tables())
    assert (row["a"], row["b"], row["_label"]) == (1.5, -2.0, "yes")
    assert reason.place == "row 2"


def test_a_reading_says_which_batch_its_unit_is_of() -> None:
    series = {"unit": "u", "time": "t", "columns": ("a",), "target": "y"}
    data = DataContract(reader="series", series=series)  # type: ignore[arg-type]
    cells = [struct.pack("<d", value) for value in (1.0, 2.0, 3.0)]
    batch = "0a" * 32
    more = {"label": ["1.0"] * 3, "group": ["m"] * 3, "time": [1.0, 2.0, 3.0], "origin": [batch, None, "../x"]}
    rows, (reason,) = read_all(read_returned, {PATH: written(stored(cells, **more))}, data)
    assert [row["_origin"] for row in rows] == [batch, ""]
    assert reason.place == "row 3"
    assert "no batch's id; take the record from quarantine again" in f"{reason.reason}; {reason.remedy}"
    rows, none = read_all(read_returned, {PATH: written(stored(cells, **more).drop_columns(["origin"]))}, data)
    assert not none
    assert [row["_origin"] for row in rows] == [""] * 3


def test_more_and_fewer_columns_and_other_types_do() -> None:
    table = stored([picture()], rule=["near"], reason=["<b>"]).drop_columns(["id", "file", "group", "time"])
    table = table.set_column(0, "label", table["label"].dictionary_encode())
    (row,), none = read_all(read_returned, {PATH: written(table)}, pictures())
    assert not none
    assert (row["_label"], row["_group"], row["_time"]) == ("cat", "", None)
    large = pa.table({"label": pa.array(["cat"], pa.large_string()), "split": [""], "input": [picture()]})
    rows, none = read_all(read_returned, {PATH: written(large)}, pictures())
    assert (len(rows), none) == (1, [])


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"input": pa.array([None], pa.binary())}, "input is missing"),
        ({"input": pa.array([b""], pa.binary())}, "empty"),
        ({"input": pa.array([b"<html>"], pa.binary())}, "not a readable picture"),
        ({"split": ["holdout"]}, "'holdout'"),
        ({"label": ["x" * 20_000]}, "longer than"),
        ({"label": pa.array([b"\xff"], pa.binary()).view(pa.string())}, "not UTF-8"),
    ],
)
def test_a_bad_row_is_refused_and_the_rest_goes_on(columns: dict[str, Any], expected: str) -> None:
    table = pa.concat_tables([stored([picture()], **columns), stored([picture(2)])])
    rows, (reason,) = read_all(read_returned, {PATH: written(table)}, pictures())
    assert [row["_file"] for row in rows] == [f"{PATH}#2"]
    assert (reason.place, reason.outcome) == ("row 1", "refused")
    assert expected in reason.reason


def test_nothing_is_an_empty_text() -> None:
    table = stored([picture()], label=pa.nulls(1, pa.string()), split=pa.nulls(1), group=pa.nulls(1, pa.string()))
    (row,), none = read_all(read_returned, {PATH: written(table)}, pictures())
    assert not none
    assert (row["_label"], row["_split"], row["_group"]) == ("", "", "")


def test_broken_files_are_refused() -> None:
    whole = written(stored([picture()]))
    for content in (b"", b"PAR1", b"PAR1" * 4, whole[:-1], whole[: len(whole) // 2], b"x" + whole, whole[:-8]):
        assert only_reason(content).place == "whole file"
    assert "input" in only_reason(written(stored([picture()]).drop_columns(["input"]))).reason
    assert "bytes" in only_reason(written(stored([b""], input=[1]))).remedy
    assert "no records" in only_reason(written(stored([]))).reason


def test_a_file_of_too_many_rows_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(returned, "MAX_RECORDS", 2)
    assert "3 rows" in only_reason(written(stored([picture()] * 3))).reason


def test_one_picture_repeated_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dictionary holds the picture once, so a small file can hold terabytes; what is made of it is counted."""
    monkeypatch.setattr(returned, "FREE_BYTES", 10_000)
    monkeypatch.setattr(returned, "MAX_RATIO", 1)
    rows, reasons = read_all(read_returned, {PATH: written(stored([picture()] * 5000))}, pictures())
    assert len(rows) < 1000
    assert "unpack to more" in reasons[-1].reason


def test_a_row_group_that_unpacks_to_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(returned, "MAX_UNPACKED_BATCH", 50_000)
    content = written(stored([bytes(10_000) + bytes([n]) for n in range(20)]), use_dictionary=False)
    assert "row group" in only_reason(content).reason


def test_they_lie_beside_other_files(pictures: Line, store: Store, tmp_path: Any) -> None:
    folder = tmp_path / "drop"
    (folder / "cat").mkdir(parents=True)
    (folder / "cat" / "1.png").write_bytes(picture(1))
    (folder / PATH).write_bytes(written(stored([picture(2)], label=["dog"])))
    landed = land(bind(store, pictures), folder)
    chunks = [item for item in read_landed(bind(store, pictures), landed.batch) if not isinstance(item, Reason)]
    found = [row for chunk in chunks for row in chunk.select(["_label", "_file"]).to_pylist()]
    assert found == [{"_label": "cat", "_file": "cat/1.png"}, {"_label": "dog", "_file": f"{PATH}#1"}]


def test_only_records_need_no_other_file() -> None:
    content = written(stored([picture()]))
    (item,) = read_files([LandedFile(PATH, "0" * 64, len(content))], InMemory({PATH: content}), pictures())
    assert not isinstance(item, Reason)


@settings(max_examples=150, deadline=None)
@given(at=st.floats(0, 1), noise=st.binary(min_size=1, max_size=8), footer=st.booleans())
def test_mutated_files_are_read_or_refused(at: float, noise: bytes, footer: bool) -> None:
    content = bytearray(written(stored([picture(1), picture(2)])))
    start = int(at * len(content)) if not footer else len(content) - 8 - int(at * 300)
    content[start : start + len(noise)] = noise
    read_all(read_returned, {PATH: bytes(content)}, pictures())
