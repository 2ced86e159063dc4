"""`edgeloop quarantine`, as a person types it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from assets.errors import ConflictError, RejectedError
from assets.line.config import Line
from assets.records.line_store import LineStore, bind
from assets.storage.store import Store
from platform_defs.cli import held as held_commands
from platform_defs.cli.main import app
from tests.assets.held_records import NEAR, SUSPECT, hold, picture, picture_line, row, table_line, text, text_line

Run = Callable[..., Any]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("EDGELOOP_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home" / "dagster"))
    monkeypatch.setenv("EDGELOOP_USER", "ann")
    lines = {line.name: line for line in (text_line(), picture_line(), _private())}
    monkeypatch.setattr(held_commands, "find_line", lines.__getitem__)
    return Store(str(tmp_path / "home"))


def _private() -> Line:
    return table_line(privacy={"private": ["b"]})


def say(*words: str) -> str:
    """What `edgeloop quarantine …` prints; a refusal is raised."""
    result = CliRunner().invoke(app, ["quarantine", *words], catch_exceptions=False, env={"COLUMNS": "200"})
    assert result.exit_code in {0, 1}, result.output
    if result.exception is not None:
        raise result.exception
    return result.output


def told(*words: str) -> Any:
    return json.loads(say(*words, "--json"))


def test_a_reviewers_day(store: Store) -> None:
    line = text_line()
    records = [text(f"win {n}", "ham") for n in range(3)] + [text("twin", "ham", NEAR), text("free", "spam")]
    verdict = hold(bind(store, line), records)
    assert "5 undecided: `--records 20` lists them, `edgeloop quarantine show sms RECORD` shows one" in say(
        "list", "sms"
    )
    single = told("list", "sms", "--records", "3")
    assert len(single) == 3
    assert all(len(row["record"]) == 64 and row["reason"] and row["status"] == "undecided" for row in single)
    listed = told("list", "sms")
    assert [(each["rule"], each["undecided"]) for each in listed] == [(SUSPECT, 4), (NEAR, 1)]
    assert "3 records" in say("fix", "sms", "--batch", verdict.batch[:8], "--labelled", "ham", "--rule", SUSPECT,
                              "--label", "spam")  # fmt: skip
    assert "ann rejected" in say("reject", "sms", records[4]["id"][:8], "--why", "not ours")
    with pytest.raises(ConflictError, match=r"ann rejected at .*: not ours \(decision 2\).*--revise 2"):
        say("accept", "sms", records[4]["id"][:8], "--why", "ours")
    say("accept", "sms", records[4]["id"][:8], "--why", "ours", "--revise", "2", "--who", "bob")
    say("waive", "sms", NEAR, "--until", "2999-01-31", "--why", "resends", "--batch", verdict.batch)
    assert [(each["rule"], each["who"]) for each in told("waivers", "sms")] == [(SUSPECT, "bob"), (NEAR, "ann")]
    shown = told("show", "sms", records[4]["file"])
    assert [each["action"] for each in shown["decisions"]] == ["reject", "accept"]
    assert shown["records"][0]["values"] == {"text": "free"}
    assert "5 decided" in say("list", "sms")
    assert "5 records landed as batch" in say("release", "sms")
    assert "nothing is to be released" in say("release", "sms")
    assert next(landing.batch for _, landing in LineStore(store, "sms").landings().after(0)) == verdict.batch
    assert told("list", "sms")[0]["released"] == 4
    assert "took back decision 4" in say("revoke", "sms", "4", "--why", "no resends")
    assert [each["rule"] for each in told("waivers", "sms")] == [SUSPECT]


def test_a_waiver_of_the_line(store: Store) -> None:
    assert "waived the rule" in say("waive", "sms", SUSPECT, "--until", "2999-01-31", "--why", "slang")
    assert told("waivers", "sms")[0]["for"] == "line"
    with pytest.raises(RejectedError, match="not a date"):
        say("waive", "sms", SUSPECT, "--until", "tomorrow", "--why", "slang")


def test_it_says_what_is_missing(store: Store) -> None:
    hold(bind(store, text_line()), [text("a", "ham")])
    for words, message in (
        (("accept", "sms", "--why", "x"), "which records"),
        (("accept", "sms", "--rule", SUSPECT), "needs a reason"),
        (("accept", "sms", "--rule", "no such rule", "--why", "x"), "no undecided record"),
        (("accept", "sms", "--batch", "zz", "--why", "x"), "no batch begins with it"),
        (("fix", "sms", "--rule", SUSPECT), "nothing is corrected"),
        (("fix", "sms", "--rule", SUSPECT, "--set", "text"), "say COLUMN=VALUE"),
        (("fix", "sms", "--rule", SUSPECT, "--file", "/none"), "no such file"),
    ):
        with pytest.raises(RejectedError, match=message):
            say(*words)
    assert say("list", "pets") == "Nothing of pets is in quarantine.\n"


def test_private_values_are_never_printed(store: Store) -> None:
    line = _private()
    secret = row([1.5, 271828.0, 1], "yes")
    hold(bind(store, line), [secret])
    for words in (("show", "rows", secret["id"]), ("show", "rows", secret["id"], "--json"), ("list", "rows")):
        assert "271828" not in say(*words)
    assert told("show", "rows", secret["id"])["records"][0]["values"] == {
        "a": "1.5",
        "b": "(private)",
        "colour": "blue",
    }
    assert told("fix", "rows", secret["id"], "--set", "b=314159", "--why", "typed wrong")[0]["records"] == 1
    assert "314159" not in say("show", "rows", secret["id"], "--json")


def test_pictures_are_saved_and_repaired(store: Store, tmp_path: Path) -> None:
    bad = picture(1, "cat", size=8)
    hold(bind(store, picture_line()), [bad])
    say("show", "pets", bad["id"], "--save", str(tmp_path / "out.png"))
    with Image.open(tmp_path / "out.png") as saved:
        assert saved.size == (8, 8)
    (tmp_path / "broken.png").write_bytes(b"junk")
    with pytest.raises(RejectedError, match="cannot be read"):
        say("fix", "pets", bad["id"], "--file", str(tmp_path / "broken.png"))
    (tmp_path / "fixed.png").write_bytes(picture(2, "cat")["input"])
    say("fix", "pets", bad["id"], "--file", str(tmp_path / "fixed.png"))
    assert "1 records landed" in say("release", "pets")


def test_nothing_reaches_a_terminal_as_it_is(store: Store) -> None:
    hold(bind(store, text_line()), [text("a", "\x1b[31mham", "x", file="a\x1b]0;owned\x07.csv", reason="r\x1b[2J")])
    assert "\x1b[31m" not in say("show", "sms", text("a", "")["id"])
    assert "\x1b[2J" not in say("show", "sms", text("a", "")["id"])
