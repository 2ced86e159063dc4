"""Lands records that come back, e.g. corrected ones from quarantine, as a batch of their own."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import partial
from typing import BinaryIO

from assets.errors import LandingError
from assets.ingest.copying import Taking
from assets.ingest.landing import find_landing, land_collected
from assets.ingest.sources.collecting import Collected, SourceFile
from assets.line.config import Line
from assets.records.batch import BatchManifest, LandedFile
from assets.records.forgotten import current
from assets.records.limits import RETURNED_SUFFIX
from assets.records.line_store import BoundLine
from assets.storage.store import Store
from edge.contracts import ArtifactRef, digest


def returned_batch(line: Line, files: Sequence[ArtifactRef]) -> str:
    """The id of the batch that `land_returned` makes of these files."""
    declared = [LandedFile(_name(ref), ref.sha256, ref.size) for ref in _ordered(files)]
    return digest(BatchManifest(line.name, tuple(declared)))


def land_returned(line: BoundLine, files: Sequence[ArtifactRef]) -> str:
    """Land Parquets of records (columns `assets.records.record.RECORD_COLUMNS`) as one batch; returns its id.

    The same files are the same batch: landing them again completes what a kill cut short, and changes nothing else.
    A file that a record was forgotten in lands as it is now.

    Raises:
        VerificationError: a file is missing or was changed.
        LandingError: the batch is too large.
        TransientError: the landing zone cannot be written, e.g. its disk is full.
    """
    try:
        return find_landing(line, returned_batch(line.line, files)).batch
    except LandingError:
        refs = _ordered([current(line.store, ref) for ref in files])
    found = [SourceFile(_name(ref), ref.size, partial(_open, line.store, ref)) for ref in refs]
    return land_collected(line, Collected(found, []), Taking(f"{len(found)} files of records that return")).batch


def _open(store: Store, ref: ArtifactRef) -> BinaryIO:
    return io.BytesIO(store.fetch(ref))


def _ordered(files: Sequence[ArtifactRef]) -> list[ArtifactRef]:
    return sorted(files, key=_name)


def _name(ref: ArtifactRef) -> str:
    return f"returned-{ref.sha256[:16]}{RETURNED_SUFFIX}"
