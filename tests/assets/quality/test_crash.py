"""`kill -9` at any moment of landing, picking up, judging and quarantining loses nothing and repeats nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def kill(what: str, folder: Path, *numbers: int, timeout: float = 290) -> dict[str, Any]:
    """Run `killing` in a process of its own; what it found."""
    command = [sys.executable, "-m", "tests.assets.quality.killing", what, str(folder), *map(str, numbers)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert found["wrong"] == [], done.stderr
    return found


@pytest.mark.parametrize(("what", "first"), [("land", 40), ("inbox", 40), ("aside", 40)])
def test_killed_while_landing(tmp_path: Path, what: str, first: int) -> None:
    """At most changes from the manifest on, where a batch becomes ready, is listed and is taken out of the inbox."""
    found = kill(what, tmp_path, first, 1, 3)
    assert any("/.journal/" in place for place in found["places"]), found["places"]


def test_killed_while_judging(tmp_path: Path) -> None:
    assert kill("judge", tmp_path, 90, 45, 1)["killed"] >= 3


def test_four_who_land_and_judge_at_once_make_one_batch(tmp_path: Path) -> None:
    kill("together", tmp_path, 2)


@pytest.mark.nightly
@pytest.mark.parametrize(("what", "least"), [("land", 60), ("inbox", 60), ("aside", 60), ("judge", 150)])
def test_killed_before_every_change_and_at_fifty_random_moments(tmp_path: Path, what: str, least: int) -> None:
    found = kill(what, tmp_path, 1, 1, 70, timeout=3000)
    assert found["killed"] >= least
    assert any("/.journal/" in place for place in found["places"]), "also between manifest and journal"


@pytest.mark.nightly
def test_four_at_once_again_and_again(tmp_path: Path) -> None:
    kill("together", tmp_path, 40, timeout=1200)
