"""Claims: every accepted batch in exactly one, whatever the policy and whoever makes them."""

from __future__ import annotations

import hashlib
import uuid
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.errors import RejectedError
from assets.line.config import RetrainPolicy
from assets.records.line_store import LineStore
from assets.records.verdict import Accepted
from assets.storage.store import Store
from assets.training.triggers.claims import claim_journal, last_claim, next_claim, standing, start_claim
from assets.training.triggers.policy import by_policy, decide, everything
from assets.training.triggers.skips import skip_journal

DAY = 86_400.0


def _accepted(name: object, records: int = 10) -> Accepted:
    return Accepted(hashlib.sha256(str(name).encode()).hexdigest(), records, 0.0)


policies = st.builds(
    RetrainPolicy,
    min_new_records=st.integers(1, 60),
    cooldown_minutes=st.sampled_from([0.0, 5.0]),
    max_per_day=st.integers(1, 50),
    coalesce=st.booleans(),
)


@given(policy=policies, steps=st.lists(st.sampled_from(["land", "land again", "tick", "give up"]), max_size=40))
def test_every_accepted_batch_is_in_exactly_one_claim_that_is_carried_out(
    policy: RetrainPolicy, steps: list[str]
) -> None:
    store = Store(f"memory://{uuid.uuid4().hex}")
    landed: list[str] = []
    given_up: set[int] = set()
    now = 0.0
    for step in steps:
        now += 60
        position = claim_journal(LineStore(store, "x")).length()
        if step == "land":
            entry = _accepted(len(landed))
            landed.append(entry.batch)
            LineStore(store, "x").accepted().append(entry)
        elif step == "land again" and landed:
            LineStore(store, "x").accepted().append(_accepted(0))
        elif step == "give up" and position:
            given_up.add(position)
        elif step == "tick":
            next_claim(
                LineStore(store, "x"), "new batches", now, by_policy(policy, now), replace_last=position in given_up
            )
    position = claim_journal(LineStore(store, "x")).length()
    next_claim(LineStore(store, "x"), "nightly", now + DAY, everything, replace_last=position in given_up)
    carried_out = [
        claim for at, claim in claim_journal(LineStore(store, "x")).after(0) if at not in given_up or at > position
    ]
    batches = [batch for claim in carried_out for batch in claim.batches]
    last_given_up = position in given_up and claim_journal(LineStore(store, "x")).length() == position
    assert sorted(batches) == sorted(landed) or last_given_up
    assert len(batches) == len(set(batches))


def test_few_records_wait() -> None:
    waiting = [(1, _accepted("a", 10)), (2, _accepted("b", 10))]
    policy = RetrainPolicy(min_new_records=30)
    assert "20 new records are waiting" in decide(policy, waiting, (), 0.0).why
    decision = decide(policy, [*waiting, (3, _accepted("c", 10))], (), 0.0)
    assert decision.retrain
    assert [position for position, _ in decision.batches] == [1, 2, 3]


def test_a_batch_that_brought_no_new_record_waits_for_one_that_does() -> None:
    empty = [(1, _accepted("a", 0)), (2, _accepted("b", 0))]
    assert not decide(RetrainPolicy(), empty, (), 0.0).retrain
    told = everything(empty, ())
    assert (told.retrain, told.rule) == (False, "")
    assert "no new record is in the 2 accepted batches" in told.why
    assert everything([*empty, (3, _accepted("c", 1))], ()).batches == (*empty, (3, _accepted("c", 1)))


def test_without_coalescing_each_batch_has_its_own_run() -> None:
    waiting = [(1, _accepted("a")), (2, _accepted("b"))]
    decision = decide(RetrainPolicy(coalesce=False), waiting, (), 0.0)
    assert [position for position, _ in decision.batches] == [1]


