"""Tables of a, b, c and a kind, whose contract changes, for tests of a line's generations."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from assets.line.config import Line, parse_line
from assets.records.corrections import accepted_corrections
from assets.records.line_store import BoundLine
from assets.records.read import CountedBy, distinct_rows
from assets.training.dataset import accepted_shards, accepted_upto


def table_line(columns: Sequence[str], quality: dict[str, Any] | None = None, **more: Any) -> Line:
    """A line of tables that reads these columns; read from its YAML at this moment."""
    section = {"target": "kind", "columns": list(columns), **more}
    data = {"reader": "table", "classes": ["yes", "no"], "table": section}
    usual = {"min_records": 5, "max_bad_share": 0.5, "drift": {"action": "off"}}
    return parse_line("rows", {"data": data, "quality": {**usual, **(quality or {})}}, "test")


def csv(seed: int, rows: int = 120) -> bytes:
    """Rows that are all different, half of each kind."""
    draw = np.random.default_rng(seed)
    values = [tuple(draw.normal(size=3)) for _ in range(rows)]
    lines = [f"{a},{b},{c},{('yes', 'no')[n % 2]}" for n, (a, b, c) in enumerate(values)]
    return "\n".join(["a,b,c,kind", *lines, ""]).encode()


def few_values(seed: int, rows: int = 150) -> bytes:
    """Rows of whole numbers, of which many become equal where a column goes; a few have a kind that is none."""
    draw = np.random.default_rng(seed)
    kinds = ("yes", "no", "eh")
    lines = [
        f"{draw.integers(0, 9)},{draw.integers(0, 6)},{draw.integers(0, 4)},{draw.integers(0, 40)},"
        f"{kinds[draw.choice(3, p=[0.47, 0.47, 0.06])]}"
        for _ in range(rows)
    ]
    return "\n".join(["a,b,c,g,kind", *lines, ""]).encode()


def sides(line: BoundLine) -> dict[tuple[str, str], str]:
    """Batch and place of every record of the line's dataset to its split; a split may be empty."""
    _, batches = accepted_upto(line)
    shards = accepted_shards(line, batches)
    batch_of = {ref.sha256: batch for batch in batches for ref in line.verdict(batch).records}  # type: ignore[union-attr]
    data, counted = line.config.data, CountedBy(line.config.counting, accepted_corrections(line, batches))
    found = {}
    rows_of = distinct_rows(line.store, shards, data.classes, data, None, counted)
    for shard, (content, rows) in zip(shards, rows_of, strict=True):
        files = pq.read_table(io.BytesIO(content), columns=["file"]).column("file").to_pylist()
        found |= {(batch_of[shard.sha256], files[row.index]): row.split for row in rows}
    return found


def listed_again(line: BoundLine, number: int) -> list[str]:
    """Batches that the landing journal lists to be judged anew for a generation."""
    return [landing.batch for _, landing in line.landings().after(0) if landing.again == f"generation-{number}"]
