"""Remembered steps: never paid for twice, never trusted when what they made is gone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from assets.records.line_store import LineStore
from assets.storage.store import Store
from edge.contracts import ArtifactRef, document


@document("edgeloop.dataset")
@dataclass(frozen=True)
class Result:
    position: int
    files: tuple[ArtifactRef, ...]


class Step:
    """Makes a result with one artifact, and counts how often."""

    def __init__(self, store: Store) -> None:
        self.store, self.made = store, 0

    def make(self, position: int) -> Callable[[], Result]:
        def made() -> Result:
            self.made += 1
            return Result(position, (self.store.put("x", f"bytes {position}".encode(), "json", ".json"),))

        return made

    def run(self, position: int, *inputs: str) -> tuple[Result, bool]:
        return LineStore(self.store, "x").cached_step(inputs, Result, self.make(position))


@pytest.fixture
def step(tmp_path: Path) -> Step:
    return Step(Store(str(tmp_path)))


def test_the_same_inputs_are_paid_for_once(step: Step) -> None:
    assert [step.run(1, "a")[1], step.run(1, "a")[1], step.run(1, "b")[1]] == [False, True, False]
    assert step.made == 2


def test_inputs_do_not_run_into_each_other(step: Step) -> None:
    step.run(1, "ab", "c")
    step.run(1, "a", "bc")
    assert step.made == 2


@pytest.mark.parametrize("damage", ["lost", "changed", "unreadable"])
def test_damaged_results_are_made_again(step: Step, damage: str) -> None:
    result, _ = step.run(1, "a")
    path = Path(step.store.path(result.files[0].uri))
    if damage == "lost":
        path.unlink()
    elif damage == "changed":
        path.write_bytes(b"bytes X")
    else:
        (memory,) = Path(step.store.path("store/x/steps/dataset")).iterdir()
        memory.write_bytes(b"{")
    assert step.run(1, "a") == (result, False)
    assert step.store.fetch(result.files[0]) == b"bytes 1"
    assert step.run(1, "a") == (result, True)


def test_an_older_result_never_replaces_a_newer_head(step: Step) -> None:
    step.run(2, "new")
    step.run(1, "old")
    assert step.store.newest("x", Result).position == 2


def test_results_of_another_version_are_left_out(step: Step) -> None:
    made = {step.run(position, name)[0] for position, name in ((1, "a"), (2, "b"))}
    step.store.write("store/x/steps/dataset/later.json", b'{"type": "edgeloop.dataset", "version": "9.0"}')
    assert set(LineStore(step.store, "x").results(Result)) == made
    assert list(LineStore(step.store, "y").results(Result)) == []
