"""Lands records that come back, e.g. corrected ones from quarantine, as a batch of their own."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from assets.errors import LandingError
from assets.ingest.contract import BatchManifest, LandedFile
from assets.ingest.landing import find_landing, land
from assets.line import Line
from assets.store import Store
from edge.contracts import ArtifactRef, digest


def batch_of(line: Line, files: Sequence[ArtifactRef]) -> str:
    """See `assets.ingest.contract.returned_batch`."""
    declared = [LandedFile(_name(ref), ref.sha256, ref.size) for ref in files]
    return digest(BatchManifest(line.name, tuple(sorted(declared, key=lambda file: file.path))))


def land_files(store: Store, line: Line, files: Sequence[ArtifactRef]) -> str:
    """See `assets.ingest.contract.land_returned`."""
    batch = batch_of(line, files)
    try:
        return find_landing(store, line.name, batch).batch
    except LandingError:
        pass  # not landed yet, or cut short
    with tempfile.TemporaryDirectory(prefix="edgeloop-return-") as folder:
        for ref in files:
            Path(folder, _name(ref)).write_bytes(store.fetch(ref))
        landed = land(store, line, folder).batch
    assert landed == batch, "the landing zone names a batch by its manifest"
    return batch


def _name(ref: ArtifactRef) -> str:
    return f"returned-{ref.sha256[:16]}.records.parquet"
