"""A card tells with which batch each record came in, as the gate's own index has it."""

from __future__ import annotations

from pathlib import Path

from assets.ingest.landing import land
from assets.line.config import parse_line
from assets.quality.gate import judge
from assets.records.line_store import bind
from assets.records.read import distinct_rows
from assets.storage.store import Store
from assets.training.card.origin import batch_names, batches_of
from assets.training.dataset import build_dataset

LINE = parse_line(
    "rows",
    {
        "data": {"reader": "csv", "classes": ["yes", "no"], "table": {"target": "kind", "columns": ["a"]}},
        "quality": {"min_records": 5, "max_bad_share": 0.5},
    },
    "test",
)


def test_each_record_is_of_the_batch_that_brought_it_first(tmp_path: Path) -> None:
    line = bind(Store(str(tmp_path / "home")), LINE)
    came: dict[str, str] = {}
    for number, values in enumerate((range(20), range(15, 30)), start=1):
        source = tmp_path / str(number)
        source.mkdir()
        rows = "".join(f"{value},{('yes', 'no')[value % 2]}\n" for value in values)
        (source / "rows.csv").write_text(f"a,kind\n{rows}")
        batch = land(line, source).batch
        verdict = judge(line, batch)
        assert verdict.state == "accepted", verdict.why
        for _, found in distinct_rows(line.store, verdict.records, LINE.config.data.classes, LINE.config.data):
            for row in found:
                came.setdefault(row.id, f"{number}: {batch[:8]}")
    dataset = build_dataset(line)
    assert batch_names(line.store, dataset, [*came, "f" * 64]) == [*came.values(), ""]
    assert len(set(came.values())) == 2
    assert [one.name for one in batches_of(line.store, dataset)[0]] == list(reversed(dataset.batches))
