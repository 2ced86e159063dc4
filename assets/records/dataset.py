"""A dataset version: the union of a line's accepted records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from edge.contracts import ArtifactRef, document
from edge.contracts.codec import ADDED_LATER

Split = Literal["train", "validation", "test"]
Counting = Literal["by_id", "once", "per_batch", "all"]
"""How records count; `by_id`: each input once, with its first target, as where an input has one target anyway."""


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

    A record is a pair of input and target. Which occurrences of a pair count is said by `copies`; of those that do not,
    an earlier acceptance counts, so no record ever changes its split silently.

    Attributes:
        position: in the journal of accepted batches; a later dataset has a greater one.
        batches: ids in the order of acceptance.
        shards: the batches' records Parquets in order (see `assets.records.record.RECORD_COLUMNS`).
        classes: empty where a number is predicted.
        splits: number of distinct records in each split.
        validation_share, test_share, carve: as configured when it was made.
        forgotten: how many of these batches' records were forgotten when it was made; they are left out.
        copies: how records are counted (`assets.records.identity`); by_id: each input once.
        corrections: of each batch that corrected labels, in order, what it corrected (`assets.records.corrections`).
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
    copies: Counting = field(default="by_id", metadata=ADDED_LATER)
    corrections: tuple[ArtifactRef, ...] = field(default=(), metadata=ADDED_LATER)


SPLITS: tuple[Split, ...] = ("train", "validation", "test")
