"""`edgeloop inspect` ends with what the gate says of its own proposal, and begins with it where that is a refusal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from assets.ingest.inspection.checked import Checked, Problem
from platform_defs.cli.checked import show_checked
from platform_defs.cli.main import app


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGELOOP_HOME", str(tmp_path / "home"))


def table(folder: Path, count: int, bad: int = 0) -> Path:
    rows = [f"{at * 7919 % 1009 / 8},{'ab'[at % 2]}" for at in range(count)] + ["oops,a"] * bad
    (folder / "x.csv").write_text("\n".join(["x,label", *rows, ""]))
    return folder / "x.csv"


def test_what_would_be_refused_is_said_first(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["inspect", str(table(tmp_path, 9))])
    assert result.exit_code == 0, result.output
    first, *rest = result.output.splitlines()
    assert first.startswith("the gate would refuse what this proposes. Blocked: only 9 good records")
    assert any("lower `quality.min_records`" in row for row in rest)
    assert not (tmp_path / "home").exists()


def test_json_has_the_same(tmp_path: Path) -> None:
    source = table(tmp_path, 400, bad=2)
    checked = json.loads(CliRunner().invoke(app, ["inspect", str(source), "--json"]).output)["checked"]
    assert (checked["state"], checked["accepted"], checked["quarantined"]) == ("accepted", 400, 2)
    assert [reason["count"] for reason in checked["reasons"]] == [2]
    result = CliRunner().invoke(app, ["inspect", str(source), "--json", "--no-check"])
    assert json.loads(result.output)["checked"] is None


def test_each_problem_is_shown_with_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    reasons = (Problem("it is bad", "mend it", 3, "x.csv, line 2"),)
    show_checked(Checked("accepted", "", 9, 6, 3, 0, False, (), (Problem("odd: so", "look"),), reasons))
    shown = capsys.readouterr().out
    assert "a sample of 9 records" in shown
    assert "6 of 9 records would be accepted, 3 quarantined" in shown
    assert "odd: so; look" in shown
    assert "3 x, first in x.csv, line 2: it is bad; mend it" in shown
    show_checked(Checked("unchecked", "it took too long"))
    assert "it took too long" in capsys.readouterr().out
