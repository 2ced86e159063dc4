"""A column goes: a new generation, in which every record keeps its split."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from assets.errors import LandingError, RejectedError
from assets.forgetting.forget import forget
from assets.ingest.generations import begin_generation, foreseen
from assets.ingest.landing import land
from assets.line.config import Line
from assets.quality.gate import judge
from assets.records.forgotten import fetch_shard
from assets.records.line_store import BoundLine, bind
from assets.records.read import distinct_rows
from assets.records.verdict import BatchVerdict
from assets.storage import layout
from assets.storage.store import Store
from assets.training.dataset import accepted_upto
from tests.assets.ingest.generations_bench import csv, few_values, listed_again, sides, table_line

Land = Callable[[Line, Mapping[str, bytes]], str]


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
        assert listed_again(line, number) == batches
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


def test_a_new_batch_that_is_judged_first_waits_for_what_is_judged_anew(store: Store, put: Land) -> None:
    before = bind(store, table_line(["a", "b", "c"]))
    old = put(before.line, {"t.csv": csv(1)})
    judge(before, old)
    first = sides(before)
    line = bind(store, table_line(["b", "c"]))
    head, *rows = csv(1).decode().splitlines()
    equal = "\n".join([head, *(f"{number},{row.partition(',')[2]}" for number, row in enumerate(rows)), ""])
    told: list[str] = []
    verdict = judge(line, put(line.line, {"u.csv": equal.encode()}), told.append)
    assert f"judging {old[:12]} first, which was accepted before the contract changed: 1 of 1" in told
    assert line.stands(line.verdict(old))  # type: ignore[arg-type]
    assert sides(line) == first
    assert stored_sides(line, verdict) == {int(place.partition("#")[2]): split for (_, place), split in first.items()}


def test_a_batch_that_cannot_be_read_any_more_hinders_no_other(store: Store, put: Land) -> None:
    before = bind(store, table_line(["a", "b", "c"]))
    lost = put(before.line, {"t.csv": csv(1)})
    judge(before, lost)
    landing = next(landing for _, landing in before.landings().after(0))
    Path(store.path(f"{layout.landed_files('rows', landing.drop)}/t.csv")).unlink()
    line = bind(store, table_line(["b", "c"]))
    new = put(line.line, {"u.csv": csv(2)})
    assert judge(line, new).state == "accepted"
    assert {batch for batch, _ in sides(line)} == {new}
    with pytest.raises(LandingError):
        judge(line, lost)


@given(data=st.data())
@settings(
    max_examples=2,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_no_record_that_was_ever_tested_on_is_trained_on(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("generations")
    store, ever = Store(str(folder / "home")), set[tuple[str, str]]()
    forms = st.sampled_from([("a", "b", "c"), ("a", "b"), ("b", "c"), ("b",), ("c", "b", "a")])
    batches: list[str] = []
    for step in range(data.draw(st.integers(2, 3), "changes")):
        group = data.draw(st.sampled_from([{}, {"group": "g"}]), "group")
        line = bind(store, table_line(data.draw(forms, "columns"), {"max_bad_share": 0.9}, **group))
        begin_generation(line)
        if step == 0 or data.draw(st.booleans(), "lands"):
            source = folder / f"source{step}"
            source.mkdir()
            (source / "t.csv").write_bytes(few_values(step))
            batches.append(land(line, source).batch)
        for batch in data.draw(st.permutations(batches), "order"):
            judge(line, batch)
        found = sides(line)
        assert {batch for batch, _ in found} <= set(batches)
        assert not [place for place, side in found.items() if place in ever and side == "train"]
        ever |= {place for place, side in found.items() if side == "test"}


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
