"""`make bench`: run all benchmarks or the named ones; prints a table each and writes `.edgeloop/bench/<name>.json`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.table import Table

from assets.storage.store import Store
from platform_defs.home import find_home
from tests.benchmarks import automation, journal, loading, quantization, round_trip

BENCHMARKS: dict[str, Callable[[], list[dict[str, Any]]]] = {
    "loading": loading.measure,
    "journal": journal.measure,
    "quantization": quantization.measure,
    "automation": automation.measure,
    "round_trip": round_trip.measure,
}


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"any of {', '.join(BENCHMARKS)}; all without")
    names = parser.parse_args().names or list(BENCHMARKS)
    if unknown := [name for name in names if name not in BENCHMARKS]:
        parser.error(f"unknown benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    console, store = Console(), Store(find_home())
    for name in names:
        with console.status(f"measuring {name}"):
            rows = BENCHMARKS[name]()
        table = Table(title=name, title_justify="left")
        for column in rows[0]:
            table.add_column(column)
        for row in rows:
            table.add_row(*(f"{value:.4g}" if isinstance(value, float) else str(value) for value in row.values()))
        console.print(table)
        store.write(f"bench/{name}.json", json.dumps(rows, indent=2).encode())


if __name__ == "__main__":
    main()
