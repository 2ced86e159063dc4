"""The gate tried on a proposal: the same verdict as a landing would get, bounded, and nothing left behind."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.ingest.sources.collecting import Collected, SourceFile
from assets.line.data import DataContract
from assets.quality import dry_run as module
from assets.quality.dry_run import bounded, dry_run, spread
from assets.quality.gate import judge
from assets.records.line_store import bind
from assets.records.reason import Reason
from assets.storage.store import Store
from tests.assets.quality.conftest import Land

TABLE = DataContract.model_validate(
    {"reader": "table", "classes": ["a", "b"], "table": {"columns": ["x"], "target": "kind"}}
)


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where dry runs lie while they go on; empty afterwards."""
    monkeypatch.setattr(module, "scratch_root", lambda store: tmp_path / "scratch")
    yield tmp_path / "scratch"
    assert not list((tmp_path / "scratch").glob("*"))


def file(name: str, content: bytes) -> SourceFile:
    return SourceFile(name, len(content), lambda: io.BytesIO(content))


def csv(count: int, bad: int = 0) -> bytes:
    rows = [f"{at * 7919 % 1009 / 8},{'ab'[at % 2]}" for at in range(count)] + [f"oops{at},a" for at in range(bad)]
    return "\n".join(["x,kind", *rows, ""]).encode()


def source(**files: bytes) -> Collected:
    return Collected([file(name, content) for name, content in files.items()], [])


def test_it_says_what_the_gate_says_of_the_same_files(store: Store, put: Land) -> None:
    from assets.line.config import parse_line

    content = csv(400, bad=3)
    checked = dry_run(TABLE, source(**{"x.csv": content}), 403)
    line = parse_line("real", {"data": TABLE.model_dump(mode="json")}, "test")
    verdict = judge(bind(store, line), put(line, {"x.csv": content}))
    assert (checked.state, checked.why) == (verdict.state, verdict.why)
    assert (checked.seen, checked.accepted, checked.quarantined, checked.refused) == (403, 400, 3, 0)
    assert checked.complete and not checked.blocking
    (reason,) = checked.reasons
    assert (reason.count, reason.example) == (3, "x.csv, line 402")
    assert "is not a number" in reason.what and reason.remedy


def test_what_blocks_and_what_is_refused_have_a_remedy() -> None:
    found = source(**{"x.csv": csv(9), "y.csv": b"other\n1\n"})
    found.skipped.append(Reason("z.lnk", "whole file", "refused", "it is a link", "copy the file"))
    checked = dry_run(TABLE, found, 11)
    assert (checked.state, checked.accepted, checked.refused) == ("blocked", 0, 2)
    assert [problem.what.partition(":")[0] for problem in checked.blocking] == [
        "every file can be read",
        "the share of bad records is small",
        "there are enough good records",
    ]
    assert all(problem.remedy for problem in (*checked.blocking, *checked.reasons))
    assert any("it is a link" in problem.what for problem in checked.reasons)


def test_a_sample_is_judged_of_many_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_RECORDS", 100)
    checked = dry_run(TABLE, source(**{"x.csv": csv(1_060, bad=40)}), 1_100)
    assert not checked.complete
    assert (checked.seen, checked.quarantined) == (100, 3)


def test_what_takes_too_long_or_dies_is_unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.01)
    checked = dry_run(TABLE, source(**{"x.csv": csv(30)}), 30)
    assert (checked.state, checked.accepted) == ("unchecked", 0)
    assert "longer than" in checked.why
    monkeypatch.setattr(module, "SECONDS", 60.0)
    monkeypatch.setattr(module, "python_module", lambda *arguments: ["false"])
    assert "it ended by exit code 1" in dry_run(TABLE, source(**{"x.csv": csv(30)}), 30).why
    monkeypatch.setattr(module, "MAX_WHOLE_BYTES", 10)
    checked = dry_run(TABLE, source(**{"x.csv.gz": csv(30)}), 30)
    assert (checked.state, "too large" in checked.why) == ("unchecked", True)


@given(st.lists(st.integers(1, 40), max_size=8), st.integers(1, 7), st.integers(1, 200))
def test_each_nth_record_is_kept_over_all_tables(sizes: list[int], every: int, most: int) -> None:
    numbers = iter(range(sum(sizes)))
    tables = [pa.table({"n": [next(numbers) for _ in range(size)]}) for size in sizes]
    kept = [row for table in spread(iter(tables), every, most) for row in table["n"].to_pylist()]
    assert kept == list(range(0, sum(sizes), every))[:most]


def test_refusals_are_thinned_with_the_records_and_whole_files_are_not() -> None:
    rows = [Reason("x", f"line {at}", "refused", "bad", "fix") for at in range(10)]
    whole = [Reason(str(at), "whole file", "refused", "bad", "fix") for at in range(3)]
    kept = list(spread(iter([*whole, *rows]), 5, 100))
    assert kept[:3] == whole
    assert len(kept) == 3 + 2


def test_texts_are_cut_at_a_line_and_packed_ones_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 120)
    monkeypatch.setattr(module, "_CUT_FROM", 10)
    (cut,), complete = bounded([file("x.csv", csv(400))], TABLE)
    content = cut.open().read()
    assert len(content) <= 120
    assert (content.endswith(b"\n"), len(content) == cut.size, complete) == (True, True, False)
    assert csv(400).startswith(content)
    whole, complete = bounded([file("x.csv.gz", csv(400)), file("y.csv.gz", csv(400))], TABLE)
    assert ([one.path for one in whole], complete) == (["x.csv.gz"], False)
    small, complete = bounded([file("x.csv", csv(3)), file("y.csv", csv(3))], TABLE)
    assert (len(small), complete) == (2, True)


def test_series_keep_their_readings_together(monkeypatch: pytest.MonkeyPatch) -> None:
    data = DataContract.model_validate(
        {"reader": "series", "series": {"unit": "u", "time": "t", "target": "y", "columns": ["x"]}}
    )
    monkeypatch.setattr(module, "MAX_RECORDS", 60)
    rows = [f"{at // 50},{at % 50},{at * 7919 % 1009},{at % 13}" for at in range(200)]
    checked = dry_run(data, source(**{"x.csv": "\n".join(["u,t,x,y", *rows, ""]).encode()}), 200)
    assert (checked.state, checked.seen, checked.accepted) == ("accepted", 60, 60)


def test_pictures_and_their_labels_are_judged_together_or_not_at_all(
    monkeypatch: pytest.MonkeyPatch, png: Callable[..., bytes]
) -> None:
    arrays = DataContract.model_validate(
        {"reader": "idx", "classes": ["a", "b"], "image": {"height": 8, "width": 8, "channels": 1}}
    )
    monkeypatch.setattr(module, "MAX_WHOLE_BYTES", 100)
    assert bounded([file("images", b"x" * 90), file("labels", b"x" * 20)], arrays) == ([], False)
    folders = DataContract.model_validate(
        {"reader": "image_folder", "classes": ["a", "b"], "image": {"height": 8, "width": 8, "channels": 1}}
    )
    files = {f"{kind}/{at}.png": png(at + 100 * (kind == "b")) for kind in "ab" for at in range(15)}
    checked = dry_run(folders, source(**files), 30)
    assert (checked.state, checked.accepted, checked.complete) == ("accepted", 30, True)
