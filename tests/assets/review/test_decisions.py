"""Decisions: nobody's is lost, the first stands, and what is on record says who, what and when."""

from __future__ import annotations

import threading
import time

import pytest

from assets.errors import ConflictError, RejectedError
from assets.records.line_store import LineStore, bind
from assets.records.verdict import BatchVerdict
from assets.review import state as state_module
from assets.review.corrections import checked_changes
from assets.review.decisions import Correction, accept, fix, locate, reject, revoke
from assets.review.documents import decisions_journal
from assets.review.state import State, select
from assets.review.summary import groups
from assets.review.waivers import waive
from assets.storage.audit import AuditLog
from assets.storage.store import Store
from tests.assets.held_records import CLASS, NEAR, SUSPECT, hold, row, table_line, text, text_line

LINE = text_line()
SOON = 3600.0


def held(store: Store, count: int = 6) -> BatchVerdict:
    """`count` suspects labelled spam, two unknown labels, one near duplicate."""
    records = [text(f"win money {n}", "spam") for n in range(count)]
    records += [text(f"hello {n}", "hamm", CLASS) for n in range(2)] + [text("twin", "ham", NEAR)]
    return hold(bind(store, LINE), records, shards=2)


def status(state: State, verdict: BatchVerdict) -> dict[str, dict[str, int]]:
    """Rule to its counts that are not 0."""
    return {
        group.rule: {name: count for name, count in group.counts.items() if count} for group in groups(state, verdict)
    }


def test_everything_is_undecided_at_first(store: Store) -> None:
    verdict = held(store)
    expected = {SUSPECT: {"undecided": 6}, CLASS: {"undecided": 2}, NEAR: {"undecided": 1}}
    assert status(State(LineStore(store, "sms")), verdict) == expected


def test_bulk_by_rule_and_by_label(store: Store) -> None:
    verdict, state = held(store), State(LineStore(store, "sms"))
    assert fix(state, LINE, verdict, select(state, verdict, labelled="hamm"), "ann", Correction("HAM")) == 1
    assert accept(state, LINE, verdict, select(state, verdict, rule=NEAR), "bob", "a resend") == 2
    assert reject(state, verdict, select(state, verdict), "ann", "spam of spam") == 3
    assert status(state, verdict) == {SUSPECT: {"rejected": 6}, CLASS: {"fixed": 2}, NEAR: {"accepted": 1}}
    assert state.entry(1).label == "ham"  # an alias is written as its class
    assert status(State(LineStore(store, "sms")), verdict) == status(state, verdict)
    audited = [(entry.who, entry.action) for _, entry in AuditLog(store).latest(10)]
    assert audited == [("ann", "fixed"), ("bob", "accepted"), ("ann", "rejected")]


def test_the_first_decision_stands_and_the_second_is_told(store: Store) -> None:
    verdict = held(store)
    ann, bob = State(LineStore(store, "sms")), State(LineStore(store, "sms"))
    one = select(ann, verdict, rule=NEAR)
    reject(ann, verdict, one, "ann", "a copy")
    with pytest.raises(ConflictError, match=r"ann rejected at .* UTC: a copy \(decision 1\).*--revise 1"):
        accept(bob, LINE, verdict, one, "bob", "fine")
    assert accept(bob, LINE, verdict, one, "bob", "fine, I saw ann's", revise=1) == 2
    with pytest.raises(ConflictError, match=r"bob accepted .*--revise 2"):
        reject(ann, verdict, one, "ann", "still no", revise=1)
    assert status(ann, verdict)[NEAR] == {"accepted": 1}


def test_a_bulk_decision_that_meets_another_records_nothing(store: Store) -> None:
    verdict = held(store)
    ann, bob = State(LineStore(store, "sms")), State(LineStore(store, "sms"))
    mine = select(bob, verdict, rule=SUSPECT)
    reject(ann, verdict, mine.slice(0, 2), "ann", "no")
    with pytest.raises(ConflictError, match=r"2 of these 6 records were decided meanwhile.*nothing was recorded"):
        accept(bob, LINE, verdict, mine, "bob", "yes")
    assert status(bob, verdict)[SUSPECT] == {"undecided": 4, "rejected": 2}
    assert accept(bob, LINE, verdict, select(bob, verdict, rule=SUSPECT), "bob", "yes") == 2


