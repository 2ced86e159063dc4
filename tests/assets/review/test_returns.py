"""The way back: decided records land as a new batch, once, whoever presses the button and whenever it is killed."""

from __future__ import annotations

import io
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assets.errors import ConflictError
from assets.forgetting.forget import forget
from assets.records.forgotten import Tombstone
from assets.records.line_store import BoundLine, LineStore, bind
from assets.records.record import LATER_COLUMNS, RECORD_COLUMNS
from assets.review import returns
from assets.review.decisions import Correction, accept, fix, reject, revoke
from assets.review.documents import decisions_journal
from assets.review.returns import release, unfinished
from assets.review.state import State, select
from assets.review.waivers import Scope, active_waivers, waive
from assets.storage import layout
from assets.storage.store import Store
from tests.assets.held_records import NEAR, SUSPECT, hold, picture, picture_line, png, row, table_line, text, text_line

LINE = text_line()


def landed(line: BoundLine, batch: str) -> list[dict[str, Any]]:
    """The records of a returned batch, as its files hold them."""
    prefix = f"landing/{line.name}/{batch[:16]}"
    assert line.store.exists(f"{prefix}/manifest.json")
    rows = []
    for name in line.store.names(f"{prefix}/files"):
        assert name.startswith("returned-")
        assert name.endswith(".records.parquet")
        table = pq.read_table(io.BytesIO(line.store.read(f"{prefix}/files/{name}")))
        assert tuple(table.column_names) == RECORD_COLUMNS
        rows += table.to_pylist()
    return rows


def batches(line: BoundLine) -> list[str]:
    return [landing.batch for _, landing in line.landings().after(0)]


def test_what_was_decided_comes_back_as_a_new_batch(store: Store) -> None:
    records = [text("win", "ham"), text("hi", "spam"), text("twin", "ham", NEAR), text("no", "spam"), text("?", "spam")]
    verdict, state = hold(bind(store, LINE), records, shards=2), State(LineStore(store, "sms"))
    fix(state, LINE, verdict, select(state, verdict, ids=[records[0]["id"]]), "ann", Correction("spam"))
    accept(state, LINE, verdict, select(state, verdict, ids=[records[1]["id"]]), "ann", "it is")
    waive(state, LINE, NEAR, "ann", "resends are fine", time.time() + 60, Scope(verdict))
    reject(state, verdict, select(state, verdict, ids=[records[3]["id"]]), "ann", "no")
    made = release(state, LINE, "ann")
    assert made.records == 3
    assert batches(bind(store, LINE)) == [verdict.batch, made.batch]
    found = {row["input"]: row for row in landed(bind(store, LINE), made.batch)}
    assert {key: row["label"] for key, row in found.items()} == {b"win": "spam", b"hi": "spam", b"twin": "ham"}
    assert found[b"win"]["id"] == records[0]["id"]
    assert found[b"win"]["file"] == records[0]["file"]
    assert release(state, LINE, "ann").batch == ""  # nothing is left
    with pytest.raises(ConflictError, match="went back as batch"):
        reject(state, verdict, select(state, verdict, ids=[records[0]["id"]], decided=True), "ann", "no", revise=1)
    with pytest.raises(ConflictError, match="its records went back"):
        revoke(state, 1, "ann", "oh")
    accept(state, LINE, verdict, select(state, verdict), "ann", "the last one")
    assert release(state, LINE, "ann").records == 1


@pytest.mark.parametrize("without", [frozenset(), LATER_COLUMNS])
def test_a_record_says_which_batch_it_was_first_in(store: Store, without: frozenset[str]) -> None:
    first = "0" * 64
    records = [text("a", "ham"), text("b", "ham", origin=first)]
    verdict, state = hold(bind(store, LINE), records, without=without), State(LineStore(store, "sms"))
    accept(state, LINE, verdict, select(state, verdict), "ann", "they are good")
    found = {row["input"]: row["origin"] for row in landed(bind(store, LINE), release(state, LINE, "ann").batch)}
    assert found == {b"a": verdict.batch, b"b": verdict.batch if without else first}


