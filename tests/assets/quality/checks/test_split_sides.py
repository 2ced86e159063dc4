"""Inputs in two splits: told for declared and for drawn records, never for what an older index leaves open."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pyarrow as pa

from assets.line.config import parse_line
from assets.line.data import DataContract
from assets.quality.checks.known import NO_KEYS, Earlier, Met
from assets.quality.checks.split_sides import find_other_splits
from assets.records.splits import drawn_split


def contract(**more: Any) -> DataContract:
    table = {"target": "t", "columns": ["x"]}
    raw = {"data": {"reader": "table", "classes": ["y", "n"], "table": table, **more}}
    return parse_line("n", raw, "test").config.data


def _id(split: str, number: int = 0) -> bytes:
    """An id that is drawn to a split."""
    names = (hashlib.sha256(f"{split}{number}{at}".encode()).digest() for at in range(1000))
    return next(name for name in names if drawn_split(name.hex(), 0.15, 0.2) == split)


def _earlier(table: pa.Table, **columns: list[str | None]) -> Earlier:
    for name in ("_split", "_group"):
        values = columns.get(name, [None] * len(table))
        table = table.append_column(name, pa.array(values, pa.string()))
    return Earlier.of(table, NO_KEYS)


def found(spool: Any, earlier: Earlier, data: DataContract) -> list[str | None]:
    sound = np.ones(spool.rows, dtype=bool)
    return list(find_other_splits(spool, data, Met.of(spool, earlier), earlier, sound).columns["_other_split"])


def test_a_drawn_record_and_a_declared_one_part_where_the_draw_differs(make_spool: Any, make_earlier: Any) -> None:
    ids = [_id("train"), _id("test", 1)] * 2
    spool = make_spool(4, id=ids, split=["", "", "test", "test"])
    assert found(spool, _earlier(make_earlier()), contract()) == ["f2, a test record", None, None, None]


def test_nothing_is_asked_where_all_are_drawn(make_spool: Any, make_earlier: Any) -> None:
    spool = make_spool(4, id=[_id("train"), _id("test")] * 2)
    assert found(spool, _earlier(make_earlier()), contract()) == [None] * 4


def test_what_was_accepted_before_stays(make_spool: Any, make_earlier: Any) -> None:
    earlier = _earlier(make_earlier(1, id=[_id("train")], label=["y"]), _split=["train"], _group=[""])
    spool = make_spool(2, id=[_id("train")] * 2, split=["test", "train"])
    assert found(spool, earlier, contract()) == ["old0 of an earlier batch, a train record", None]


def test_an_older_index_that_says_train_or_drawn_accuses_nobody(make_spool: Any, make_earlier: Any) -> None:
    earlier = _earlier(make_earlier(2, id=[_id("test"), _id("train")], side=[0, 2], label=["y", "y"]))
    spool = make_spool(2, id=[_id("test"), _id("train")], split=["test", "train"])
    assert found(spool, earlier, contract()) == [None, "old1 of an earlier batch, a test record"]


def test_groups_that_share_an_input_part(make_spool: Any, make_earlier: Any) -> None:
    groups = [f"g{number}" for number in range(40)]
    splits = [drawn_split(f"group\0{group}", 0.15, 0.2) for group in groups]
    spool = make_spool(40, id=[_id("train")] * 40, group=groups)
    told = found(spool, _earlier(make_earlier()), contract(table={"target": "t", "columns": ["x"], "group": "g"}))
    assert [text is None for text in told] == [split == "test" for split in splits]
    assert splits.count("test") < 40
