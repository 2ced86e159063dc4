"""What a landed batch is."""

from __future__ import annotations

from dataclasses import dataclass

from assets.journal import Journal
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
    """

    batch: str
    drop: str
    time: float


def landing_journal(store: Store, line: str) -> Journal[Landing]:
    """The journal that `new_batch_sensor` reads; positions are its cursor."""
    return Journal(store, f"landing/{line}/.journal", Landing)
