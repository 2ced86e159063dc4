"""`make bench-compress`: this project's front against other tools; tables, and rows in `.edgeloop/bench/compress.json`.

DATA limits the data sets, PARTS the tables (`tools`, `dialects`); MINUTES=small looks whether all runs.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from assets.storage.store import Store
from platform_defs.home import find_home
from tests.benchmarks.compress.sets import SETS
from tests.shared_sets import SHARED

RESULT = "bench/compress.json"
PARTS = ("tools", "dialects")
MOST_TEXT = 110
ROOT = Path(__file__).resolve().parents[3]
SHOWN = {
    "tools": (
        "tool", "variant", "accuracy", "drop_points", "drop_low", "drop_high", "ms_b1", "onnx_kb", "engine_kb",
        "times_as_fast", "times_low", "times_high", "times_as_small", "why_not",
    ),
    "dialects": (
        "model", "target", "accuracy", "drop_points", "drop_low", "drop_high", "times_as_fast", "times_low",
        "times_high", "onnx_kb", "engine_kb", "builds",
    ),
}  # fmt: skip


def main() -> None:
    """Each data set in its own process; a set that is run anew replaces its old rows."""
    parser = argparse.ArgumentParser(prog="make bench-compress", description=__doc__)
    parser.add_argument("--data", nargs="*", default=[], help=f"any of {', '.join(SETS)}; all without")
    parser.add_argument("--parts", nargs="*", default=[], help=f"any of {', '.join(PARTS)}; all without")
    parser.add_argument("--minutes", choices=("full", "small"), default="full", help="small: does everything run?")
    asked = parser.parse_args()
    for kind, names, known in (("data set", asked.data, tuple(SETS)), ("part", asked.parts, PARTS)):
        if unknown := [name for name in names if name not in known]:
            parser.error(f"unknown {kind} {', '.join(unknown)}; there are {', '.join(known)}")
    console, store, began = Console(width=200), Store(find_home()), time.monotonic()
    small = asked.minutes == "small"
    result = RESULT.replace(".json", "-small.json") if small else RESULT
    rows = json.loads(store.read(result)) if store.exists(result) else []
    for name in asked.data or SETS:
        if not (SHARED / SETS[name].source).exists():
            console.print(f"{name}: left out, its data are not in {SHARED}")
            continue
        found = _run(name, small, Path(store.path(f"bench/compress/{name}{'-small' if small else ''}.json")))
        rows = [row for row in rows if row["data"] != name] + [
            {"part": part, **row} for part in PARTS for row in found[part]
        ]
        store.write(result, json.dumps(rows, indent=1).encode())
        for part in asked.parts or PARTS:
            _show(console, part, name, found[part])
        spent = ", ".join(f"{row['step']} {row['minutes']:.1f}" for row in found["minutes"])
        console.print(f"{name}, minutes: {spent}")
    console.print(f"{(time.monotonic() - began) / 60:.1f} minutes in all; rows in {store.path(result)}")


def _run(name: str, small: bool, out: Path) -> dict[str, list[dict[str, Any]]]:
    out.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-W", "ignore", "-m", "tests.benchmarks.compress.run", name, str(out)]
    subprocess.run([*command, *(["--small"] if small else [])], cwd=ROOT, check=True)
    found: dict[str, list[dict[str, Any]]] = json.loads(out.read_text())
    return found


def _show(console: Console, part: str, name: str, rows: Sequence[dict[str, Any]]) -> None:
    """One table; of tools one for each target and budget."""
    if part == "dialects":
        _table(console, f"{name}: the same model in both dialects", SHOWN[part], rows)
        return
    for target in dict.fromkeys(row["target"] for row in rows):
        for budget in dict.fromkeys(row["budget_points"] for row in rows):
            some = [row for row in rows if (row["target"], row["budget_points"]) == (target, budget)]
            teacher = f"teacher {some[0]['teacher_accuracy']:.4f}" if some else ""
            _table(console, f"{name}, {target}, at most {budget:g} points lost ({teacher})", SHOWN[part], some)


def _table(console: Console, title: str, columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> None:
    table = Table(title=title, title_justify="left")
    used = [column for column in columns if any(row.get(column) not in {None, ""} for row in rows)]
    for column in used:
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row.get(column)) for column in used))
    console.print(table)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    text = str(value)
    return text if len(text) <= MOST_TEXT else f"{text[:MOST_TEXT]}…"


if __name__ == "__main__":
    main()
