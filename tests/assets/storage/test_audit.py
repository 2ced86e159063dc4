"""The audit log: nothing is lost, and what was changed, cut or swapped is found."""

from __future__ import annotations

import hashlib
import threading
import uuid
from pathlib import Path

import pytest

from assets.storage import audit
from assets.storage.audit import AuditLog
from assets.storage.store import Store
from edge.contracts import to_bytes


def _filled(root: str, count: int = 5) -> Store:
    store = Store(root)
    for number in range(count):
        AuditLog(store).record("ann", "landed", "digits", f"batch-{number}", "because")
    return store


def _key(position: int) -> str:
    return f"audit/{position:012d}.json"


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return _filled(str(tmp_path) if request.param == "local" else f"memory://{uuid.uuid4().hex}")


def test_entries_are_chained_and_hold(store: Store) -> None:
    found = AuditLog(store).verify()
    assert (found.entries, found.broken_at) == (5, None)
    assert found.head == hashlib.sha256(store.read(_key(5))).hexdigest()
    assert [(at, entry.subject) for at, entry in AuditLog(store).latest(2)] == [(4, "batch-3"), (5, "batch-4")]
    assert AuditLog(store).verify(expect=found.head).broken_at is None


def test_an_empty_log_holds(tmp_path: Path) -> None:
    assert AuditLog(Store(str(tmp_path))).verify() == audit.Verified(0, "", None, "every entry holds")


def test_a_changed_entry_is_found(store: Store) -> None:
    store.write(_key(2), store.read(_key(2)).replace(b"ann", b"bob"))
    assert AuditLog(store).verify().broken_at == 3  # the entry after it says what it was
    store.write(_key(2), b"{}")
    assert AuditLog(store).verify().broken_at == 2


def test_a_changed_last_entry_is_found_by_the_head(store: Store) -> None:
    store.write(_key(5), store.read(_key(5)).replace(b"ann", b"bob"))
    assert AuditLog(store).verify().broken_at == 5


def test_a_missing_entry_is_found_and_what_follows_is_not_lost(store: Store) -> None:
    store.remove(_key(3))
    assert AuditLog(store).verify().broken_at == 3
    AuditLog(store).record("eve", "landed", "digits", "late")
    assert AuditLog(store).verify().broken_at == 3


def test_swapped_entries_are_found(store: Store) -> None:
    second, third = store.read(_key(2)), store.read(_key(3))
    store.write(_key(2), third)
    store.write(_key(3), second)
    assert AuditLog(store).verify().broken_at == 2


def test_a_log_that_was_cut_is_found(store: Store) -> None:
    noted = AuditLog(store).verify().head
    store.remove(_key(5))
    assert AuditLog(store).verify().broken_at == 5
    store.remove("audit/head/newest.json")  # someone who knows of the head takes it away too
    assert AuditLog(store).verify().broken_at is None
    assert AuditLog(store).verify(expect=noted).broken_at == 5


def test_a_lost_head_costs_nothing(store: Store) -> None:
    store.remove("audit/head/newest.json")
    AuditLog(store).record("ann", "accepted", "digits", "batch-5")
    assert AuditLog(store).verify() == audit.Verified(6, AuditLog(store).verify().head, None, "every entry holds")


def test_a_head_that_lags_behind_is_followed(store: Store) -> None:
    head = store.read("audit/head/newest.json")
    AuditLog(store).record("ann", "accepted", "digits", "batch-5")
    store.write("audit/head/newest.json", head)
    AuditLog(store).record("ann", "accepted", "digits", "batch-6")
    assert AuditLog(store).verify().entries == 7


def test_writers_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    store = Store(str(tmp_path))

    def write(number: int) -> None:
        for turn in range(10):
            AuditLog(store).record(f"writer {number}", "landed", "digits", str(turn))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = AuditLog(store).verify()
    assert (found.entries, found.broken_at) == (40, None)


def test_a_user_is_named_even_where_nobody_knows_who_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGELOOP_USER", "ann@example.org\x1b[2J")
    assert audit.current_user() == "ann@example.org [2J"
    monkeypatch.delenv("EDGELOOP_USER")
    monkeypatch.setattr("getpass.getuser", lambda: (_ for _ in ()).throw(KeyError("uid")))
    assert audit.current_user().startswith("user ")


def test_any_text_can_be_recorded(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    entry = AuditLog(store).record("\ud800", "waived", "digits", "x" * 5000, "a\nb\0" + "y" * 5000)
    assert len(entry.subject) == len(entry.why) == audit.MAX_WHY
    assert AuditLog(store).verify().broken_at is None
    assert to_bytes(entry) == store.read(_key(1))
