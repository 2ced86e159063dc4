"""A copy of this project in a folder of its own, so that tests may change its lines and kill its daemon."""

from __future__ import annotations

import csv
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from assets.line.config import Line, parse_line
from assets.storage.store import Store

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent

TINY: dict[str, Any] = {
    "description": "Two clouds of points: small enough to train in seconds.",
    "data": {"reader": "csv", "classes": ["low", "high"], "table": {"target": "kind", "columns": ["x1", "x2"]}},
    "quality": {"min_records": 20, "max_bad_share": 0.2},
    "model": {"family": "mlp", "width": 8, "depth": 1},
    "training": {"epochs": 4, "batch_size": 16, "learning_rate": 0.05},
    "compress": {
        "prune": [],
        "distill_epochs": 1,
        "calibration_records": 16,
        "formats": ["int8"],
        "ranges": ["minmax"],
    },
    "budget": {"max_drop": 0.5},
    "targets": ["cpu-x86"],
}

PROMPT = """
import io, json, sys
from contextlib import redirect_stderr, redirect_stdout
from platform_defs.cli.main import main
for line in sys.stdin:
    sys.argv, code = ["edgeloop", *json.loads(line)], 0
    with redirect_stdout(io.StringIO()) as output, redirect_stderr(io.StringIO()) as errors:
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
    print(json.dumps([code, output.getvalue(), errors.getvalue()]), flush=True)
"""
"""Runs one `edgeloop` command after another: most of what a short one costs is to load Dagster."""


@dataclass(frozen=True)
class Prompt:
    """One process in which the commands of a project are run."""

    process: subprocess.Popen[str]

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """What `edgeloop COMMAND` would do and print."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, f"{command} ended the process"
        done = subprocess.CompletedProcess(command, *json.loads(answer))
        assert not check or done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def json(self, *command: str) -> Any:
        """What a command says with `--json`."""
        return json.loads(self.run(*command, "--json").stdout)


@dataclass(frozen=True)
class Project:
    """A checkout-like folder with lines of its own and its own state."""

    root: Path

    @property
    def store(self) -> Store:
        return Store(str(self.root / ".edgeloop"))

    @property
    def environment(self) -> dict[str, str]:
        """For child processes: this project's code first on the path, its state, quick sensors."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("EDGELOOP_", "DAGSTER_"))}
        return {
            **kept,
            "PYTHONPATH": str(self.root),
            "EDGELOOP_HOME": str(self.root / ".edgeloop"),
            "DAGSTER_HOME": str(self.root / ".edgeloop" / "dagster"),
            "EDGELOOP_SENSOR_SECONDS": "1",
        }

    def add_line(self, name: str, attributes: dict[str, Any]) -> Line:
        """Write a line's YAML."""
        path = self.root / "platform_defs" / "lines" / name / "defs.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump({"type": "platform_defs.components.ModelLine", "attributes": attributes}))
        return parse_line(name, attributes, str(path))

    def run(self, *command: str, check: bool = True, timeout: float = 240) -> subprocess.CompletedProcess[str]:
        """Run an installed command in this project."""
        done = subprocess.run(
            [str(BIN / command[0]), *command[1:]],
            cwd=self.root,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )
        assert not check or done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    @contextmanager
    def prompt(self) -> Iterator[Prompt]:
        """A process for the commands that only read or write a little."""
        with subprocess.Popen(
            [sys.executable, "-c", PROMPT],
            cwd=self.root,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            yield Prompt(process)


def make_project(root: Path) -> Project:
    """A copy of the wiring without its lines; `assets` and `edge` are the installed ones."""
    shutil.copytree(
        ROOT / "platform_defs", root / "platform_defs", ignore=shutil.ignore_patterns("__pycache__", "defs.yaml")
    )
    for folder in (root / "platform_defs" / "lines").iterdir():
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    shutil.copytree(ROOT / "infra", root / "infra")
    for name in ("pyproject.toml", "workspace.yaml"):
        shutil.copy(ROOT / name, root / name)
    (root / ".edgeloop" / "dagster").mkdir(parents=True)
    shutil.copy(ROOT / "infra" / "dagster.yaml", root / ".edgeloop" / "dagster" / "dagster.yaml")
    return Project(root)


def write_points(path: Path, seed: int, rows: int = 60) -> Path:
    """A CSV of two clouds of points, different for each seed."""
    draw = random.Random(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["x1", "x2", "kind"])
        for row in range(rows):
            centre, kind = ((-2.0, "low"), (2.0, "high"))[row % 2]
            table.writerow([round(draw.gauss(centre, 1), 6), round(draw.gauss(centre, 1), 6), kind])
    return path
