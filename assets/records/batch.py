"""A landed batch: its manifest, its files, and its entry in the landing journal."""

from __future__ import annotations

from dataclasses import dataclass, field

from edge.contracts import check_key, check_sha256, document
from edge.contracts.codec import ADDED_LATER


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
    """Declares a batch; its SHA-256 is the batch's id, so it holds no time, and the same files are the same batch.

    Attributes:
        corrections: whether its records correct those of the same inputs that the line accepted under other targets.
    """

    line: str
    files: tuple[LandedFile, ...]
    left_out: tuple[LeftOut, ...] = ()
    corrections: bool = field(default=False, metadata=ADDED_LATER)


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
