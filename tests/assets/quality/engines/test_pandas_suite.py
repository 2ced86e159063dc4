"""The suite: every rule's ruling, and broken checks told apart from bad data."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assets.errors import TransientError
from assets.line.config import Line, parse_line
from assets.line.expectations import EXPECTATIONS
from assets.quality import gate as judge_module
from assets.quality.computed_checks import computed_checks
from assets.quality.decide import Allowed, broken_rules, decide
from assets.quality.earlier_units import EarlierUnits
from assets.quality.engines.pandas_engine import PandasEngine
from assets.quality.gate import judge
from assets.quality.history import INDEX_SCHEMA as INDEX
from assets.quality.refusals import Refused
from assets.quality.rule import Rule
from assets.quality.rules import rules_of
from assets.quality.rulings import Ruling, run_rules
from assets.quality.spool import Spool
from assets.records.chunks import chunk_schema, to_table
from assets.records.line_store import bind
from assets.records.record import Record
from assets.review.documents import Waivers
from assets.storage.store import Store


def rule(name: str, expectation: str, **settings: Any) -> Rule:
    return Rule(name, "A description.", expectation, settings)


def line_of(*columns: str) -> Line:
    data = {"reader": "table", "classes": ["yes", "no"], "table": {"target": "t", "columns": list(columns)}}
    return parse_line("numbers", {"data": data}, "test")


def spool_of(folder: Path, line: Line, chunks: int = 1, **columns: list[float | None]) -> Spool:
    """A spool of rows, each of its chunks with the same number of records."""
    data = line.config.data
    spool = Spool(folder / "spool", chunk_schema(data))
    rows = len(next(iter(columns.values())))
    for part in range(chunks):
        places = range(part * rows // chunks, (part + 1) * rows // chunks)
        facts = [{name: values[place] for name, values in columns.items()} for place in places]
        records = [
            Record(f"{place:064x}", "yes", "", f"t.csv#{place + 2}", b"", facts=fact)
            for place, fact in zip(places, facts, strict=True)
        ]
        spool.append(to_table(records, spool.schema))
        spool.finish()
    return spool


def ruled(spool: Spool, line: Line, rules: list[Rule]) -> list[Ruling]:
    with PandasEngine(workers=1) as engine:
        return run_rules(spool, {}, {}, rules, line.config.data, engine)


@pytest.mark.parametrize("chunks", [1, 2, 4])
def test_rulings_come_in_order_with_the_rows_that_break_them(tmp_path: Path, chunks: int) -> None:
    line = line_of("x", "y")
    spool = spool_of(tmp_path, line, chunks, x=[1.0, 5.0, None, 9.0], y=[1.0, 2.0, 1.0, 3.0])
    found = ruled(
        spool,
        line,
        [
            rule("between", "ExpectColumnValuesToBeBetween", column="x", max_value=4),
            rule("filled", "ExpectColumnValuesToNotBeNull", column="x"),
            rule("once", "ExpectColumnValuesToBeUnique", column="y"),
            rule("enough", "ExpectTableRowCountToBeBetween", min_value=4),
            rule("more", "ExpectTableRowCountToBeBetween", min_value=5),
            rule("values", "ExpectColumnDistinctValuesToBeInSet", column="y", value_set=[1.0, 2.0]),
        ],
    )
    assert [(ruling.rule.name, ruling.outcome, ruling.rows.tolist()) for ruling in found] == [
        ("between", "failed", [1, 3]),
        ("filled", "failed", [2]),
        ("once", "failed", [0, 2]),
        ("enough", "passed", []),
        ("more", "failed", []),
        ("values", "failed", []),
    ]
    assert found[4].detail == "Found 4. A description."


@pytest.mark.parametrize(("mostly", "outcome"), [(0.5, "passed"), (0.75, "failed")])
def test_mostly_is_of_all_records_that_have_a_value_not_of_each_chunk(
    tmp_path: Path, mostly: float, outcome: str
) -> None:
    line = line_of("x")
    spool = spool_of(tmp_path, line, 2, x=[9.0, None, 1.0, 1.0, 9.0, 9.0, 1.0, 1.0])  # 3 of 7 break it
    most = Rule("most", "A.", "ExpectColumnValuesToBeBetween", {"column": "x", "max_value": 4}, mostly=mostly)
    (ruling,) = ruled(spool, line, [most])
    assert (ruling.outcome, "3 of 7 records break it" in ruling.detail) == (outcome, True)


def test_mostly_is_reckoned_as_great_expectations_does(tmp_path: Path) -> None:
    line = line_of("x")
    spool = spool_of(tmp_path, line, x=[9.0] * 7 + [1.0] * 93)  # 1 - 0.07 is a little less than 0.93
    most = Rule("most", "A.", "ExpectColumnValuesToBeBetween", {"column": "x", "max_value": 4}, mostly=0.93)
    assert ruled(spool, line, [most])[0].outcome == "passed"


def test_a_broken_check_is_errored_not_failed(tmp_path: Path) -> None:
    line = line_of("x")
    broken = [
        rule("no such column", "ExpectColumnValuesToNotBeNull", column="y"),
        rule("no such expectation", "ExpectMiracles", column="x"),
        rule("bad settings", "ExpectColumnValuesToBeBetween", column="x", min_value="five"),
    ]
    spool = spool_of(tmp_path, line, x=[1.0])
    found = ruled(spool, line, [*broken, rule("sound", "ExpectColumnValuesToNotBeNull", column="x")])
    assert [ruling.outcome for ruling in found] == ["errored", "errored", "errored", "passed"]
    assert '"y"' in found[0].detail


def test_processes_find_what_one_process_finds(tmp_path: Path) -> None:
    line = line_of("x", "y")
    values = [None if n % 97 == 0 else float(n % 11) for n in range(3000)]
    spool = spool_of(tmp_path, line, 5, x=values, y=[float(n) for n in range(3000)])
    rules = [
        rule("filled", "ExpectColumnValuesToNotBeNull", column="x"),
        rule("between", "ExpectColumnValuesToBeBetween", column="x", max_value=9),
        rule("broken", "ExpectColumnValuesToNotBeNull", column="nowhere"),
    ]
    alone = ruled(spool, line, rules)
    with PandasEngine(workers=2) as engine:
        engine.start()
        together = run_rules(spool, {}, {}, rules, line.config.data, engine)
    assert [(one.outcome, one.rows.tolist(), one.detail) for one in together] == [
        (one.outcome, one.rows.tolist(), one.detail) for one in alone
    ]
    assert len(together[0].rows) == 31


def test_a_process_that_dies_is_worth_another_try(tmp_path: Path) -> None:
    line = line_of("x")
    spool = spool_of(tmp_path, line, 2, x=[1.0] * 8)
    with PandasEngine(workers=2) as engine:
        engine.start()
        os.kill(children(os.getpid(), 2)[0], signal.SIGKILL)
        with pytest.raises(TransientError, match="judge again"):
            run_rules(spool, {}, {}, [rule("f", "ExpectColumnValuesToNotBeNull", column="x")], line.config.data, engine)


def test_processes_end_with_a_judge_that_was_killed() -> None:
    script = (
        "from assets.quality.engines.pandas_engine import PandasEngine\n"
        "with PandasEngine(2) as engine:\n engine.start()\n input()"
    )
    judge = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        alive = children(judge.pid, 2)
    finally:
        judge.kill()
        judge.communicate()
    deadline = time.monotonic() + 120
    while any(Path(f"/proc/{pid}").exists() for pid in alive) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [pid for pid in alive if Path(f"/proc/{pid}").exists()]


def children(judge: int, count: int) -> list[int]:
    """Ids of the processes that a judge has its suites run by, once there are so many."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        found = [pid for server in _children(judge) for pid in _children(server)]
        if len(found) >= count:
            return found
        time.sleep(0.05)
    raise AssertionError("the processes did not start")


