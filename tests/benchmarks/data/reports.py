"""Bytes and seconds of a batch's page at 1,000 and 100,000 records."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from assets.records.line_store import bind
from tests.benchmarks.data.measured import run_alone
from tests.benchmarks.data.pictures import write_pictures

SIZES = (1_000, 100_000)
PICTURES = 1_000


def measure() -> list[dict[str, Any]]:
    """Tables of both sizes, and pictures of the smaller one; each judged in a process of its own."""
    jobs = [("table", size) for size in SIZES] + [("pictures", PICTURES)]
    return [
        {"what": "report", "data": kind, "rows": size, "tool": "edgeloop", **run_alone(__name__, kind, str(size))}
        for kind, size in jobs
    ]


def _table(folder: Path, size: int) -> dict[str, Any]:
    draw = np.random.default_rng(size)
    columns = [f"c{number}" for number in range(10)]
    values = {name: draw.normal(size=size) for name in columns}
    for name in columns:
        values[name][draw.integers(0, size, size // 200)] = np.nan
    kinds = np.array(["a", "b"], dtype=object)[draw.integers(0, 2, size)]
    table = {**{name: pa.array(column, from_pandas=True) for name, column in values.items()}, "kind": pa.array(kinds)}
    pq.write_table(pa.table(table), folder / "rows.parquet")
    return {"reader": "table", "classes": ["a", "b"], "table": {"target": "kind", "columns": columns}}


def _pictures(folder: Path, size: int) -> dict[str, Any]:
    write_pictures(folder, size)
    return {"reader": "image_folder", "classes": ["cat", "dog"], "image": {"height": 64, "width": 64}}


def main() -> None:
    """Judge one batch; prints the page's bytes and the seconds it took to write as JSON."""
    from assets.ingest.landing import land
    from assets.line.config import parse_line
    from assets.quality import gate as module
    from assets.storage.store import Store

    kind, size = sys.argv[1], int(sys.argv[2])
    spent: list[float] = []
    page = module.batch_page

    def timed(*arguments: Any) -> str:
        began = time.perf_counter()
        text = page(*arguments)
        spent.append(time.perf_counter() - began)
        return text

    module.batch_page = timed
    with tempfile.TemporaryDirectory() as home:
        source = Path(home) / "source"
        source.mkdir()
        data = (_table if kind == "table" else _pictures)(source, size)
        line = parse_line("bench", {"data": data, "quality": {"max_bad_share": 1.0}}, "bench")
        store = Store(f"{home}/state")
        verdict = module.judge(bind(store, line), land(bind(store, line), source).batch)
        content = len(store.read(verdict.report))
    print(json.dumps({"bytes": content, "seconds": round(sum(spent), 3), "bad": verdict.quarantined}))


if __name__ == "__main__":
    main()
