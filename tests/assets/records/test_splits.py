"""On which side each record of a batch is: as datasets will draw it, however many groups there are."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from assets.line.config import parse_line
from assets.quality.computed_checks import SIDES, splits_of
from assets.quality.spool import Spool
from assets.records.chunks import chunk_schema, to_table
from assets.records.record import Record
from assets.records.splits import record_split


def test_rows_of_a_group_are_on_its_side_and_many_groups_take_little_time(tmp_path: Path) -> None:
    table = {"target": "t", "columns": ["x"], "group": "g"}
    data = parse_line("n", {"data": {"reader": "table", "classes": ["y", "n"], "table": table}}, "test").config.data
    rows = 60_000
    groups = [f"g{row // 2}" if row % 5 else "" for row in range(rows)]
    splits = [("", "train", "test", "validation")[row % 4] for row in range(rows)]
    records = [
        Record("0" * 64, "y", split, f"t.csv#{row}", b"", group, facts={"x": 1.0})
        for row, (split, group) in enumerate(zip(splits, groups, strict=True))
    ]
    spool = Spool(tmp_path / "spool", chunk_schema(data))
    spool.append(to_table(records, spool.schema))
    spool.finish()
    started = time.process_time()
    sides = splits_of(spool, data)
    assert time.process_time() - started < 3  # a tenth; comparing each group with each row takes longer by far
    alone = np.asarray([not group and split in ("", "train") for split, group in zip(splits, groups, strict=True)])
    wanted = [SIDES.index(record_split("0" * 64, g, s, data)) for s, g in zip(splits, groups, strict=True)]
    assert not sides[alone].any()
    assert sides[~alone].tolist() == np.asarray(wanted)[~alone].tolist()
