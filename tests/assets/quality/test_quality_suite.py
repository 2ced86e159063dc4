"""The suite: every rule's ruling, and broken checks told apart from bad data."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from assets.ingest.contract import Record
from assets.line import Line, parse_line
from assets.quality import judge as judge_module
from assets.quality.decide import decide
from assets.quality.frame import build_frame
from assets.quality.judge import judge
from assets.quality.rules import Rule, rules_of
from assets.quality.suite import run_suite
from assets.store import Store


def rule(name: str, expectation: str, **settings: Any) -> Rule:
    return Rule(name, "A description.", expectation, settings)


def test_rulings_come_in_order_with_the_rows_that_break_them() -> None:
    frame = pd.DataFrame({"x": [1.0, 5.0, None, 9.0], "id": ["a", "b", "a", "c"]})
    rulings = run_suite(
        frame,
        [
            rule("between", "ExpectColumnValuesToBeBetween", column="x", max_value=4),
            rule("filled", "ExpectColumnValuesToNotBeNull", column="x"),
            rule("once", "ExpectColumnValuesToBeUnique", column="id"),
            rule("enough", "ExpectTableRowCountToBeBetween", min_value=4),
            rule("more", "ExpectTableRowCountToBeBetween", min_value=5),
        ],
    )
    assert [(ruling.rule.name, ruling.outcome, ruling.rows) for ruling in rulings] == [
        ("between", "failed", (1, 3)),
        ("filled", "failed", (2,)),
        ("once", "failed", (0, 2)),
        ("enough", "passed", ()),
        ("more", "failed", ()),
    ]
    assert rulings[4].detail == "Found 4. A description."


def test_a_broken_check_is_errored_not_failed() -> None:
    frame = pd.DataFrame({"x": [1.0]})
    broken = [
        rule("no such column", "ExpectColumnValuesToNotBeNull", column="y"),
        rule("no such expectation", "ExpectMiracles", column="x"),
        rule("bad settings", "ExpectColumnValuesToBeBetween", column="x", min_value="five"),
    ]
    rulings = run_suite(frame, [*broken, rule("sound", "ExpectColumnValuesToNotBeNull", column="x")])
    assert [ruling.outcome for ruling in rulings] == ["errored", "errored", "errored", "passed"]
    assert '"y"' in rulings[0].detail


def test_an_errored_critical_check_blocks(
    store: Store, pictures: Line, put: Any, good: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    extra = rule("a check of our own", "ExpectColumnValuesToNotBeNull", column="nowhere")
    monkeypatch.setattr(judge_module, "rules_of", lambda config: [*rules_of(config), extra])
    verdict = judge(store, pictures, put(pictures, good))
    assert (verdict.state, verdict.accepted) == ("blocked", 0)
    assert "'a check of our own' broke, so nobody knows" in verdict.why


def test_a_critical_rule_about_the_batch_blocks(pictures: Line) -> None:
    records = [Record(f"{n:064d}", "cat", "", f"cat/{n}.png", b"", {"width": 8, "height": 8, "mean": 9, "std": 9})
               for n in range(20)]  # fmt: skip
    frame = build_frame(records, pictures.config.data, {})
    rules = [rule("many labels", "ExpectColumnUniqueValueCountToBeBetween", column="label", min_value=2)]
    decision = decide(records, [], frame, run_suite(frame, rules), pictures.config)
    assert decision.blocked == ("'many labels' does not hold. Found 1. A description.",)
    assert len(decision.good) == 20


def test_no_records_is_judged_too(pictures: Line, rows: Line) -> None:
    for line in (pictures, rows):
        frame = build_frame([], line.config.data, {})
        decision = decide([], [], frame, run_suite(frame, rules_of(line.config)), line.config)
        assert decision.blocked


def test_many_columns_stay_quick() -> None:
    columns = [f"c{n}" for n in range(200)]
    data = {"reader": "csv", "classes": ["x", "y"], "table": {"target": "t", "columns": columns}}
    line = parse_line("wide", {"data": data, "model": {"family": "mlp"}}, "test")
    records = [Record(f"{n:064d}", "x", "", f"t.csv#{n}", bytes(8 * 200)) for n in range(50)]
    frame = build_frame(records, line.config.data, {})
    rulings = run_suite(frame, rules_of(line.config))
    assert len(rulings) > 200
    assert {ruling.outcome for ruling in rulings if ruling.rule.severity == "critical"} == {"passed"}


def test_nothing_is_left_behind_or_sent(tmp_path: Path) -> None:
    """In a fresh process: no file in home or temporary folder, no connection."""
    script = (
        "import socket, pandas as pd\n"
        "def refuse(*arguments): raise SystemExit('a connection was tried')\n"
        "socket.socket.connect = refuse\n"
        "from assets.quality.rules import Rule\n"
        "from assets.quality.suite import run_suite\n"
        "rule = Rule('x', 'x', 'ExpectColumnValuesToNotBeNull', {'column': 'x'})\n"
        "assert run_suite(pd.DataFrame({'x': [1]}), [rule])[0].outcome == 'passed'\n"
    )
    for name in ("home", "temporary"):
        (tmp_path / name).mkdir()
    environment = {"HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path / "temporary"), "PATH": ""}
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", script], env=environment, cwd=root, timeout=120, check=False)
    assert done.returncode == 0
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert list((tmp_path / "temporary").iterdir()) == []
    assert tempfile.gettempdir() != str(tmp_path / "temporary")
