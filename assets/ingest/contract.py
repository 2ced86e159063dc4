"""What a landed batch is, and how its records are read. Other rooms enter here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from assets.journal import Journal
from assets.line import Line
from assets.quality.contract import Reason
from assets.store import Store
from edge.contracts import check_key, check_sha256, document

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


@document("edgeloop.batch_manifest")
@dataclass(frozen=True)
class BatchManifest:
    """Declares a batch; its SHA-256 is the batch's id, so it holds no time, and the same files are the same batch."""

    line: str
    files: tuple[LandedFile, ...]


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
        id: SHA-256 (hex) of the input without the label: decoded pixels with their shape, or the row's values.
        label: as written in the source; "" where it is missing.
        split: "train", "validation" or "test" where the source declares it, else "".
        file: path in the batch, with `#line` for tables.
        input: a picture file's bytes, or the row's values as little-endian float64 (NaN where a cell is no number).
        facts: of a picture: width, height (pixels), mean, std (of all its 8-bit values, 0 to 255). Empty for rows.
        notes: of a row: position of an input column to why its cell is not a finite number. Empty for pictures.
    """

    id: str
    label: str
    split: str
    file: str
    input: bytes
    facts: Mapping[str, float] = field(default_factory=dict)
    notes: Mapping[int, str] = field(default_factory=dict)


def landing_journal(store: Store, line: str) -> Journal[Landing]:
    """The journal that `new_batch_sensor` reads; positions are its cursor."""
    return Journal(store, f"landing/{line}/.journal", Landing)


def read_batch(store: Store, line: Line, batch: str) -> Iterator[Record | Reason]:
    """The records of a landed batch in the order of its manifest, and a reason for each thing that is not a record.

    Every file's size and SHA-256 is checked against the manifest before it is read.

    Raises:
        LandingError: no such batch is ready, or its manifest or a file of it was changed or lost since; landing the
            same source again repairs that.
    """
    from assets.ingest.readers import read_landed

    return read_landed(store, line, batch)
