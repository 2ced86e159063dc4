"""What a landed batch is, and how its records are read. Other rooms enter here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from assets.data import DataContract
from assets.journal import Journal
from assets.line import Line
from assets.quality.contract import Reason
from assets.store import Store
from edge.contracts import ArtifactRef, check_key, check_sha256, document

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class LandedFile:
    """One plain file of a batch; `path` is relative to the batch's `files/` folder, with forward slashes."""

    path: str
    sha256: str
    size: int

    def __post_init__(self) -> None:
        check_key(self.path)
        check_sha256(self.sha256)
        if self.size < 0:
            raise ValueError(f"size {self.size} is negative")


@dataclass(frozen=True)
class LeftOut:
    """What lay in the source and did not land; it counts as refused, so that nothing is lost without a word."""

    path: str
    reason: str
    remedy: str


@document("edgeloop.batch_manifest")
@dataclass(frozen=True)
class BatchManifest:
    """Declares a batch; its SHA-256 is the batch's id, so it holds no time, and the same files are the same batch."""

    line: str
    files: tuple[LandedFile, ...]
    left_out: tuple[LeftOut, ...] = ()


@document("edgeloop.landing")
@dataclass(frozen=True)
class Landing:
    """An entry of a line's landing journal: batch `batch` is ready in folder `landing/<line>/<drop>/`.

    Attributes:
        drop: the folder's name, chosen by whoever landed it.
        time: seconds since 1970, when it was noticed.
        again: "" for the first entry. Where landing a known batch again gave a reason to judge it anew (damaged files
            were replaced, or it was blocked under rules that have changed), what tells this occasion from others.
    """

    batch: str
    drop: str
    time: float
    again: str = ""

    def __post_init__(self) -> None:
        check_sha256(self.batch)
        check_key(self.drop)


@dataclass(frozen=True)
class Record:
    """One record as a reader found it, sound or not: the gate judges it.

    Attributes:
        id: SHA-256 (hex) of the input without the label: decoded pixels with their shape, a row's values (of a series
            with its unit and time), a text's characters, a sound's samples.
        label: as written in the source (aliases resolved); "" where it is missing. A number to predict as its text.
        split: "train", "validation" or "test" where the source declares it, else "".
        file: path in the batch, with `#line` for records that are part of a file.
        input: what is stored and trained on: a picture's or sound's file bytes, a text in UTF-8, or a row's values as
            little-endian float64 in the contract's order (a category as its position; NaN where a cell has no value).
        group: records of one group (unit, patient) are on the same side; "" where each is on its own.
        time: of a series: its position in time, a number as given, or seconds since 1970; None elsewhere.
        facts: what the gate's table shows of it, by the names of `assets.chunks.fact_fields`.
        notes: input column to why its cell has no value.
        embedding: (k,) float32, where pictures, sounds and texts lie near each other when they are alike.
        phash: 64 bits that hardly change when a picture is compressed, resized or blurred; None for other records.
    """

    id: str
    label: str
    split: str
    file: str
    input: bytes
    group: str = ""
    time: float | None = None
    facts: Mapping[str, float | str | None] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
    embedding: NDArray[np.float32] | None = None
    phash: int | None = None


def landing_journal(store: Store, line: str) -> Journal[Landing]:
    """The journal that `new_batch_sensor` reads; positions are its cursor."""
    return Journal(store, f"landing/{line}/.journal", Landing)


def read_chunks(store: Store, line: Line, batch: str) -> Iterator[pa.Table | Reason]:
    """The records of a landed batch as tables of bounded size, and a reason for each thing that is not a record.

    Records come in the order of the manifest; the tables' columns are those of `assets.chunks.chunk_schema`.
    Every file's size and SHA-256 is checked against the manifest before it is read.

    Raises:
        LandingError: no such batch is ready, or its manifest or a file of it was changed or lost since; landing the
            same source again repairs that.
    """
    from assets.ingest.readers import read_landed

    return read_landed(store, line, batch)


def make_record(
    data: DataContract, stored: bytes, label: str, split: str, file: str, group: str, time: float | None
) -> Record:
    """The record that stored bytes (see `Record.input`) are, its id and facts made anew.

    Raises:
        RejectedError: they are no such input; "reason; remedy".
    """
    from assets.ingest.readers import record_maker

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
    """Land Parquets of records (columns `assets.quality.contract.RECORD_COLUMNS`) as one batch; returns its id.

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
