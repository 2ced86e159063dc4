"""A tick looks at a bounded number of things, and the slow scan holds no tick up."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from assets.ingest.scan import Scanned, scan
from assets.records.line_store import BoundLine, LineStore, bind
from assets.storage.store import Store
from assets.training.triggers.claims import claim_journal, last_claim
from assets.training.triggers.policy import MOST_BATCHES
from platform_defs.automation import reconcile, scanning
from platform_defs.automation.cursors import read_watched, write_cursor
from platform_defs.automation.jobs import BATCH_TAG
from platform_defs.automation.scanning import scan_beside
from tests.platform_defs.automation.automation_bench import Bench, keys, words

FAILURE, SUCCESS = dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Bench(Store(str(tmp_path / "state")), instance)


def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The journal entries that are read from now on."""
    found: list[str] = []
    read = Store.read

    def noted(self: Store, key: str) -> bytes:
        if key.rsplit("/", 1)[-1][:-5].isdecimal():
            found.append(key)
        return read(self, key)

    monkeypatch.setattr(Store, "read", noted)
    return found


def test_one_that_is_never_judged_does_not_hold_the_others_back(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    stuck = bench.list_landing(0)
    judged = [bench.list_landing(number) for number in range(1, 50)]
    bench.tick("new")
    for batch in judged:
        bench.judge(batch, "blocked")
    for run in bench.active("judge"):
        if run.tags[BATCH_TAG] == stuck:
            bench.refuse(run.run_id)
        else:
            bench.end(run.run_id, FAILURE)
    assert "was refused" in words(bench.tick("reconcile"))
    assert write_cursor(*bench.cursors["reconcile"]) == "50,0,1", "it is watched by its position"
    monkeypatch.setattr(reconcile, "scan_beside", lambda line: Scanned((), 0, 0, ()))
    found = reads(monkeypatch)
    assert "was refused" in words(bench.tick("reconcile"))
    landings = [key for key in found if key.startswith("landing/tiny/.journal/")]
    assert landings == [f"landing/tiny/.journal/{position:012d}.json" for position in (1, 51)], "itself, and the end"
    bench.judge(stuck)
    bench.tick("reconcile")
    assert write_cursor(*bench.cursors["reconcile"]) == "50,0"


def test_far_behind_it_catches_up_in_several_ticks(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile, "MOST_LANDINGS", 20)
    monkeypatch.setattr(reconcile, "MOST_OPEN", 4)
    batches = [bench.list_landing(number) for number in range(50)]
    for batch in batches[:45]:
        bench.judge(batch)
    positions = []
    for _ in range(4):
        bench.tick("reconcile")
        positions.append(bench.cursors["reconcile"])
    assert positions == [(20, 0), (40, 0), (49, 0, 46, 47, 48, 49), (49, 0, 46, 47, 48, 49)], "four are watched at most"
    for batch in batches[45:]:
        bench.judge(batch)
    bench.tick("reconcile")
    bench.tick("reconcile")
    assert bench.cursors["reconcile"] == (50, 0)


def test_what_was_given_up_makes_room(tmp_path: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile, "MOST_GIVEN_UP", 2)
    for number in range(5):
        bench.list_landing(number)
    bench.tick("new")
    for run in bench.active("judge"):
        bench.refuse(run.run_id)
    assert words(bench.tick("reconcile")).count("was refused") == 5
    assert bench.cursors["reconcile"] == (5, 0, 4, 5)
    assert words(bench.tick("reconcile")).count("was refused") == 2


@pytest.mark.parametrize(
    ("cursor", "watched"),
    [
        (None, ()),
        ("5,0", ()),
        ("5,0,3,1,3", (1, 3)),
        ("5,0,6,0,-1,x,,²,99999999999999999999", ()),
        (write_cursor(5, 0, *range(1, 6)), (1, 2, 3)),
    ],
)
def test_watched_positions_of_any_cursor(cursor: str | None, watched: tuple[int, ...]) -> None:
    assert read_watched(cursor, 2, 5, 3) == watched


def test_a_retrain_tick_reads_what_waits_and_the_last_claims(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(30):
        bench.judge(bench.list_landing(number))
        bench.tick("new")
        for run in bench.active("retrain"):
            bench.end(run.run_id, SUCCESS)
    journal = claim_journal(LineStore(bench.store, "tiny"))
    assert journal.length() == 30
    old = [claim for _, claim in journal.after(0)]
    for position, claim in enumerate(old, start=1):  # all but the last long ago
        moved = type(claim)(**{**vars(claim), "time": float(position)})
        bench.store.save(f"store/tiny/claims/{position:012d}.json", moved if position < 30 else claim)
    claimed = last_claim(LineStore(bench.store, "tiny"))
    assert claimed is not None
    found = reads(monkeypatch)
    words(bench.new())
    assert len(found) <= 12, found  # the entry of the generation among them, asked wherever it counts


def test_a_claim_holds_a_bounded_number_of_batches(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("policy", "claims"):
        monkeypatch.setattr(f"assets.training.triggers.{module}.MOST_BATCHES", 3)
    bench.retrain["min_new_records"] = 10**6
    bench.__post_init__()
    for number in range(8):
        bench.judge(bench.list_landing(number))
    sizes = []
    for _ in range(3):
        bench.tick("new")
        for run in bench.active("judge") + bench.active("retrain"):
            bench.end(run.run_id, SUCCESS)
        sizes = [len(claim.batches) for _, claim in claim_journal(LineStore(bench.store, "tiny")).after(0)]
    assert sizes == [3, 3], "two wait for more"
    assert MOST_BATCHES >= 1000


def test_the_reconcile_sensor_picks_up_a_drop_and_the_other_judges_it(bench: Bench) -> None:
    bench.store.write("landing/tiny/inbox/a.csv", b"x1,x2,kind\n1,2,low\n")
    assert "1 drops in the inbox are not quiet yet" in words(bench.tick("reconcile"))
    bench.store.write("landing/tiny/inbox/a.csv.done", b"")
    assert "1 drops landed from the inbox" in words(bench.tick("reconcile"))
    landing = LineStore(bench.store, "tiny").landings().at(1)
    assert landing is not None
    assert keys(bench.tick("new")) == [landing.batch]


def test_a_slow_scan_holds_no_tick_up_and_is_told_later(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    go, calls = threading.Event(), []

    def slow(line: BoundLine) -> Scanned:
        calls.append(line.name)
        go.wait(280)
        return scan(line)

    monkeypatch.setattr(scanning, "scan", slow)
    bench.drop("from-robot", 1)
    assert scan_beside(bind(bench.store, bench.line), 0.01) is None
    assert scan_beside(bind(bench.store, bench.line), 0.01) is None
    go.set()
    assert "1 unlisted batches found" in words(bench.tick("reconcile"))
    assert calls == ["tiny"], "one at a time"


def test_what_goes_wrong_in_the_scan_is_raised_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(line: BoundLine) -> Scanned:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(scanning, "scan", broken)
    with pytest.raises(PermissionError):
        scan_beside(bind(bench.store, bench.line))
    monkeypatch.setattr(scanning, "scan", scan)
    assert scan_beside(bind(bench.store, bench.line)) == Scanned((), 0, 0, ())


def test_an_idle_tick_reads_the_same_however_much_landed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = []
    looked = []
    exists = Store.exists

    def noted(self: Store, key: str) -> bool:
        looked.append(key)
        return exists(self, key)

    monkeypatch.setattr(Store, "exists", noted)
    found = reads(monkeypatch)
    for size in (8, 64):
        for number in range(LineStore(bench.store, "tiny").landings().length(), size):
            bench.judge(bench.list_landing(number))
        bench.tick("new")
        for run in bench.active("retrain"):
            bench.end(run.run_id, SUCCESS)
        bench.tick("reconcile")
        found.clear()
        looked.clear()
        words(bench.tick("new"))
        counts.append((len(found), len(looked)))
    assert counts[1][0] <= counts[0][0] + 1, "one more claim of today"
    assert counts[1][1] <= counts[0][1] + 8, "a journal's end is found by doubling"
