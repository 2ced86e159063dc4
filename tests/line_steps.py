"""The steps of a line in one process, as tests and benchmarks call them: the very functions that the assets run."""

from __future__ import annotations

from pathlib import Path

from assets.ingest.landing import land
from assets.ingest.user_source import land_user_source
from assets.quality.gate import judge
from assets.records.dataset import DatasetVersion
from assets.records.line_store import BoundLine
from assets.records.verdict import BatchVerdict
from assets.storage import layout
from assets.training.dataset import build_dataset
from edge.contracts import digest


def accepted(line: BoundLine, source: Path | None = None) -> BatchVerdict:
    """Land a source, or what the line's own function writes, and judge it. Raises AssertionError: it is blocked."""
    landed = land_user_source(line) if source is None else land(line, source)
    verdict = judge(line, landed.batch)
    assert verdict.state == "accepted", f"{line.name}: {verdict.why} {verdict.reasons[:3]}"
    return verdict


def dataset_of(line: BoundLine) -> DatasetVersion:
    """Make a dataset version of what was accepted, and keep it where later steps find it."""
    version = build_dataset(line)
    line.store.save(layout.dataset(line.name, digest(version)), version)
    line.set_newest(version)
    return version
