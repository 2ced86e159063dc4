"""Whatever a table is written as, every value, target, unit, time and split that is stored is what was written."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path
from random import Random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.ingest.landing import land
from assets.line.config import parse_line
from assets.line.data import DataContract
from assets.quality.door import refuse_unsound
from assets.quality.gate import judge
from assets.quality.shards import records_table
from assets.readers.registry import reader_of
from assets.records.batch import LandedFile
from assets.records.line_store import bind
from assets.records.reason import Reason
from assets.storage.store import Store
from tests.assets.readers.rows_of_readers import InMemory
from tests.written_tables import Expected, Written, other_form, random_plan, split_of, write_table

NIGHTLY_GATES = 100


def stored(written: Written) -> pa.Table:
    """What the reader and the store's door make of a table: columns of `RECORD_COLUMNS`, through a Parquet."""
    file = LandedFile(written.path, "0" * 64, len(written.content))
    tables = []
    for item in reader_of(written.data.reader)([file], InMemory({written.path: written.content}), written.data):
        assert not isinstance(item, Reason), f"{item.place}: {item.reason}"
        refuse_unsound(item, written.data)
        tables.append(records_table(item))
    buffer = io.BytesIO()
    pq.write_table(pa.concat_tables(tables), buffer)
    return pq.read_table(buffer)


def found_in(table: pa.Table, data: DataContract) -> list[Expected]:
    """Stored records as they are compared."""
    assert data.inputs is not None
    rows = table.to_pylist()
    values = [tuple(np.frombuffer(row["input"], dtype="<f8").tolist()) for row in rows]
    return [
        Expected(value, row["label"], row["group"], row["time"], row["split"])
        for value, row in zip(values, rows, strict=True)
    ]


def differences(written: Written) -> list[tuple[Expected, Expected]]:
    """Pairs of what was written and what is stored instead."""
    found = found_in(stored(written), written.data)
    assert len(found) == len(written.records)
    return [pair for pair in zip(written.records, found, strict=True) if pair[0] != pair[1]]


@settings(max_examples=60)
@given(st.randoms(use_true_random=False))
def test_what_is_stored_is_what_was_written(random: Random) -> None:
    plan = random_plan(random)
    written = write_table(plan, random)
    assert differences(written) == []
    again = write_table(other_form(plan, random), random)
    assert differences(again) == []
    assert stored(written)["id"].to_pylist() == stored(again)["id"].to_pylist()  # the same rows are the same records


def through_the_gate(seed: int, home: Path) -> None:
    """A table, judged: every record is stored as it was written, and counts as often; then again in another form."""
    random = Random(seed)
    plan = random_plan(random)
    attributes = {"min_records": 1, "max_bad_share": 1.0, "drift": {"action": "off"}, "leakage": "warn"}
    written = write_table(plan, random)
    body = {"data": written.data.model_dump(mode="json"), "quality": attributes}
    line = bind(Store(str(home / "store")), parse_line(f"line-{seed}", body, "test"))

    def accepted(table: Written, folder: Path) -> tuple[pa.Table, int]:
        folder.mkdir(parents=True)
        (folder / table.path).write_bytes(table.content)
        verdict = judge(line, land(line, folder).batch)
        assert verdict.state == "accepted", verdict.why
        shards = [pq.read_table(io.BytesIO(line.store.fetch(ref))) for ref in verdict.records]
        return pa.concat_tables(shards), verdict.new

    found, new = accepted(written, home / f"{seed}-one")
    assert Counter(found_in(found, written.data)) == Counter(written.records)
    assert new == len(written.records)
    for row in found.to_pylist():
        split = split_of(row["id"], row["group"], row["split"], written.data)
        assert split == (row["split"] or split)
    again = write_table(other_form(plan, random), random)
    twice, new = accepted(again, home / f"{seed}-two")
    assert Counter(found_in(twice, again.data)) == Counter(again.records)
    assert new == 0


@pytest.mark.parametrize("seed", range(2))
def test_what_the_gate_accepts_is_what_was_written(seed: int, tmp_path: Path) -> None:
    through_the_gate(seed, tmp_path)


@pytest.mark.nightly
def test_a_hundred_tables_through_the_gate(tmp_path: Path) -> None:
    for seed in range(NIGHTLY_GATES):
        through_the_gate(seed, tmp_path)
