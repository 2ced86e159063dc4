"""The kill, full-disk and two-process tests, run once more and listed: each one's result, seconds and what it shows."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from tests.projects import ROOT

TESTS = ("tests/assets/fitting/test_processes.py", "tests/assets/fitting/test_checkpoints.py")
LIMIT_SECONDS = 600


def measure() -> list[dict[str, Any]]:
    """One row per test; value 1 where it passed."""
    with tempfile.TemporaryDirectory(prefix="bench-proofs-") as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", *TESTS]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=LIMIT_SECONDS)
        if not report.exists():
            raise RuntimeError(f"pytest ended with {done.returncode}: {done.stdout[-600:]}{done.stderr[-600:]}")
        cases = ElementTree.parse(report).getroot().iter("testcase")
        return [_row(case) for case in cases]


def _row(case: ElementTree.Element) -> dict[str, Any]:
    passed = all(case.find(kind) is None for kind in ("failure", "error", "skipped"))
    return {
        "line": case.get("classname", "").rpartition(".")[2],
        "metric": case.get("name", "").removeprefix("test_").replace("_", " "),
        "value": float(passed),
        "minutes": float(case.get("time", 0)) / 60,
        "target": 1.0,
        "better": "higher",
        "reached": passed,
    }
