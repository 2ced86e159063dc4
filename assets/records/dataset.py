"""A dataset version: the union of a line's accepted records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from edge.contracts import ArtifactRef, document

Split = Literal["train", "validation", "test"]


class Shares(Protocol):
    """How records are drawn to splits: a data contract, or a dataset version."""

    @property
    def validation_share(self) -> float: ...

    @property
    def test_share(self) -> float: ...

    @property
    def carve(self) -> tuple[str, ...]: ...


@document("edgeloop.dataset")
@dataclass(frozen=True)
class DatasetVersion:
    """The union of accepted records. Its version is the document's digest.

    Where a record was accepted twice, its first acceptance counts: no record ever changes split or label silently.

    Attributes:
        position: in the journal of accepted batches; a later dataset has a greater one.
        batches: ids in the order of acceptance.
        shards: the batches' records Parquets in order (see `assets.records.record.RECORD_COLUMNS`).
        classes: empty where a number is predicted.
        splits: number of distinct records in each split.
        validation_share, test_share, carve: as configured when it was made.
        forgotten: how many of these batches' records were forgotten when it was made; they are left out.
    """

    line: str
    position: int
    batches: tuple[str, ...]
    shards: tuple[ArtifactRef, ...]
    classes: tuple[str, ...]
    splits: Mapping[str, int]
    validation_share: float
    test_share: float
    carve: tuple[str, ...] = ()
    forgotten: int = 0


SPLITS: tuple[Split, ...] = ("train", "validation", "test")
