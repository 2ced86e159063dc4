"""What goes wrong outside of our code is told in one sentence, and never as a traceback."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy.exc
from typer.testing import CliRunner

from assets.errors import RejectedError, TransientError
from assets.storage.store import Store
from platform_defs.cli.failures import explain
from platform_defs.cli.main import app

ROOT = Path(__file__).parents[3]


def _edgeloop(*arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    code = "from platform_defs.cli.main import main; main()"
    known = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], check=False, env=known, capture_output=True, timeout=280
    )


def test_errors_of_the_machine_name_place_reason_and_remedy() -> None:
    full = explain(OSError(errno.ENOSPC, "No space left on device", "/state/a"))
    assert isinstance(full, TransientError)
    assert str(full) == "/state/a: cannot be written (No space left on device); make room, then try again"
    locked = explain(OSError(errno.EROFS, "Read-only file system", "/state/a"))
    assert isinstance(locked, RejectedError)
    assert "set EDGELOOP_HOME" in str(locked)
    assert "the state in" in str(explain(OSError(errno.EPERM, "Operation not permitted")))


def test_a_database_that_cannot_be_written_is_no_traceback() -> None:
    error = sqlalchemy.exc.OperationalError("INSERT …", {}, Exception("database or disk is full"))
    told = explain(error)
    assert isinstance(told, TransientError)
    assert "database or disk is full" in str(told)
    assert "make room" in str(told)
    wrapped = RuntimeError("in a run")
    wrapped.__cause__ = error
    assert isinstance(explain(wrapped), TransientError)


def test_our_own_faults_keep_their_traceback() -> None:
    assert explain(ZeroDivisionError()) is None


@pytest.mark.parametrize("root", ["foo://bucket/x", "nope://"])
def test_a_state_of_no_known_protocol(root: str) -> None:
    with pytest.raises(RejectedError, match="set EDGELOOP_HOME to a folder"):
        Store(root).path("landing")


def test_a_state_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    done = _edgeloop("batches", "digits", EDGELOOP_HOME=str(tmp_path / "file"))
    assert (done.returncode, done.stderr.count(b"\n")) == (1, 1), done.stderr
    assert b"set EDGELOOP_HOME to a folder" in done.stderr


def test_a_terminal_of_another_alphabet_gets_escapes(tmp_path: Path) -> None:
    (tmp_path / "ünï" / "kätze").mkdir(parents=True)
    (tmp_path / "ünï" / "kätze" / "a.txt").write_text("text")
    done = _edgeloop("inspect", str(tmp_path / "ünï"), EDGELOOP_HOME=str(tmp_path), PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert b"k\\xe4tze" in done.stdout


def test_a_source_without_a_name_is_not_the_folder_one_stands_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("text")
    with pytest.raises(RejectedError, match="the source has no name"):
        CliRunner().invoke(app, ["inspect", ""], catch_exceptions=False)


def test_a_sheet_that_cannot_be_written_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    for name, reason in (("sheet.jpg", r"name it \.png"), ("none/sheet.png", "there is no folder")):
        arguments = ["inspect", "/no/such/source", "--grid", str(tmp_path / name)]
        with pytest.raises(RejectedError, match=reason):
            CliRunner().invoke(app, arguments, catch_exceptions=False)
