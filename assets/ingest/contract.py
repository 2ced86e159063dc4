"""What a landed batch is, and how its records are read. Other rooms enter here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from assets.line.config import Line
from assets.line.data import DataContract
from assets.records.reason import Reason
from assets.records.record import Record
from assets.storage.store import Store
from edge.contracts import ArtifactRef

if TYPE_CHECKING:
    import pyarrow as pa


def read_chunks(store: Store, line: Line, batch: str) -> Iterator[pa.Table | Reason]:
    """The records of a landed batch as tables of bounded size, and a reason for each thing that is not a record.

    Records come in the order of the manifest; the tables' columns are those of `assets.records.chunks.chunk_schema`.
    Every file's size and SHA-256 is checked against the manifest before it is read.

    Raises:
        LandingError: no such batch is ready, or its manifest or a file of it was changed or lost since; landing the
            same source again repairs that.
    """
    from assets.ingest.reading import read_landed

    return read_landed(store, line, batch)


def make_record(
    data: DataContract, stored: bytes, label: str, split: str, file: str, group: str, time: float | None
) -> Record:
    """The record that stored bytes (see `Record.input`) are, its id and facts made anew.

    Raises:
        RejectedError: they are no such input; "reason; remedy".
    """
    from assets.readers import record_maker

    return record_maker(data)(stored, label, split, file, group, time, data)


def is_landed(store: Store, line: str, batch: str) -> bool:
    """Whether a batch is ready in the landing zone and listed in its journal."""
    from assets.errors import LandingError
    from assets.ingest.landing import find_landing

    try:
        find_landing(store, line, batch)
    except LandingError:
        return False
    return True


def returned_batch(line: Line, files: Sequence[ArtifactRef]) -> str:
    """The id of the batch that `land_returned` makes of these files."""
    from assets.ingest.returning import batch_of

    return batch_of(line, files)


def land_returned(store: Store, line: Line, files: Sequence[ArtifactRef]) -> str:
    """Land Parquets of records (columns `assets.records.record.RECORD_COLUMNS`) as one batch; returns its id.

    The same files are the same batch: landing them again completes what a kill cut short, and changes nothing else.

    Raises:
        VerificationError: a file is missing or was changed.
        LandingError: the batch is too large.
        TransientError: the landing zone cannot be written, e.g. its disk is full.
    """
    from assets.ingest.returning import land_files

    return land_files(store, line, files)


def erase_landed(
    store: Store, line: Line, batch: str, records: Mapping[str, bytes], ids: frozenset[str]
) -> tuple[str, ...]:
    """Take records out of a landed batch's files, for good; see `assets.ingest.privacy.erasing.erase`."""
    from assets.ingest.privacy.erasing import erase

    return erase(store, line, batch, records, ids)


def without_content(records: bytes, ids: frozenset[str]) -> bytes:
    """A Parquet of records in which these have no content; see `assets.ingest.privacy.blanking.blank_rows`."""
    from assets.ingest.privacy.blanking import blank_rows

    return blank_rows(records, ids)
