"""`kill -9` at any moment of landing, picking up, judging and quarantining loses nothing and repeats nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def kill(what: str, folder: Path, *numbers: int, timeout: float = 300) -> dict[str, Any]:
    """Run `killing` in a process of its own; what it found."""
    command = [sys.executable, "-m", "tests.assets.quality.killing", what, str(folder), *map(str, numbers)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert found["wrong"] == [], done.stderr
    return found


@pytest.mark.parametrize(("what", "least"), [("land", 40), ("inbox", 60), ("aside", 60)])
def test_killed_before_every_change_while_landing(tmp_path: Path, what: str, least: int) -> None:
    found = kill(what, tmp_path, 1, 1, 10)
    assert found["killed"] >= least
    assert any("/.journal/" in place for place in found["places"]), "also between manifest and journal"


def test_killed_while_judging(tmp_path: Path) -> None:
    assert kill("judge", tmp_path, 90, 30, 2)["killed"] >= 4


def test_four_who_land_and_judge_at_once_make_one_batch(tmp_path: Path) -> None:
    kill("together", tmp_path, 3)


@pytest.mark.nightly
def test_killed_before_every_change_and_at_fifty_random_moments(tmp_path: Path) -> None:
    assert kill("judge", tmp_path, 1, 1, 50, timeout=3000)["killed"] >= 150


@pytest.mark.nightly
def test_four_at_once_again_and_again(tmp_path: Path) -> None:
    kill("together", tmp_path, 40, timeout=1200)
