"""`edgeloop lines` and `edgeloop lines check`: a line of one's own, whole and broken in each of its parts."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import save_file
from typer.testing import CliRunner

from assets.families.build import build_network, teacher_architecture
from assets.ingest.landing import land
from assets.line.config import parse_line
from assets.quality.gate import judge
from assets.records.line_store import LineStore, bind
from assets.storage.store import Store
from assets.tasks.check_line import check_model, made_spec
from platform_defs.catalog import list_lines
from platform_defs.cli.main import app
from tests.assets.ingest.generations_bench import csv, table_line

MODULE = """
import numpy as np
from torch import nn
from torch.nn import functional


def build(spec, outputs, units=4):
    return nn.Sequential(nn.Linear(spec.shape[0], units), nn.Tanh(), nn.Linear(units, outputs))


def loss(outputs, targets):
    return functional.multi_margin_loss(outputs, targets)


def hits(outputs, y):
    return (outputs.argmax(1) == y).mean()


def write(folder):
    rows = [f"{n},{n % 7},{n % 2}" for n in range(40)]
    (folder / "rows.csv").write_text("\\n".join(["a,b,kind", *rows]))


def wrong_build(spec, outputs):
    return nn.Linear(spec.shape[0], outputs + 1)


def wrong_loss(outputs, targets):
    return outputs


def wrong_metric(outputs, y):
    return "good"


def wrong_write(folder):
    (folder / "rows.csv").write_text("a,b,kind\\n1,2,3\\n")


def nothing(folder):
    pass
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes the line `own` of functions in a module of its own."""
    (tmp_path / "own_parts.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("own_parts", None)

    def make(**names: str) -> None:
        named = {"build": "build", "loss": "loss", "metric": "hits", "write": "write"} | names
        path = {part: f"own_parts:{name}" for part, name in named.items()}
        line = parse_line(
            "own",
            {
                "data": {
                    "reader": "table",
                    "classes": ["0", "1"],
                    "table": {"columns": ["a", "b"], "target": "kind"},
                    "source": path["write"],
                },
                "model": {"family": path["build"], "options": {} if "build" in names else {"units": 6}},
                "training": {"loss": path["loss"], "metrics": [path["metric"]]},
            },
            "here",
        )
        monkeypatch.setattr("platform_defs.cli.lines.find_line", lambda name: line)

    return make


def _check() -> tuple[int, dict[str, dict[str, str]]]:
    done = CliRunner().invoke(app, ["lines", "check", "own", "--json"])
    return done.exit_code, {row["clause"]: row for row in json.loads(done.stdout)}


def test_a_line_of_ones_own_holds_together(own: Any) -> None:
    own()
    code, rows = _check()
    assert code == 0
    assert {row["state"] for row in rows.values()} == {"ok"}
    assert rows["writes its data"]["note"].startswith("40 records in 1 files")
    assert rows["builds"]["note"] == "own_parts:build: 32 parameters"
    assert rows["has a loss"]["note"].startswith("own_parts:loss: ")
    assert rows["has a metric"]["note"].startswith("own_parts:hits: ")


@pytest.mark.parametrize(
    ("part", "name", "clause", "note"),
    [
        ("build", "wrong_build", "answers", "forward gives [1, 3] for 1 records, not [1, 2]"),
        ("build", "not_there", "builds", "has no 'not_there'; write the function, or correct its name"),
        ("loss", "wrong_loss", "has a loss", "has to give a scalar tensor"),
        ("metric", "wrong_metric", "has a metric", "could not convert string to float: 'good'"),
        ("write", "wrong_write", "writes its data", "labels that are no class of the line: 3"),
        ("write", "nothing", "writes its data", "wrote nothing into the folder"),
    ],
)
def test_what_is_wrong_is_told_row_by_row(own: Any, part: str, name: str, clause: str, note: str) -> None:
    own(**{part: name})
    code, rows = _check()
    assert code == 1
    assert rows[clause]["state"] == "wrong"
    assert note in rows[clause]["note"]


def test_weights_to_start_from_are_tried(tmp_path: Path) -> None:
    file = tmp_path / "start.safetensors"
    table = {"columns": ["a", "b"], "target": "kind"}
    data = {"reader": "table", "classes": ["0", "1"], "table": table}
    model = {"family": "mlp", "width": 4, "depth": 1, "weights": str(file)}
    config = parse_line("own", {"data": data, "model": model}, "here").config
    missing = {finding.clause: finding for finding in check_model(config)}["starts from its weights"]
    assert (missing.ok, str(file) in missing.note) == (False, True)
    assert config.model is not None
    spec = made_spec(config)
    network = build_network("mlp", spec, 2, teacher_architecture(config.model, spec))
    save_file(network.state_dict(), file)
    assert {finding.clause: finding for finding in check_model(config)}["starts from its weights"].ok


def test_people_see_a_table(own: Any) -> None:
    own(build="not_there")
    done = CliRunner().invoke(app, ["lines", "check", "own"])
    assert done.exit_code == 1
    assert "writes its data" in done.stdout
    assert "wrong" in done.stdout


def test_lines_are_listed_as_before() -> None:
    done = CliRunner().invoke(app, ["lines", "--check", "--json"])
    assert done.exit_code == 0
    assert [row["line"] for row in json.loads(done.stdout)] == [entry.name for entry in list_lines()]
    assert CliRunner().invoke(app, ["lines", "--json", "check", "digits"]).exit_code == 2
    assert CliRunner().invoke(app, ["lines", "check", "no-such-line"]).exit_code == 1


def test_check_says_what_a_changed_contract_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGELOOP_HOME", str(tmp_path / "home"))
    store = Store(str(tmp_path / "home"))
    before = bind(store, table_line(["a", "b", "c"]))
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "t.csv").write_bytes(csv(1))
    judge(before, land(before, tmp_path / "source").batch)
    monkeypatch.setattr("platform_defs.cli.lines.find_line", lambda name, profile=None: table_line(["a", "b"]))
    result = CliRunner().invoke(app, ["lines", "check", "rows", "--json"])
    said = " ".join(result.output.split())
    assert "generation 2: 1 accepted batch is judged anew, because column 'c' was taken out." in said
    assert "Each record keeps its split, and the first model of a generation waits for a person" in said
    assert LineStore(store, "rows").generations().length() == 1  # looking begins nothing
