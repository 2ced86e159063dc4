"""Reads a landed batch: every file checked against the manifest, records in tables of bounded size."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from assets.ingest.landing import find_landing, load_manifest
from assets.ingest.privacy.erased import as_it_is, load_erased, without_erased
from assets.ingest.privacy.guard import GuardedFiles
from assets.readers.dispatch import read_batch
from assets.readers.files import BatchFiles
from assets.records.chunks import chunked
from assets.records.line_store import BoundLine
from assets.records.reason import Reason
from assets.storage import layout


def read_landed(line: BoundLine, batch: str) -> Iterator[pa.Table | Reason]:
    """The records of a landed batch as tables of bounded size, and a reason for each thing that is not a record.

    Records come in the order of the manifest; the tables' columns are those of `assets.records.chunks.chunk_schema`.
    Every file's size and SHA-256 is checked against the manifest before it is read.

    Raises:
        LandingError: no such batch is ready, or its manifest or a file of it was changed or lost since; landing the
            same source again repairs that.
    """
    landing = find_landing(line, batch)
    manifest = load_manifest(line, landing.drop, batch)
    data = line.config.data
    landed = BatchFiles(line.store, layout.landed_files(line.name, landing.drop))
    source = GuardedFiles(landed, line, landing.drop)
    erased = load_erased(line, landing.drop)
    manifest = as_it_is(line, landing.drop, manifest, erased)
    return chunked(without_erased(read_batch(manifest, source, data, line.forms()), erased.places()), data)
