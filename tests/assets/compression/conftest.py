"""Makes one small teacher with its candidates for all tests here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from assets.compression.documents import Candidates
from assets.line.config import Line
from assets.records.dataset import DatasetVersion
from assets.records.line_store import LineStore, bind
from assets.storage.store import Store
from assets.training.documents import TrainedModel


@dataclass(frozen=True)
class Made:
    """A line that was trained and searched, small."""

    store: Store
    line: Line
    dataset: DatasetVersion
    model: TrainedModel
    found: Candidates
    reports: list[str]


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """A teacher on 500 digits and its candidates."""
    from assets.compression.search import search
    from assets.compression.subject import open_subject
    from assets.training.dataset import build_dataset
    from assets.training.train import train
    from tests.assets.accepted_records import accept, digit_records, digits_line

    store, line = Store(str(tmp_path_factory.mktemp("made"))), digits_line()
    accept(LineStore(store, "digits"), digit_records(range(500)), "a" * 64)
    dataset = build_dataset(bind(store, line))
    reports: list[str] = []
    model = train(bind(store, line), dataset, reports.append)
    found = search(open_subject(bind(store, line), dataset, model, reports.append))
    yield Made(store, line, dataset, model, found, reports)
