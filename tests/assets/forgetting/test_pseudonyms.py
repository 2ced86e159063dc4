"""Forgetting the key of pseudonyms: once, and on record."""

from __future__ import annotations

from pathlib import Path

from assets.forgetting.pseudonyms import forget_pseudonyms
from assets.ingest.privacy.pseudonyms import pseudonym_key
from assets.records.line_store import LineStore
from assets.storage.audit import AuditLog
from assets.storage.store import Store


def test_the_key_goes_once_and_the_log_says_who(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    key = pseudonym_key(LineStore(store, "clinic"))
    assert forget_pseudonyms(LineStore(store, "clinic"), "asked to", who="ann")
    assert not forget_pseudonyms(LineStore(store, "clinic"), "asked to", who="ann")
    ((_, entry),) = AuditLog(store).latest(10)
    assert (entry.who, entry.action, entry.line, entry.why) == ("ann", "forgot", "clinic", "asked to")
    assert pseudonym_key(LineStore(store, "clinic")) != key
