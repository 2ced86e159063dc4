"""`docs/families.md` says what the families cost, and its example is a line that holds together."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from assets.line.config import parse_line
from platform_defs.cli.main import app
from tests.families_doc import DOCUMENT, updated


def test_the_table_is_made_from_the_families() -> None:
    text = DOCUMENT.read_text()
    assert updated(text) == text, "run: python -m tests.families_doc"


def test_the_example_keeps_every_clause_that_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = DOCUMENT.read_text()
    (example,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    (module,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (tmp_path / "my_pairs.py").write_text(module)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    sys.modules.pop("my_pairs", None)
    line = parse_line("pairs", yaml.safe_load(example)["attributes"], "docs/families.md")
    monkeypatch.setattr("platform_defs.cli.lines.find_line", lambda name: line)
    done = CliRunner().invoke(app, ["lines", "check", "pairs", "--json"])
    rows = json.loads(done.stdout)
    assert [row for row in rows if row["state"] != "ok"] == []
    assert done.exit_code == 0
    listed = re.findall(r"^\| ([^|`]+) \| [^|]+ \|$", text.partition("| clause |")[2], re.MULTILINE)
    assert [row["clause"] for row in rows] == listed
