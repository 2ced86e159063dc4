"""`make bench-data`: prints tables and writes `.edgeloop/bench/data.json`, flat rows. PARTS limits it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.table import Table

from assets.storage.store import Store
from platform_defs.home import find_home
from tests.benchmarks import ticks
from tests.benchmarks.data import pictures, planted, reports, sets, suite
from tests.shared_sets import SHARED

PARTS: dict[str, Callable[[], list[dict[str, Any]]]] = {
    "sets": sets.measure,
    "suite": suite.measure,
    "pictures": pictures.measure,
    "ticks": ticks.measure,
    "reports": reports.measure,
    "planted": planted.measure,
}


def main() -> None:
    """Run what was asked for; a part that is run anew replaces its old rows."""
    parser = argparse.ArgumentParser(prog="make bench-data", description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"any of {', '.join(PARTS)}; all without")
    names = parser.parse_args().parts or list(PARTS)
    if unknown := [name for name in names if name not in PARTS]:
        parser.error(f"unknown part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    console, store = Console(width=200), Store(find_home())
    kept: list[dict[str, Any]] = json.loads(store.read("bench/data.json")) if store.exists("bench/data.json") else []
    for name in names:
        if name == "sets" and not SHARED.is_dir():
            console.print(f"{name}: left out, the shared data sets are not here")
            continue
        with console.status(f"measuring {name}"):
            rows = [{"part": name, **row} for row in PARTS[name]()]
        _show(console, name, rows)
        kept = [row for row in kept if row["part"] != name] + rows
        store.write("bench/data.json", json.dumps(kept, indent=1).encode())


def _show(console: Console, name: str, rows: list[dict[str, Any]]) -> None:
    columns = list(dict.fromkeys(key for row in rows for key in row if key not in {"part", "what"}))
    table = Table(title=name, title_justify="left")
    for column in columns:
        table.add_column(column)
    for row in rows:
        table.add_row(*(_cell(row.get(column, "")) for column in columns))
    console.print(table)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.3g}" if abs(value) < 100 else f"{value:,.0f}"
    if isinstance(value, dict):
        return " ".join(f"{key} {number:,}" for key, number in value.items())
    return f"{value:,}" if isinstance(value, int) else str(value)


if __name__ == "__main__":
    main()