def test_many_at_once_lose_nothing(store: Store) -> None:
    """Eight people decide the same 12 records at the same time: each record has one winner, each loser is told."""
    verdict = hold(bind(store, LINE), [text(f"text {n}", "spam") for n in range(12)])
    won: list[tuple[str, int]] = []
    lost: list[str] = []

    def work(who: str) -> None:
        for n in range(12):
            state = State(LineStore(store, "sms"))
            found, _, identity = locate(bind(store, LINE), text(f"text {n}", "spam")["id"])
            members = select(state, found, ids=[identity], decided=True)
            try:
                reject(state, found, members, who, f"by {who}")
                won.append((who, n))
            except ConflictError as error:
                lost.append(str(error))

    threads = [threading.Thread(target=work, args=(f"p{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(n for _, n in won) == list(range(12))
    assert len(lost) == 7 * 12
    entries = [entry for _, entry in decisions_journal(LineStore(store, "sms")).after(0)]
    assert len(entries) == 12
    state = State(LineStore(store, "sms"))
    assert status(state, verdict) == {SUSPECT: {"rejected": 12}}
    assert sorted(entry.who for entry in entries) == sorted(who for who, _ in won)


def test_an_unknown_label_is_not_accepted(store: Store) -> None:
    verdict, state = held(store), State(LineStore(store, "sms"))
    with pytest.raises(RejectedError, match="cannot be waived"):
        accept(state, LINE, verdict, select(state, verdict, rule=CLASS), "ann", "fine")
    with pytest.raises(RejectedError, match="'hum' is not a class"):
        fix(state, LINE, verdict, select(state, verdict, rule=CLASS), "ann", Correction("hum"))
    other = hold(bind(store, LINE), [text("x", "no class", NEAR), text("y", "", NEAR)], "other")
    with pytest.raises(RejectedError, match=r"'no class' is not a class.*\(1 more are like it\); nothing was recorded"):
        accept(state, LINE, other, select(state, other), "ann", "fine")
    assert state.refresh().position == 0


def test_one_input_under_two_labels_needs_a_word(store: Store) -> None:
    verdict, state = (
        hold(bind(store, LINE), [text("x", "ham", "two"), text("x", "spam", "two")]),
        State(LineStore(store, "sms")),
    )
    with pytest.raises(RejectedError, match="held as 'ham' and as 'spam'"):
        accept(state, LINE, verdict, select(state, verdict), "ann", "fine")
    fix(state, LINE, verdict, select(state, verdict), "ann", Correction("ham"))
    assert state.entry(1).count == 2
    assert status(state, verdict) == {"two": {"fixed": 2}}


def test_reasons_and_names_are_needed(store: Store) -> None:
    verdict, state = held(store), State(LineStore(store, "sms"))
    members = select(state, verdict, rule=NEAR)
    for call in (
        lambda: accept(state, LINE, verdict, members, "ann", " \n "),
        lambda: reject(state, verdict, members, "ann", ""),
        lambda: waive(state, LINE, NEAR, "ann", "", time.time() + SOON),
    ):
        with pytest.raises(RejectedError, match="needs a reason"):
            call()
    with pytest.raises(RejectedError, match="who decides"):
        reject(state, verdict, members, "\t", "no")
    with pytest.raises(RejectedError, match="at most 1,000 are kept"):
        reject(state, verdict, members, "ann", "x" * 1001)
    with pytest.raises(RejectedError, match="nothing is corrected"):
        fix(state, LINE, verdict, members, "ann", Correction())
    with pytest.raises(RejectedError, match="no undecided record"):
        reject(state, verdict, members.slice(0, 0), "ann", "no")


def test_a_revoked_decision_leaves_records_undecided(store: Store) -> None:
    verdict, state = held(store), State(LineStore(store, "sms"))
    reject(state, verdict, select(state, verdict, rule=SUSPECT), "ann", "no")
    revoke(state, 1, "bob", "ann looked at the wrong batch")
    assert status(state, verdict)[SUSPECT] == {"undecided": 6}
    with pytest.raises(ConflictError, match="taken back already: bob took back decision 1"):
        revoke(State(LineStore(store, "sms")), 1, "cid", "again")
    with pytest.raises(RejectedError, match="no decision 9"):
        revoke(state, 9, "cid", "why")
    assert accept(state, LINE, verdict, select(state, verdict, rule=SUSPECT), "bob", "fine") == 3


def test_a_decision_about_many_is_one_small_entry(store: Store) -> None:
    records = [text(f"text {n}", "spam") for n in range(5000)]
    verdict = hold(bind(store, LINE), records, group=1000)
    state = State(LineStore(store, "sms"))
    accept(state, LINE, verdict, select(state, verdict), "ann", "all fine")
    key = "quarantine/sms/.decisions/000000000001.json"
    assert len(store.read(key)) < 1000
    assert state.entry(1).count == 5000
    again = State(LineStore(store, "sms"))
    assert status(again, verdict) == {SUSPECT: {"accepted": 5000}}


def test_records_are_found_by_id_or_file(store: Store) -> None:
    verdict = held(store)
    twin = text("twin", "ham", NEAR)
    assert locate(bind(store, LINE), twin["id"][:10])[0].batch == verdict.batch
    assert locate(bind(store, LINE), twin["file"])[2] == twin["id"]
    with pytest.raises(RejectedError, match="no quarantined record 'zz'"):
        locate(bind(store, LINE), "zz")
    with pytest.raises(RejectedError, match="names 9 quarantined records"):
        hold(bind(store, LINE), [text(f"t{n}", "ham", file="same.csv") for n in range(9)], "other")
        locate(bind(store, LINE), "same.csv")


def test_cells_are_checked() -> None:
    data = table_line().config.data
    assert checked_changes(data, {"a": "1.5", "colour": "blue", "kind": "no"}) == ({"a": "1.5", "colour": "blue"}, "no")
    for changes, message in (
        ({"z": "1"}, "'z' is not one of the line's columns"),
        ({"a": "1,5"}, "write decimals with a point"),
        ({"a": "nan"}, "not a finite number"),
        ({"a": "1_0"}, "not a finite number"),
        ({"colour": "green"}, "is not one of red, blue"),
        ({"kind": "maybe"}, "is not a class"),
    ):
        with pytest.raises(RejectedError, match=message):
            checked_changes(data, changes)


def test_a_row_without_a_value_cannot_be_accepted(store: Store) -> None:
    line = table_line()
    verdict = hold(bind(store, line), [row([1, float("nan"), 0], "yes", "every cell of b has a value")])
    state = State(LineStore(store, "rows"))
    with pytest.raises(RejectedError, match="cannot be waived"):
        accept(state, line, verdict, select(state, verdict), "ann", "fine")
    with pytest.raises(RejectedError, match="column b has no value; give one with --set b=VALUE"):
        fix(state, line, verdict, select(state, verdict), "ann", Correction("no"))


def test_a_long_journal_is_read_in_few_steps(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_module, "SEGMENT", 4)
    verdict, state = (
        hold(bind(store, LINE), [text(f"text {n}", "spam\n") for n in range(11)]),
        State(LineStore(store, "sms")),
    )
    for n in range(11):
        member = select(state, verdict, ids=[text(f"text {n}", "")["id"]])
        reject(state, verdict, member, "ann", f"no \N{LINE SEPARATOR} {n}")
    first = State(LineStore(store, "sms"))
    reads: list[str] = []
    read = Store.read
    monkeypatch.setattr(Store, "read", lambda self, key: (reads.append(key), read(self, key))[1])
    again = State(LineStore(store, "sms"))
    assert again.entries == first.entries == state.entries
    assert len(reads) < 11
    assert status(again, verdict) == {SUSPECT: {"rejected": 11}}