def _children(parent: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, IndexError):
            if entry.name.isdigit() and (entry / "stat").read_text().rpartition(")")[2].split()[1] == str(parent):
                found.append(int(entry.name))
    return found


def test_every_expectation_is_known_and_no_other() -> None:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import great_expectations.expectations as gxe
    names = {name for name in dir(gxe) if name.startswith("Expect") and name != "Expectation"}
    assert names == EXPECTATIONS


def test_an_errored_critical_check_blocks(
    store: Store, pictures: Line, put: Any, good: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    extra = rule("a check of our own", "ExpectColumnValuesToNotBeNull", column="nowhere")
    monkeypatch.setattr(judge_module, "rules_of", lambda config: [*rules_of(config), extra])
    verdict = judge(bind(store, pictures), put(pictures, good))
    assert (verdict.state, verdict.accepted) == ("blocked", 0)
    assert "“a check of our own” broke, so nobody knows" in verdict.why


def test_a_critical_rule_about_the_batch_blocks(tmp_path: Path, refused: Refused) -> None:
    line = line_of("x")
    spool = spool_of(tmp_path, line, x=[1.0] * 20)
    rules = [rule("many values", "ExpectColumnUniqueValueCountToBeBetween", column="x", min_value=2)]
    allowed = Allowed(Waivers((), {}), "b")
    found = ruled(spool, line, rules)
    decision = decide(found, broken_rules(found, spool, allowed), refused, line.config, allowed)
    assert decision.blocked == ("“many values” does not hold: Found 1. A description.",)
    assert len(decision.good) == 20


def test_no_records_is_judged_too(tmp_path: Path, refused: Refused, pictures: Line, rows: Line) -> None:
    for line in (pictures, rows):
        schema, data = chunk_schema(line.config.data), line.config.data
        spool = Spool(tmp_path / line.name, schema)
        own = computed_checks(spool, np.zeros(0, dtype=np.int8), INDEX.empty_table(), {}, line, EarlierUnits())
        rules = [rule for rule in rules_of(line.config) if not any(name.startswith("_copy") for name in rule.columns)]
        allowed = Allowed(Waivers((), {}), "b")
        with PandasEngine(workers=1) as engine:
            found = run_rules(spool, own.derived, own.broken, rules, data, engine)
        assert decide(found, broken_rules(found, spool, allowed), refused, line.config, allowed).blocked


def test_many_columns_stay_quick(tmp_path: Path) -> None:
    columns = [f"c{n}" for n in range(200)]
    line = line_of(*columns)
    spool = spool_of(tmp_path, line, **{name: [1.0] * 50 for name in columns})
    found = ruled(spool, line, [one for one in rules_of(line.config) if one.columns and one.columns[0] in columns])
    assert len(found) == 200
    assert {ruling.outcome for ruling in found} == {"passed"}


@pytest.fixture
def refused(tmp_path: Path) -> Iterator[Refused]:
    with Refused(tmp_path / "refused") as found:
        yield found


def test_nothing_is_left_behind_or_sent(tmp_path: Path) -> None:
    """In a fresh process: no file in home or temporary folder, no connection."""
    script = (
        "import socket, pandas as pd\n"
        "def refuse(*arguments): raise SystemExit('a connection was tried')\n"
        "socket.socket.connect = refuse\n"
        "from assets.quality.engines.contract import Question\n"
        "from assets.quality.engines.pandas_suite import ask\n"
        "asked = Question('ExpectColumnValuesToNotBeNull', {'column': 'x'})\n"
        "assert ask(pd.DataFrame({'x': [1]}), [asked])[0].holds\n"
    )
    for name in ("home", "temporary"):
        (tmp_path / name).mkdir()
    environment = {"HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path / "temporary"), "PATH": ""}
    root = Path(__file__).parents[4]
    done = subprocess.run([sys.executable, "-c", script], env=environment, cwd=root, timeout=280, check=False)
    assert done.returncode == 0
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert list((tmp_path / "temporary").iterdir()) == []
    assert tempfile.gettempdir() != str(tmp_path / "temporary")
