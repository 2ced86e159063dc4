"""The steps of a line in one process, as tests and benchmarks call them: the very functions that the assets run."""

from __future__ import annotations

from pathlib import Path

from assets.ingest.landing import land
from assets.ingest.user_source import land_user_source
from assets.line.config import Line
from assets.quality.gate import judge
from assets.records.dataset import DatasetVersion
from assets.records.verdict import BatchVerdict
from assets.storage import layout
from assets.storage.store import Store
from assets.training.dataset import build_dataset
from edge.contracts import digest


def accepted(store: Store, line: Line, source: Path | None = None) -> BatchVerdict:
    """Land a source, or what the line's own function writes, and judge it. Raises AssertionError: it is blocked."""
    landed = land_user_source(store, line) if source is None else land(store, line, source)
    verdict = judge(store, line, landed.batch)
    assert verdict.state == "accepted", f"{line.name}: {verdict.why} {verdict.reasons[:3]}"
    return verdict


def dataset_of(store: Store, line: Line) -> DatasetVersion:
    """Make a dataset version of what was accepted, and keep it where later steps find it."""
    version = build_dataset(store, line)
    store.save(layout.dataset(line.name, digest(version)), version)
    store.set_newest(line.name, version)
    return version
