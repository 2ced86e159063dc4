"""A state that an older version wrote still opens: it is read, judged on, and retrained from.

`states/5114db2.tar.xz` is what commit 5114db2 wrote for the line `tiny`: two accepted batches and a blocked one, two
retrains, two releases. Without Dagster's own history, pages, keys and the repository, which are made anew.
"""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import pytest

from assets.compilation.documents import Engines
from assets.compression.documents import Candidates, ChosenModel
from assets.ingest.landing import land
from assets.line.config import parse_line
from assets.quality.gate import judge
from assets.records.dataset import DatasetVersion
from assets.records.line_store import BoundLine, bind
from assets.release.documents import ReleaseRecord, RolloutRecord
from assets.release.published import releases
from assets.review.held import find_rows, held_batches
from assets.storage.audit import AuditLog
from assets.storage.store import Store
from assets.training.dataset import build_dataset
from assets.training.documents import TrainedModel
from assets.training.previous_model import model_in_use
from assets.training.train import train
from assets.training.triggers.claims import claim_journal
from edge.contracts import digest
from tests.projects import TINY, write_points

STATES = Path(__file__).parent / "states"


@pytest.fixture
def line(tmp_path: Path) -> BoundLine:
    with tarfile.open(STATES / "5114db2.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    return bind(Store(str(tmp_path / ".edgeloop")), parse_line("tiny", TINY, "test"))


def test_every_document_is_read(line: BoundLine) -> None:
    accepted = [entry.batch for _, entry in line.accepted_batches()]
    verdicts = [line.verdict(landing.batch) for _, landing in line.landings().after(0)]
    assert [verdict.state for verdict in verdicts if verdict] == ["accepted", "accepted", "blocked"]
    assert [verdict.batch for verdict in verdicts[:2] if verdict] == accepted
    (blocked,) = held_batches(line)
    assert (blocked.quarantined, len(find_rows(line.store, blocked, ""))) == (10, 10)

    dataset, teacher = line.newest(DatasetVersion), line.newest(TrainedModel)
    assert dataset.batches == tuple(accepted)
    assert teacher.dataset == digest(dataset)
    assert line.dataset(teacher.dataset) == dataset
    candidates, chosen, engines = line.newest(Candidates), line.newest(ChosenModel), line.newest(Engines)
    assert candidates.candidates
    assert chosen.dataset == engines.dataset == teacher.dataset
    release, rollout = line.newest(ReleaseRecord), line.newest(RolloutRecord)
    assert rollout.release == release.release
    assert release.manifest.provenance.teacher == teacher.onnx.sha256
    assert [one.sequence for one in releases(line)] == [1, 2]
    assert [claim.batches for _, claim in claim_journal(line).after(0)] == [(batch,) for batch in accepted]
    assert line.store.intact(teacher.onnx)
    assert len(list(line.results(TrainedModel))) == 2
    found = AuditLog(line.store).verify()
    assert (found.broken_at, found.entries) == (None, 6)


def test_a_new_batch_is_judged_beside_the_old_ones_and_a_retrain_is_held_against_the_model_in_use(
    line: BoundLine, tmp_path: Path
) -> None:
    assert not land(line, write_points(tmp_path / "again" / "points.csv", seed=1)).new
    landed = land(line, write_points(tmp_path / "more" / "points.csv", seed=4))
    verdict = judge(line, landed.batch)
    assert (verdict.state, verdict.new) == ("accepted", 60)
    dataset = build_dataset(line)
    assert sum(dataset.splits.values()) == 180

    before: Any = model_in_use(line)
    assert before.onnx == line.newest(TrainedModel).onnx
    told: list[str] = []
    model = train(line, dataset, told.append)
    assert model.position == 3
    assert any("against the model in use" in text for text in told)
