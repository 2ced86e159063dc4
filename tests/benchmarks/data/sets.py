"""Each real set lands, is judged and becomes a dataset version: seconds, records per second, peak memory."""

from __future__ import annotations

import json
import sys
import tempfile
from typing import Any

from assets.records.line_store import bind
from tests.benchmarks.data.measured import run_alone, timed
from tests.shared_sets import SETS, SHARED, line_of


def measure() -> list[dict[str, Any]]:
    """One row per set, each in a process of its own."""
    return [{"what": "set", "data": name, "tool": "edgeloop", **run_alone(__name__, name)} for name in SETS]


def main() -> None:
    """One set; prints what became of it as JSON."""
    from assets.ingest.landing import land
    from assets.quality.engines.pandas_suite import warm_up
    from assets.quality.gate import judge
    from assets.storage.store import Store
    from assets.training.dataset import build_dataset
    from edge.contracts import digest

    name = sys.argv[1]
    line = line_of(name)
    warm_up()
    with tempfile.TemporaryDirectory() as home:
        store = Store(home)
        landing, landed = timed(lambda: land(bind(store, line), SHARED / SETS[name].path))
        judging, verdict = timed(lambda: judge(bind(store, line), landed.batch))
        if verdict.state != "accepted":
            raise AssertionError(f"{name}: {verdict.why}")
        building, dataset = timed(lambda: build_dataset(bind(store, line)))
    total = landing + judging + building
    print(
        json.dumps(
            {
                "rows": verdict.seen,
                "accepted": verdict.accepted,
                "quarantined": verdict.quarantined,
                "refused": verdict.refused,
                "splits": dict(dataset.splits),
                "version": digest(dataset)[:12],
                "land_s": round(landing, 2),
                "judge_s": round(judging, 2),
                "dataset_s": round(building, 2),
                "seconds": round(total, 2),
                "per_second": round(verdict.seen / total),
            }
        )
    )


if __name__ == "__main__":
    main()
