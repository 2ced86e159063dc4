"""Reads a landed batch: every file checked against the manifest, records in tables of bounded size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from assets.line.config import Line
from assets.readers import read_items
from assets.readers.files import BatchFiles
from assets.records.reason import Reason
from assets.storage import layout
from assets.storage.store import Store

if TYPE_CHECKING:
    import pyarrow as pa


def read_landed(store: Store, line: Line, batch: str) -> Iterator[pa.Table | Reason]:
    """See `assets.ingest.contract.read_chunks`."""
    from assets.ingest.landing import find_landing, load_manifest
    from assets.ingest.privacy.erased import as_it_is, load_erased, without_erased
    from assets.ingest.privacy.guard import GuardedFiles
    from assets.records.chunks import chunked

    landing = find_landing(store, line.name, batch)
    manifest = load_manifest(store, line.name, landing.drop, batch)
    data = line.config.data
    landed = BatchFiles(store, layout.landed_files(line.name, landing.drop))
    source = GuardedFiles(landed, store, line, landing.drop)
    erased = load_erased(store, line.name, landing.drop)
    manifest = as_it_is(store, line.name, landing.drop, manifest, erased)
    return chunked(without_erased(read_items(manifest, source, data), erased.places()), data)
