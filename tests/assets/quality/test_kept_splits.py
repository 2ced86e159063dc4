"""A column goes: a new generation, in which every record keeps its split."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from assets.errors import RejectedError
from assets.forgetting.forget import forget
from assets.ingest.generations import begin_generation, foreseen
from assets.line.config import Line, parse_line
from assets.quality.gate import judge
from assets.records.forgotten import fetch_shard
from assets.records.line_store import BoundLine, bind
from assets.records.read import distinct_rows
from assets.records.verdict import BatchVerdict
from assets.storage.store import Store
from assets.training.dataset import accepted_upto, build_dataset

Land = Callable[[Line, Mapping[str, bytes]], str]


def table_line(columns: list[str], **more: Any) -> Line:
    section = {"target": "kind", "columns": columns, **more}
    data = {"reader": "table", "classes": ["yes", "no"], "table": section}
    quality = {"min_records": 5, "max_bad_share": 0.5, "drift": {"action": "off"}}
    return parse_line("rows", {"data": data, "quality": quality}, "test")


def csv(seed: int, rows: int = 120) -> bytes:
    draw = np.random.default_rng(seed)
    values = [tuple(draw.normal(size=3)) for _ in range(rows)]
    lines = [f"{a},{b},{c},{('yes', 'no')[n % 2]}" for n, (a, b, c) in enumerate(values)]
    return "\n".join(["a,b,c,kind", *lines, ""]).encode()


def sides(line: BoundLine) -> dict[tuple[str, str], str]:
    """Batch and place of every record of the line's dataset to its split."""
    version = build_dataset(line)
    batch_of = {ref.sha256: batch for batch in version.batches for ref in line.verdict(batch).records}  # type: ignore[union-attr]
    found = {}
    rows_of = distinct_rows(line.store, version.shards, version.classes, version)
    for shard, (data, rows) in zip(version.shards, rows_of, strict=True):
        files = pq.read_table(io.BytesIO(data), columns=["file"]).column("file").to_pylist()
        found |= {(batch_of[shard.sha256], files[row.index]): row.split for row in rows}
    return found


def stored_sides(line: BoundLine, verdict: BatchVerdict) -> dict[int, str]:
    """Row in its file of every record of a batch to its split, whether or not a dataset takes it."""
    found = {}
    for data, rows in distinct_rows(line.store, verdict.records, line.config.data.classes, line.config.data):
        files = pq.read_table(io.BytesIO(data), columns=["file"]).column("file").to_pylist()
        found |= {int(files[row.index].partition("#")[2]): row.split for row in rows}
    return found


def test_records_keep_their_splits_through_three_generations(store: Store, put: Land) -> None:
    before = bind(store, table_line(["a", "b", "c"]))
    batches = [put(before.line, {"t.csv": csv(seed)}) for seed in (1, 2)]
    assert {judge(before, batch).generation for batch in batches} == {1}
    first = sides(before)
    assert set(first.values()) == {"train", "validation", "test"}
    for number, columns in ((2, ["a", "b"]), (3, ["b"]), (4, ["a", "b", "c"])):
        line = bind(store, table_line(columns))
        assert foreseen(line).startswith(f"generation {number}: 2 accepted batches are judged anew, because column ")
        assert not line.stands(line.verdict(batches[0]))  # type: ignore[arg-type]
        with pytest.raises(RejectedError, match=f"no accepted batch in generation {number} yet"):
            accepted_upto(line)
        verdicts = [judge(line, batch) for batch in batches]
        assert [(one.state, one.generation, one.new) for one in verdicts] == [("accepted", number, 120)] * 2
        assert not foreseen(line)
        assert sides(line) == first
        listed = [landing.batch for _, landing in line.landings().after(0) if landing.again == f"generation-{number}"]
        assert listed == batches
        assert judge(line, batches[0]) == line.verdict(batches[0])


def test_an_unchanged_contract_judges_nothing_anew(store: Store, put: Land) -> None:
    line = bind(store, table_line(["a", "b", "c"]))
    batch = put(line.line, {"t.csv": csv(1)})
    verdict = judge(line, batch)
    assert begin_generation(line) is None
    assert line.generations().length() == 1
    assert line.stands(verdict)
    assert not foreseen(line)


def test_a_new_record_equal_to_an_older_one_is_on_its_side(store: Store, put: Land) -> None:
    before = bind(store, table_line(["a", "b", "c"]))
    batch = put(before.line, {"t.csv": csv(1)})
    judge(before, batch)
    line = bind(store, table_line(["b", "c"]))
    judge(line, batch)
    first = sides(line)
    # The same rows with another `a`, which is no column any more: the inputs are equal, and nothing is new.
    head, *rows = csv(1).decode().splitlines()
    other = "\n".join([head, *(f"{number},{row.partition(',')[2]}" for number, row in enumerate(rows)), ""])
    verdict = judge(line, put(line.line, {"u.csv": other.encode()}))
    assert (verdict.state, verdict.accepted, verdict.new) == ("accepted", 120, 0)
    by_place = {int(place.partition("#")[2]): split for (_, place), split in first.items()}
    assert stored_sides(line, verdict) == by_place
    assert sides(line) == first


@pytest.mark.parametrize("old", [True, False], ids=["by the id before", "by the id now"])
def test_a_forgotten_record_is_gone_in_every_generation(store: Store, put: Land, old: bool) -> None:
    before = bind(store, table_line(["a", "b", "c"]))
    batch = put(before.line, {"t.csv": csv(1)})
    first = judge(before, batch)
    line = bind(store, table_line(["a", "b"]))
    second = judge(line, batch)
    ids = [pq.read_table(io.BytesIO(store.fetch(one.records[0]))).column("id")[7].as_py() for one in (first, second)]
    assert ids[0] != ids[1]
    forget(line, ids[0] if old else ids[1])
    for verdict in (line.verdict_history(batch).at(1), line.verdict(batch)):
        stored = pq.read_table(io.BytesIO(fetch_shard(store, verdict.records[0]))).column("input")  # type: ignore[union-attr]
        assert [place for place, content in enumerate(stored.to_pylist()) if not content] == [7]
    assert len(sides(line)) == 119
    third = bind(store, table_line(["b"]))
    assert judge(third, batch).accepted <= 119
    assert len(sides(third)) == 119
