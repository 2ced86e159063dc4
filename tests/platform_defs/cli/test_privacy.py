"""`edgeloop audit` and `edgeloop forget`, as people and scripts call them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from assets.errors import RejectedError
from assets.ingest.privacy.pseudonyms import pseudonym_key
from assets.records.line_store import LineStore
from assets.storage.audit import AuditLog
from assets.storage.sealed import seal, unseal
from assets.storage.store import Store
from platform_defs.cli.main import app

RECORD = hashlib.sha256(b"a record").hexdigest()


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("EDGELOOP_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("EDGELOOP_USER", "ann")
    monkeypatch.delenv("EDGELOOP_KEYS", raising=False)
    return Store(str(tmp_path / "home"))


def _run(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == code, result.output
    return result.output


def _json(*arguments: str, code: int = 0) -> Any:
    return json.loads(_run(*arguments, "--json", code=code))


def test_what_was_done_is_listed_and_verified(store: Store) -> None:
    assert "Nothing was done" in _run("audit", "list")
    AuditLog(store).record("ann", "landed", "digits", "b" * 64, "3 files")
    AuditLog(store).record("bob", "waived", "other", "c" * 64)
    rows = _json("audit", "list", "--line", "digits")
    assert [(row["who"], row["action"], row["subject"]) for row in rows] == [("ann", "landed", "b" * 64)]
    assert len(_json("audit", "list", "--last", "1")) == 1
    head = _json("audit", "verify")["head"]
    assert "every entry holds" in _run("audit", "verify", "--expect", head)
    with pytest.raises(RejectedError, match="is not 64 hex digits"):
        CliRunner().invoke(app, ["audit", "verify", "--expect", head[:12]], catch_exceptions=False)
    store.write("audit/000000000001.json", store.read("audit/000000000001.json").replace(b"ann", b"eve"))
    assert _json("audit", "verify", code=1)["broken_at"] == 2
    with pytest.raises(RejectedError, match="broken at entry 2"):
        CliRunner().invoke(app, ["audit", "verify"], catch_exceptions=False)


def test_a_record_is_forgotten_once_and_on_record(store: Store) -> None:
    found = _json("forget", "digits", RECORD, "--why", "asked for it")
    assert (found["record"], found["new"], found["models"]) == (RECORD, True, [])
    assert "was forgotten on" in _run("forget", "digits", RECORD)
    entries = [(entry.who, entry.action, entry.why) for _, entry in AuditLog(store).latest(9)]
    assert entries == [("ann", "forgot", "asked for it")]


def test_the_key_of_pseudonyms_is_forgotten(store: Store) -> None:
    assert "nothing to do" in _run("forget", "digits", "--pseudonym-key")
    pseudonym_key(LineStore(store, "digits"))
    assert _json("forget", "digits", "--pseudonym-key")["pseudonym_key"] == "forgotten"
    assert [entry.subject for _, entry in AuditLog(store).latest(9)] == ["the key of its pseudonyms"]


@pytest.mark.parametrize("arguments", [[], [RECORD, "--pseudonym-key"], ["zzz"], ["abcdef"]])
def test_a_call_that_makes_no_sense_is_explained(store: Store, arguments: list[str]) -> None:
    with pytest.raises(RejectedError, match=";"):
        CliRunner().invoke(app, ["forget", "digits", *arguments], catch_exceptions=False)


def test_a_data_key_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    master = tmp_path / "master.key"
    master.write_bytes(bytes(32))
    master.chmod(0o600)
    monkeypatch.setenv("EDGELOOP_DATA_KEY", _run("data-key", f"kms+file:{master}").strip())
    assert unseal(seal(b"secret", "digits", "records")) == b"secret"
