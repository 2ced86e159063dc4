"""A real daemon, really killed: no batch lost, none trained on twice."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets.ingest.landing import land
from assets.line.config import Line
from assets.records.line_store import LineStore, bind
from assets.release.published import releases
from assets.training.triggers.claims import CLAIM_TAG, claim_journal
from tests.projects import BIN, TINY, Project, make_project, write_points

WAIT_SECONDS = 280


class Daemon:
    """`dagster-daemon run` that can be killed and started again."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._log = (project.root / "daemon.log").open("ab")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, str(BIN / "dagster-daemon"), "run", "-w", str(self._project.root / "workspace.yaml")]
        self._process = subprocess.Popen(
            command,
            cwd=self._project.root,
            env=self._project.environment,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def kill(self, *, with_children: bool) -> None:
        """kill -9, of the daemon alone or of everything it started, as a power cut would."""
        assert self._process is not None
        if with_children:
            os.killpg(self._process.pid, signal.SIGKILL)
        else:
            self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)
            try:
                self._process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
        self._log.close()


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    made = make_project(tmp_path / "project")
    yield made
    shutil.rmtree(made.root, ignore_errors=True)


def _instance(project: Project) -> dg.DagsterInstance:
    return dg.DagsterInstance.from_config(str(project.root / ".edgeloop" / "dagster"))


def _trained_on(project: Project, line: Line, instance: dg.DagsterInstance) -> Counter[str]:
    """How many successful retrains each batch was in."""
    done: Counter[str] = Counter()
    for _, claim in claim_journal(LineStore(project.store, line.name)).after(0):
        runs = instance.get_runs(filters=dg.RunsFilter(tags={CLAIM_TAG: claim.run_key}))
        for run in runs:
            if run.is_success:
                done.update(claim.batches)
    return done


def _wait(project: Project, line: Line, instance: dg.DagsterInstance, batches: list[str]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while set(_trained_on(project, line, instance)) != set(batches):
        assert time.monotonic() < deadline, (project.root / "daemon.log").read_text()[-6000:]
        time.sleep(1)


def _retrains(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    runs = instance.get_runs(filters=dg.RunsFilter(job_name="tiny_retrain"))
    return [run for run in runs if run.is_success]


def _assert_each_release_is_of_its_claim(project: Project, line: Line) -> None:
    """Every claim that was carried out made one release, of the batches up to its last and no others."""
    order = [entry.batch for _, entry in LineStore(project.store, line.name).accepted_batches()]
    claims = [claim for _, claim in claim_journal(LineStore(project.store, line.name)).after(0)]
    expected = {tuple(order[: order.index(claim.batches[-1]) + 1]) for claim in claims}
    assert {record.manifest.provenance.batches for record in releases(LineStore(project.store, line.name))} == expected


def land_and_kill(project: Project, retrain: dict[str, Any], landings: int, kills: int) -> tuple[int, int]:
    """Land batches while the daemon is killed again and again; returns (successful retrains, all retrain runs)."""
    line = project.add_line("tiny", {**TINY, "retrain": {"max_retries": 10, **retrain}})
    draw = random.Random(7)
    daemon, store, batches = Daemon(project), project.store, []
    kill_after = set(draw.sample(range(landings), kills))
    with _instance(project) as instance:
        instance.get_runs(limit=1)  # its databases are made before another process opens them
        daemon.start()
        try:
            for number in range(landings):
                source = write_points(project.root / "data" / f"{number}.csv", seed=number)
                landed = land(bind(store, line), source)
                assert landed.new
                assert not land(bind(store, line), source).new, "landing the same file twice is the same batch"
                batches.append(landed.batch)
                time.sleep(draw.uniform(0.5, 3))
                if number in kill_after:
                    daemon.kill(with_children=draw.random() < 0.5)
                    daemon.start()
            _wait(project, line, instance, batches)
        finally:
            daemon.stop()
        assert all(LineStore(store, line.name).verdict(batch) for batch in batches)
        assert sorted(entry.batch for _, entry in LineStore(store, line.name).accepted_batches()) == sorted(batches)
        assert _trained_on(project, line, instance) == Counter(batches)
        _assert_each_release_is_of_its_claim(project, line)
        every = instance.get_runs(filters=dg.RunsFilter(job_name="tiny_retrain"))
        return len(_retrains(instance)), len(every)


@pytest.mark.timeout(3600)
def test_killed_daemon_loses_and_repeats_nothing(project: Project) -> None:
    retrains, _ = land_and_kill(project, {"cooldown_minutes": 0.25}, landings=4, kills=2)
    assert 1 <= retrains < 4, "what waits through a cool-down is trained on together"