def test_two_people_release_once(store: Store) -> None:
    records = [text(f"text {n}", "spam") for n in range(40)]
    verdict, state = hold(bind(store, LINE), records, group=7), State(LineStore(store, "sms"))
    accept(state, LINE, verdict, select(state, verdict), "ann", "fine")
    made: list[returns.Release] = []
    threads = [
        threading.Thread(target=lambda n=n: made.append(release(State(LineStore(store, "sms")), LINE, f"p{n}")))
        for n in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(each.records for each in made) == [0, 0, 0, 0, 0, 40]
    assert len(batches(bind(store, LINE))) == 2


def test_a_kill_between_release_and_landing_is_completed_by_anybody(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdict, state = hold(bind(store, LINE), [text("a", "spam"), text("b", "spam")]), State(LineStore(store, "sms"))
    accept(state, LINE, verdict, select(state, verdict), "ann", "fine")

    def killed(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(returns, "land_returned", killed)
        with pytest.raises(KeyboardInterrupt):
            release(state, LINE, "ann")
    assert len(batches(bind(store, LINE))) == 1
    assert unfinished(State(LineStore(store, "sms"))) == [2]
    done = release(State(LineStore(store, "sms")), LINE, "bob")
    assert (done.batch, len(done.completed)) == ("", 1)
    assert batches(bind(store, LINE))[1:] == list(done.completed)
    assert len(landed(bind(store, LINE), done.completed[0])) == 2
    assert release(State(LineStore(store, "sms")), LINE, "bob").completed == ()


def test_a_decision_revised_while_it_is_released_is_not_released_as_it_was(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdict, state = hold(bind(store, LINE), [text("a", "spam"), text("b", "spam")]), State(LineStore(store, "sms"))
    accept(state, LINE, verdict, select(state, verdict), "ann", "fine")
    write, calls = returns._write, []

    def slow(*arguments: Any) -> Any:
        result = write(*arguments)
        if not calls:
            calls.append(1)
            other = State(LineStore(store, "sms"))
            members = select(other, verdict, ids=[text("a", "spam")["id"]], decided=True)
            reject(other, verdict, members, "bob", "no", revise=1)
        return result

    monkeypatch.setattr(returns, "_write", slow)
    made = release(state, LINE, "ann")
    assert [row["input"] for row in landed(bind(store, LINE), made.batch)] == [b"b"]


def test_the_same_record_may_return_twice(store: Store) -> None:
    """It comes back, is set aside by another rule, is accepted, and comes back again as another batch."""
    verdict, state = hold(bind(store, LINE), [text("a", "spam")]), State(LineStore(store, "sms"))
    accept(state, LINE, verdict, select(state, verdict), "ann", "fine")
    first = release(state, LINE, "ann")
    again = hold(bind(store, LINE), [text("a", "spam", NEAR)], "again")
    accept(state, LINE, again, select(state, again), "ann", "fine too")
    second = release(state, LINE, "ann")
    assert second.records == 1
    assert second.batch != first.batch
    waivers = active_waivers(LineStore(store, "sms"), time.time())
    ids = pa.array([bytes.fromhex(text("a", "spam")["id"]), b"x" * 32], pa.binary(32))
    asked = pa.table({"_id": ids, "_label": ["spam", "spam"]})
    for rule in (SUSPECT, NEAR):
        assert waivers.waived(rule, second.batch, asked).tolist() == [True, False]
    assert waivers.exempt("there are enough good records", second.batch)
    assert not waivers.exempt("there are enough good records", verdict.batch)


def test_cells_and_files_are_corrected(store: Store) -> None:
    line = table_line()
    verdict, state = (
        hold(bind(store, line), [row([1, 2, 0], "yes"), row([3, np.nan, 1], "maybe", "x")]),
        State(LineStore(store, "rows")),
    )
    fix(state, line, verdict, select(state, verdict, labelled="maybe"), "ann", Correction("no", {"b": "4.5"}))
    made = release(state, line, "ann")
    (back,) = landed(bind(store, line), made.batch)
    assert np.frombuffer(back["input"], "<f8").tolist() == [3, 4.5, 1]
    assert back["label"] == "no"
    pets = picture_line()
    broken = picture(1, "cat")
    verdict, state = hold(bind(store, pets), [broken]), State(LineStore(store, "pets"))
    repaired = png(np.arange(64, dtype=np.uint8).reshape(8, 8))
    fix(state, pets, verdict, select(state, verdict), "ann", Correction(file=repaired))
    (back,) = landed(bind(store, pets), release(state, pets, "ann").batch)
    assert back["id"] != broken["id"]
    assert back["label"] == "cat"


def test_only_one_batch(store: Store) -> None:
    first, second = (hold(bind(store, LINE), [text(name, "spam")], name) for name in "ab")
    state = State(LineStore(store, "sms"))
    for verdict in (first, second):
        accept(state, LINE, verdict, select(state, verdict), "ann", "fine")
    assert [
        row["input"] for row in landed(bind(store, LINE), release(state, LINE, "ann", batch=second.batch).batch)
    ] == [b"b"]
    assert [row["input"] for row in landed(bind(store, LINE), release(state, LINE, "ann").batch)] == [b"a"]


def test_large_returns_are_several_files(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(returns, "MAX_FILE_RECORDS", 10)
    verdict, state = (
        hold(bind(store, LINE), [text(f"text {n}", "spam") for n in range(35)]),
        State(LineStore(store, "sms")),
    )
    accept(state, LINE, verdict, select(state, verdict), "ann", "fine")
    made = release(state, LINE, "ann")
    assert len(state.entry(made.position).files) == 4
    assert len({row["id"] for row in landed(bind(store, LINE), made.batch)}) == 35


class _KilledError(BaseException):
    """Stands for `kill -9`: nothing in the code catches it."""


@pytest.mark.parametrize("before", [True, False])
def test_killed_at_every_write_it_lands_everything_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    """Killed right before, or right after, the first, second, … write; then somebody presses the button again."""
    record, create, write = [text(f"text {n}", "spam") for n in range(5)], Store.create, Store.write
    for last in range(1, 100):
        store = Store(str(tmp_path / f"{before}-{last}"))
        verdict, state = hold(bind(store, LINE), record), State(LineStore(store, "sms"))
        accept(state, LINE, verdict, select(state, verdict), "ann", "fine")
        count = 0

        def counted(original: Any, *arguments: Any) -> Any:
            nonlocal count
            count += 1
            if before and count == last:  # noqa: B023 - called in this turn only
                raise _KilledError
            result = original(*arguments)
            if count == last:  # noqa: B023
                raise _KilledError
            return result

        with monkeypatch.context() as patch:
            patch.setattr(Store, "create", lambda *arguments: counted(create, *arguments))
            patch.setattr(Store, "write", lambda *arguments: counted(write, *arguments))
            try:
                release(state, LINE, "ann")
                killed = False
            except _KilledError:
                killed = True
        done = release(State(LineStore(store, "sms")), LINE, "bob")
        (returned,) = {done.batch, *done.completed, *batches(bind(store, LINE))} - {"", verdict.batch}
        assert sorted(row["input"] for row in landed(bind(store, LINE), returned)) == [row["input"] for row in record]
        assert len(batches(bind(store, LINE))) == 2
        assert release(State(LineStore(store, "sms")), LINE, "bob") == returns.Release("", 0, 0)
        if not killed:
            break
    assert last > 4


def test_what_was_forgotten_meanwhile_does_not_come_back(store: Store) -> None:
    records = [text("a", "spam"), text("b", "spam")]
    verdict, state = hold(bind(store, LINE), records), State(LineStore(store, "sms"))
    accept(state, LINE, verdict, select(state, verdict), "ann", "fine")
    gone = records[0]["id"]
    store.save(layout.tombstone("sms", gone), Tombstone("sms", gone, 0.0, "ann", "asked"))
    made = release(state, LINE, "ann")
    assert [row["id"] for row in landed(bind(store, LINE), made.batch)] == [records[1]["id"]]


def test_what_others_were_corrected_to_is_kept_when_one_is_forgotten(store: Store) -> None:
    line = table_line()
    records = [row((1, 2, 0), "yes"), row((3, 4, 0), "yes"), row((5, 6, 0), "yes")]
    verdict, state = hold(bind(store, line), records), State(LineStore(store, "rows"))
    two = select(state, verdict, ids=[records[0]["id"], records[1]["id"]])
    fix(state, line, verdict, two, "ann", Correction(changes={"a": "7"}))
    third = select(state, verdict, ids=[records[2]["id"]])
    fix(state, line, verdict, third, "ann", Correction(changes={"a": "8.25"}))
    for gone in (records[0]["id"], records[2]["id"]):
        forget(bind(store, line), gone)
    entries = [entry for _, entry in decisions_journal(LineStore(store, "rows")).after(0)]
    assert [[member.id for member in entry.members] for entry in entries] == [[records[1]["id"]], [records[2]["id"]]]
    assert [entry.changes for entry in entries] == [{"a": "7"}, {"a": ""}]
    made = release(State(LineStore(store, "rows")), line, "ann")
    assert [np.frombuffer(one["input"]).tolist() for one in landed(bind(store, line), made.batch)] == [[7, 4, 0]]


def test_a_forgotten_record_hinders_no_decision_about_others(store: Store) -> None:
    line = table_line()
    records = [row((1, 2, 0), "yes"), row((3, 4, 0), "yes")]
    verdict, state = hold(bind(store, line), records), State(LineStore(store, "rows"))
    forget(bind(store, line), records[0]["id"])
    after = LineStore(store, "rows").verdict(verdict.batch)
    assert after is not None
    chosen = select(state, after, rule=SUSPECT)
    assert chosen["id"].to_pylist() == [records[1]["id"]]
    accept(state, line, after, chosen, "ann", "fine")
    assert release(state, line, "ann").records == 1