def test_cooldown_and_daily_limit_hold_and_say_so(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    LineStore(store, "x").accepted().append(_accepted("a"))
    assert next_claim(LineStore(store, "x"), "new batches", 1000.0, everything)[0] is not None
    LineStore(store, "x").accepted().append(_accepted("b"))
    cool = RetrainPolicy(cooldown_minutes=10)
    assert (
        "cooldown_minutes is 10" in next_claim(LineStore(store, "x"), "new batches", 1060.0, by_policy(cool, 1060.0))[1]
    )
    daily = RetrainPolicy(max_per_day=1)
    assert "max_per_day is 1" in next_claim(LineStore(store, "x"), "new batches", 5000.0, by_policy(daily, 5000.0))[1]
    assert next_claim(LineStore(store, "x"), "new batches", 1000 + DAY, by_policy(daily, 1000 + DAY))[0] is not None


def test_every_skipped_trigger_is_noted_once_with_its_reason(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    policy = RetrainPolicy(min_new_records=15, cooldown_minutes=10, max_per_day=2)

    def tick(now: float) -> bool:
        return next_claim(LineStore(store, "x"), "new batches", now, by_policy(policy, now))[0] is not None

    assert not tick(0)  # nothing waits: that is no skipped trigger
    LineStore(store, "x").accepted().append(_accepted("a"))
    assert [tick(now) for now in (60, 120, 180)] == [False] * 3
    LineStore(store, "x").accepted().append(_accepted("b"))
    assert tick(240)
    LineStore(store, "x").accepted().append(_accepted("c", 20))
    assert [tick(now) for now in (300, 360, 900)] == [False, False, True]
    LineStore(store, "x").accepted().append(_accepted("d", 20))
    assert [tick(now) for now in (960, 2000)] == [False, False]
    skips = [skip for _, skip in skip_journal(LineStore(store, "x")).after(0)]
    assert [(skip.rule, skip.batches, skip.records, skip.time) for skip in skips] == [
        ("retrain.min_new_records", 1, 10, 60),
        ("retrain.cooldown_minutes", 1, 20, 300),
        ("retrain.cooldown_minutes", 1, 20, 960),
        ("retrain.max_per_day", 1, 20, 2000),
    ]
    assert "10 new records are waiting, retrain.min_new_records is 15" in skips[0].why
    waiting, decision = standing(LineStore(store, "x"), policy, 2000)
    assert [position for position, _ in waiting] == [4]
    assert decision.rule == "retrain.max_per_day"
    assert skip_journal(LineStore(store, "x")).length() == 4  # asking notes nothing


def test_two_processes_cannot_claim_the_same_batches(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    LineStore(store, "x").accepted().append(_accepted("a"))

    def slow(waiting, claims):  # type: ignore[no-untyped-def]
        assert next_claim(LineStore(store, "x"), "command", 0.0, everything)[0] is not None
        return everything(waiting, claims)

    assert next_claim(LineStore(store, "x"), "new batches", 0.0, slow) == (
        None,
        "another process claimed the waiting batches at this moment",
    )
    assert claim_journal(LineStore(store, "x")).length() == 1


def test_a_claim_is_started_by_one_run_at_a_time(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    LineStore(store, "x").accepted().append(_accepted("a"))
    claim, _ = next_claim(LineStore(store, "x"), "new batches", 0.0, everything)
    assert claim is not None
    assert last_claim(LineStore(store, "x")) == claim
    over: set[str] = set()
    start_claim(LineStore(store, "x"), claim.run_key, "run-1", over.__contains__)
    start_claim(LineStore(store, "x"), claim.run_key, "run-1", over.__contains__)
    with pytest.raises(RejectedError, match="run run-1"):
        start_claim(LineStore(store, "x"), claim.run_key, "run-2", over.__contains__)
    over.add("run-1")
    start_claim(LineStore(store, "x"), claim.run_key, "run-2", over.__contains__)
    with pytest.raises(RejectedError, match="run run-2"):
        start_claim(LineStore(store, "x"), claim.run_key, "run-3", over.__contains__)
