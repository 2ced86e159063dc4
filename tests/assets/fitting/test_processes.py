"""Trainings in processes of their own, as the platform starts them: killed, and shared by two.

All of them run at once, because each spends most of its time importing.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from assets.storage.store import Store
from tests.assets.fitting.toy_training import SLOWLY, Seen, difference, network, place, read, run, weights_difference

HERE = Path(__file__).parent
WAIT_SECONDS = 280
"""Eight processes load torch at once here, on machines that may have little time for them."""
pytestmark = pytest.mark.timeout(3600)
VICTIMS = ("trainer", "supervisor", "parent")


@dataclass(frozen=True)
class Driven:
    """A run of one step in a process of its own."""

    folder: Path
    process: subprocess.Popen[str]

    @property
    def store(self) -> Store:
        return Store(str(self.folder / "state"))

    def pids(self, rank: int = 0) -> tuple[int, int]:
        """The training process, and `torch.distributed.run` above it."""
        path = self.folder / f"pids.{rank}"
        _wait_until(path.exists, f"process {rank} did not start")
        first, second = path.read_text().split()
        return int(first), int(second)

    def end(self) -> str:
        """What it printed, once it has ended."""
        return self.process.communicate(timeout=WAIT_SECONDS)[0]


def _drive(folder: Path, module: str, processes: int, **options: Any) -> Driven:
    folder.mkdir()
    body = json.dumps(options | {"pids": str(folder / "pids"), "out": str(folder / "out")})
    kept = {key: value for key, value in os.environ.items() if key not in {"RANK", "WORLD_SIZE"}}
    environment = kept | {"PYTHONPATH": os.pathsep.join([str(HERE), str(Path.cwd())])}
    command = [sys.executable, str(HERE / "drive.py"), str(folder / "state"), module, str(processes), body]
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
    )
    return Driven(folder, process)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Driven]]:
    folder = tmp_path_factory.mktemp("runs")
    started = {victim: _drive(folder / victim, "toy_training", 1, end="slowly") for victim in VICTIMS}
    started["two"] = _drive(folder / "two", "toy_training", 2, end="train")
    started["refused"] = _drive(folder / "refused", "toy_ranks", 2, end="refuse")
    started["one dies"] = _drive(folder / "one dies", "toy_ranks", 2, end="die")
    yield started
    for driven in started.values():
        driven.process.kill()
        driven.process.communicate()


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _wait_until(true: Any, text: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not true():
        assert time.monotonic() < deadline, text
        time.sleep(0.02)


@pytest.fixture(scope="module")
def killed(runs: dict[str, Driven]) -> dict[str, str]:
    """Each victim, killed as soon as it has written a checkpoint: what its run said."""
    with ThreadPoolExecutor() as threads:
        return dict(zip(VICTIMS, threads.map(lambda victim: _kill(runs[victim], victim), VICTIMS), strict=True))


def _kill(driven: Driven, victim: str) -> str:
    trainer, launcher = driven.pids()
    supervisor = _parent(launcher)
    _wait_until(lambda: place(driven.store).read() is not None, "no checkpoint was written")
    os.kill({"trainer": trainer, "supervisor": supervisor, "parent": driven.process.pid}[victim], signal.SIGKILL)
    said = driven.end()
    _wait_until(lambda: not any(_alive(pid) for pid in (trainer, launcher, supervisor)), "a process was left behind")
    return said


@pytest.mark.parametrize("victim", VICTIMS)
def test_a_killed_training_goes_on_as_if_nothing_had_been(
    runs: dict[str, Driven], killed: dict[str, str], victim: str
) -> None:
    driven, said = runs[victim], killed[victim]
    assert said == "" if victim == "parent" else said.startswith("died: toy_training ended without an answer")
    whole, rest, seen = network(), network(), Seen()
    usual = run(whole, **SLOWLY)
    resumed = run(rest, place=place(driven.store), watch=seen, **SLOWLY)
    assert 0 < resumed.resumed_at < 30
    assert seen.notes[0].startswith("training goes on from its last checkpoint")
    assert difference(usual, resumed) <= 1e-9  # of losses and scores of about 1; in truth they are the same to the bit
    assert weights_difference(whole, rest) <= 1e-9


def test_two_processes_train_what_one_trains(runs: dict[str, Driven]) -> None:
    driven = runs["two"]
    assert driven.end() == "done\n"
    net = network()
    alone = run(net, accumulate=6)
    for rank in (0, 1):
        fitted, weights = read(driven.folder / f"out.{rank}")
        assert difference(alone, fitted) < 1e-5
        assert weights_difference(net, weights) < 1e-6


def test_a_refusal_of_all_is_told_once(runs: dict[str, Driven]) -> None:
    assert runs["refused"].end() == "refused: this cannot be trained; do something else\n"


def test_one_process_that_dies_ends_all_with_an_error(runs: dict[str, Driven]) -> None:
    driven = runs["one dies"]
    pids = [driven.pids(rank)[0] for rank in (0, 1)]
    assert driven.end().startswith("died: toy_ranks ended without an answer")
    assert not any(_alive(pid) for pid in pids)
