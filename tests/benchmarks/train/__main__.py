"""`make bench-train`: tables, and flat rows in `.edgeloop/bench/train.json`. LINES, SEEDS and PARTS limit it."""

from __future__ import annotations

import argparse
import importlib
import json
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from assets.storage.store import Store
from platform_defs.home import find_home
from tests.benchmarks.train import lines
from tests.benchmarks.train.asked import LINES
from tests.shared_sets import SHARED

PARTS = ("lines", "throughput", "loader", "proofs", "warm_start")
RESULT = "bench/train.json"
HIDDEN = {"part", "reached", "target", "better"}


def main() -> None:
    """Run what was asked for; a line or part that is run anew replaces its old rows."""
    parser = argparse.ArgumentParser(prog="make bench-train", description=__doc__)
    parser.add_argument("--lines", nargs="*", default=[], help=f"any of {', '.join(LINES)}; all without")
    parser.add_argument("--seeds", type=int, help="trainings of each line; without, three of the four fastest")
    parser.add_argument("--parts", nargs="*", default=[], help=f"any of {', '.join(PARTS)}; all without")
    asked = parser.parse_args()
    # A limit to lines is one to the part that trains them.
    parts = asked.parts or (["lines"] if asked.lines else list(PARTS))
    for kind, names, known in (("line", asked.lines, LINES), ("part", parts, PARTS)):
        if unknown := [name for name in names if name not in known]:
            parser.error(f"unknown {kind} {', '.join(unknown)}; there are {', '.join(known)}")
    bench, began = _Bench(), time.monotonic()
    for part in parts:
        if part == "lines":
            bench.run_lines(asked.lines or list(LINES), asked.seeds)
        else:
            bench.run_part(part)
    bench.console.print(f"{(time.monotonic() - began) / 60:.1f} minutes in all; rows in {bench.store.path(RESULT)}")


class _Bench:
    """The rows so far, kept after each line and each part, so that a kill loses one of them only."""

    def __init__(self) -> None:
        self.console, self.store = Console(width=180), Store(find_home())
        kept = json.loads(self.store.read(RESULT)) if self.store.exists(RESULT) else []
        self._rows: list[dict[str, Any]] = kept

    def run_lines(self, names: Iterable[str], seeds: int | None) -> None:
        """Train each line; those whose data are not here are left out, and said so."""
        here = []
        for name in names:
            source = LINES[name].source
            if source is None or (SHARED / source).exists():
                here.append(name)
            else:
                self.console.print(f"{name}: left out, its data are not in {SHARED}")
        found = lines.measure(here, seeds)
        for name in here:
            with self.console.status(f"training {name}"):
                _, rows = next(found)
            self._keep([{"part": "lines", **row} for row in rows], {"part": "lines", "line": name})
            self._show(name, rows)

    def run_part(self, part: str) -> None:
        """Run another part, a module with `measure() -> rows`."""
        measure: Callable[[], list[dict[str, Any]]] = importlib.import_module(f"tests.benchmarks.train.{part}").measure
        with self.console.status(f"measuring {part}"):
            try:
                rows = measure()
            except Exception as error:  # one part's failure is a row, not the end
                rows = [{"line": part, "metric": "failed", "value": None, "note": f"{type(error).__name__}: {error}"}]
        self._keep([{"part": part, **row} for row in rows], {"part": part})
        self._show(part, rows)

    def _keep(self, rows: list[dict[str, Any]], replaced: Mapping[str, str]) -> None:
        """Write `rows` in place of those that are about the same."""
        self._rows = [row for row in self._rows if any(row.get(key) != value for key, value in replaced.items())]
        self._rows += rows
        self.store.write(RESULT, json.dumps(self._rows, indent=1).encode())

    def _show(self, title: str, rows: list[dict[str, Any]]) -> None:
        columns = [
            name
            for name in dict.fromkeys(key for row in rows for key in row)
            if name not in HIDDEN and any(row.get(name) not in {None, ""} for row in rows)
        ]
        table = Table(title=title, title_justify="left")
        for column in [*columns, "asked"]:
            table.add_column(column.replace("_", " "), overflow="fold")
        for row in rows:
            table.add_row(*(_cell(row.get(column)) for column in columns), _asked(row))
        self.console.print(table)


def _asked(row: Mapping[str, Any]) -> str:
    if row.get("target") is None:
        return ""
    sign = ">=" if row.get("better", "higher") == "higher" else "<="
    return f"{sign} {row['target']:g}{'' if row.get('reached', True) else '  MISSED'}"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


if __name__ == "__main__":
    main()
