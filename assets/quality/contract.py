"""What the gate says about a batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from assets.journal import Journal
from assets.line import Line
from assets.store import Store
from edge.contracts import ArtifactRef, document

MAX_REASONS = 1000
BLOCKED_REMEDY = (
    "Fix the source and land it again: what is different is a new batch. Where not the data but the line's `data` or "
    "`quality` section was wrong, change that and materialize this batch's partition again: it is then judged anew."
)


@dataclass(frozen=True)
class Reason:
    """Why one record or file did not get through.

    Attributes:
        file: path in the batch.
        place: where in it, e.g. "row 17, column radius_mean" or "whole file".
        outcome: "refused" (never read as a record; its bytes are not kept), "quarantined" (kept, may come back) or
            "ignored" (no data at all, e.g. `.DS_Store`; counted nowhere).
        reason: what is wrong, in plain words.
        remedy: what to do.
    """

    file: str
    place: str
    outcome: Literal["refused", "quarantined", "ignored"]
    reason: str
    remedy: str


@dataclass(frozen=True)
class CheckOutcome:
    """One expectation on the batch. "errored" means the check itself broke: it says nothing about the data."""

    name: str
    outcome: Literal["passed", "failed", "errored"]
    severity: Literal["critical", "warning"]
    detail: str


@document("edgeloop.batch_verdict")
@dataclass(frozen=True)
class BatchVerdict:
    """The gate's answer. Always seen == accepted + quarantined + refused; a blocked batch has accepted == 0.

    Attributes:
        batch: its id.
        why: one plain sentence, the verdict's reason.
        reasons: what was wrong with each bad record, the first `MAX_REASONS` of them; all are beside the quarantine.
            The good records of a blocked batch are quarantined too, but have no entry here: `why` is their reason.
        per_class: accepted records of each class.
        records: Parquet of accepted records, columns as in `RECORD_COLUMNS`; None where nothing was accepted.
        ids: Parquet of the accepted records' id and label only, so that later batches compare cheaply.
        quarantine: Parquet of quarantined records with a `reason` column; None where there are none.
        report: key of the page for reviewers, `reports/<line>/<batch>/index.html`, a copy of `page`.
        seconds: what judging took.
        new: how many accepted records the line had not accepted before.
        rules: digest of the line's sections `data` and `quality` that it was judged under.
        page: the page itself.
        all_reasons: JSON of every reason, copied to `quarantine/<line>/<batch>.json`; None where all is well.
    """

    line: str
    batch: str
    state: Literal["accepted", "blocked"]
    why: str
    seen: int
    accepted: int
    quarantined: int
    refused: int
    reasons: tuple[Reason, ...]
    checks: tuple[CheckOutcome, ...]
    report: str
    seconds: float
    per_class: Mapping[str, int] = field(default_factory=dict)
    records: ArtifactRef | None = None
    quarantine: ArtifactRef | None = None
    ids: ArtifactRef | None = None
    new: int = 0
    rules: str = ""
    page: ArtifactRef | None = None
    all_reasons: ArtifactRef | None = None

    def __post_init__(self) -> None:
        if self.seen != self.accepted + self.quarantined + self.refused:
            raise ValueError(
                f"{self.seen} records seen, but {self.accepted} accepted, {self.quarantined} quarantined "
                f"and {self.refused} refused"
            )
        if self.state == "blocked" and self.accepted:
            raise ValueError("a blocked batch accepts nothing")
        if not 0 <= self.new <= self.accepted:
            raise ValueError(f"{self.new} records are new, but {self.accepted} are accepted")


@document("edgeloop.accepted")
@dataclass(frozen=True)
class Accepted:
    """An entry of a line's journal of accepted batches. A batch may be listed twice after a crash: the first counts.

    Attributes:
        records: those that are new to the line, so that `retrain.min_new_records` counts no record twice.
        time: seconds since 1970.
    """

    batch: str
    records: int
    time: float


RECORD_COLUMNS = ("id", "label", "split", "file", "input")
"""Columns of an accepted-records Parquet.

id: SHA-256 of the record's input without its label (decoded pixels, or the row's input values), 64 hex digits.
label: one of the line's classes.
split: "train", "validation" or "test" where the source declared it, else "" (then `record_split` decides).
file: path in the batch (with `#row` for tables).
input: bytes: the picture's file bytes as landed, or the row's input values as little-endian float64.
"""


def accepted_journal(store: Store, line: str) -> Journal[Accepted]:
    """The order in which batches were accepted: a dataset is a prefix of it."""
    return Journal(store, f"store/{line}/accepted", Accepted)


def verdict_key(line: str, batch: str) -> str:
    """Where the gate keeps its standing verdict on a batch; it exists exactly when the batch was judged."""
    return f"store/{line}/verdicts/{batch}.json"


def verdict_history(store: Store, line: str, batch: str) -> Journal[BatchVerdict]:
    """Every verdict on a batch that was judged more than once, the first one too; the last one stands."""
    return Journal(store, f"store/{line}/verdicts/{batch}", BatchVerdict)


def rules_digest(line: Line) -> str:
    """What a verdict depends on besides the batch: SHA-256 of the line's sections `data` and `quality`."""
    return line.config.digest("data", "quality")


def stands(verdict: BatchVerdict, line: Line) -> bool:
    """Whether a verdict is final: it accepts, or it blocks under the rules that the line still has."""
    return verdict.state == "accepted" or verdict.rules == rules_digest(line)


def partitions_name(line: Line) -> str:
    """The line's set of dynamic partitions: one per landed batch, keyed by the batch's id."""
    return f"{line.identifier}_batches"


def read_verdict(store: Store, line: str, batch: str) -> BatchVerdict | None:
    """The gate's verdict on a batch, or None where it was not judged yet."""
    try:
        return store.load(verdict_key(line, batch), BatchVerdict)
    except FileNotFoundError:
        return None


def accepted_batches(store: Store, line: str) -> list[tuple[int, Accepted]]:
    """Position and entry of every accepted batch in order, each batch once: its first entry counts."""
    seen: set[str] = set()
    found = []
    for position, entry in accepted_journal(store, line).after(0):
        if entry.batch not in seen:
            seen.add(entry.batch)
            found.append((position, entry))
    return found
