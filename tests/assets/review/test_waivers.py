"""Waivers: for whom, until when, by whom; and what nobody can waive."""

from __future__ import annotations

import time

import pyarrow as pa
import pytest

from assets.errors import RejectedError
from assets.quality.rules import rules_of
from assets.records.line_store import LineStore, bind
from assets.review.decisions import accept, append, reject, revoke
from assets.review.documents import RETURN_RULES, STRUCTURAL, Decision, Member, waivable
from assets.review.returns import release
from assets.review.state import State, select
from assets.review.waivers import Scope, active_waivers, waive
from assets.storage.store import Store
from tests.assets.held_records import NEAR, SUSPECT, hold, picture_line, table_line, text, text_line

LINE = text_line()
IDS = [text(name, "ham")["id"] for name in "ab"]


def asked(ids: list[str], labels: str | list[str] = "ham") -> pa.Table:
    """Records as the gate asks about them."""
    named = [labels] * len(ids) if isinstance(labels, str) else labels
    packed = pa.array([bytes.fromhex(identity) for identity in ids], pa.binary(32))
    return pa.table({"_id": packed, "_label": pa.array(named, pa.string())})


def test_a_waiver_of_the_line_ends(store: Store) -> None:
    state, now = State(LineStore(store, "sms")), time.time()
    waive(state, LINE, SUSPECT, "ann", "new slang", now + 100)
    waivers = active_waivers(LineStore(store, "sms"), now + 99)
    assert waivers.waived(SUSPECT, "any", asked(IDS)).all()
    assert not waivers.waived(NEAR, "any", asked(IDS)).any()
    assert "waived for the line until" in waivers.describe(SUSPECT, "any", 7)
    assert "by ann (new slang; decision 1); 7 records" in waivers.describe(SUSPECT, "any", 7)
    assert waivers.rules() == {SUSPECT}
    assert active_waivers(LineStore(store, "sms"), now + 101).rules() == frozenset()


def test_a_waiver_of_a_batch_and_of_records(store: Store) -> None:
    verdict, state, now = (
        hold(bind(store, LINE), [text("a", "ham"), text("c", "ham", NEAR)]),
        State(LineStore(store, "sms")),
        time.time(),
    )
    waive(state, LINE, SUSPECT, "ann", "why", now + 100, Scope(verdict))
    waive(state, LINE, NEAR, "ann", "why", now + 100, Scope(verdict, select(state, verdict, rule=NEAR)))
    waivers = active_waivers(LineStore(store, "sms"), now)
    assert waivers.waived(SUSPECT, verdict.batch, asked(IDS)).tolist() == [True, True]
    assert waivers.waived(SUSPECT, "returned", asked(IDS)).tolist() == [
        True,
        False,
    ]  # what was held is let through for good
    assert waivers.waived(NEAR, verdict.batch, asked([text("c", "ham")["id"]])).tolist() == [True]
    assert waivers.waived(NEAR, verdict.batch, asked(IDS)).tolist() == [False, False]
    revoke(state, 1, "bob", "no")
    assert active_waivers(LineStore(store, "sms"), now).rules() == {NEAR}


def test_an_accept_waives_for_its_records_until_it_is_replaced(store: Store) -> None:
    verdict, state, now = (
        hold(bind(store, LINE), [text("a", "ham"), text("b", "ham")]),
        State(LineStore(store, "sms")),
        time.time(),
    )
    accept(state, LINE, verdict, select(state, verdict), "ann", "fine")
    assert active_waivers(LineStore(store, "sms"), now + 1e9).waived(SUSPECT, "x", asked(IDS)).tolist() == [True, True]
    reject(state, verdict, select(state, verdict, ids=[IDS[0]], decided=True), "ann", "no", revise=1)
    waivers = active_waivers(LineStore(store, "sms"), now)
    assert waivers.waived(SUSPECT, "x", asked(IDS)).tolist() == [False, True]
    assert [waiver.count for waiver in waivers.waivers] == [1]


def test_what_is_decided_of_one_label_is_not_of_another_of_the_same_input(store: Store) -> None:
    held = [text("a", "ham"), text("a", "spam"), text("b", "ham")]
    verdict, state = hold(bind(store, LINE), held), State(LineStore(store, "sms"))
    accept(state, LINE, verdict, select(state, verdict, labelled="ham"), "ann", "fine")
    waivers = active_waivers(LineStore(store, "sms"), time.time())
    both = asked([IDS[0], IDS[0], IDS[1]], ["ham", "spam", "ham"])
    assert waivers.waived(SUSPECT, "x", both).tolist() == [True, False, True]
    assert [row["label"] for row in select(state, verdict).to_pylist()] == ["spam"]
    assert reject(state, verdict, select(state, verdict), "bob", "it is not") == 2
    assert release(state, LINE, "ann").records == 2


def test_an_entry_of_before_labels_were_kept_is_about_every_label(store: Store) -> None:
    verdict, state = hold(bind(store, LINE), [text("a", "ham"), text("a", "spam")]), State(LineStore(store, "sms"))
    old = Decision("accept", "ann", "fine", time.time(), verdict.batch, 1, (Member(IDS[0], SUSPECT),))
    append(state, old, lambda: None)
    waivers = active_waivers(LineStore(store, "sms"), time.time())
    assert waivers.waived(SUSPECT, "x", asked([IDS[0]] * 2, ["ham", "spam"])).all()
    assert not select(state, verdict).num_rows


def test_what_cannot_be_waived(store: Store) -> None:
    state, now = State(LineStore(store, "sms")), time.time()
    for rule in (*STRUCTURAL, "every cell of a has a value"):
        assert not waivable(rule)
        with pytest.raises(RejectedError, match="cannot be waived"):
            waive(state, LINE, rule, "ann", "why", now + 100)
    with pytest.raises(RejectedError, match="in the future"):
        waive(state, LINE, SUSPECT, "ann", "why", now - 1)


def test_the_rules_named_here_are_the_gates() -> None:
    names = {rule.name for line in (LINE, picture_line(), table_line()) for rule in rules_of(line.config)}
    assert {
        "every record has a label",
        "every label is a class of the line",
        "no record was forgotten on request",
    } <= names
    assert "every split is a split" in names
    assert "every cell of a has a value" in names
    assert RETURN_RULES - {"there are enough good records", "the share of bad records is small"} <= names
    assert {SUSPECT} <= names


def test_asking_for_many_is_quick(store: Store) -> None:
    records = [text(f"text {n}", "spam") for n in range(2000)]
    verdict, state = hold(bind(store, LINE), records, group=1000), State(LineStore(store, "sms"))
    accept(state, LINE, verdict, select(state, verdict), "ann", "fine")
    waivers = active_waivers(LineStore(store, "sms"), time.time())
    many = asked([record["id"] for record in records] * 500, "spam")
    began = time.process_time()
    assert waivers.waived(SUSPECT, "x", many).all()
    assert time.process_time() - began < 5  # a hundredth


def test_what_a_waiver_held_is_undecided_again_when_it_ends(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    verdict, state, now = hold(bind(store, LINE), [text("a", "ham")]), State(LineStore(store, "sms")), time.time()
    waive(state, LINE, SUSPECT, "ann", "for a day", now + 100, Scope(verdict))
    assert not select(state, verdict).num_rows
    monkeypatch.setattr(time, "time", lambda: now + 101)
    assert select(state, verdict).num_rows == 1
    assert release(state, LINE, "ann").records == 0
    assert reject(state, verdict, select(state, verdict), "bob", "no") == 2
