"""What the gate says about a batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from assets.line.config import Line
from assets.records.reason import Reason
from edge.contracts import ArtifactRef, document

MAX_REASONS = 1000
BLOCKED_REMEDY = (
    "Fix the source and land it again: what is different is a new batch. Where not the data but the line's `data` or "
    "`quality` section was wrong, change that and materialize this batch's partition again: it is then judged anew."
)


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
        per_class: accepted records of each class; empty where a number is predicted.
        records: Parquet shards of accepted records in order, columns as in `RECORD_COLUMNS`.
        ids: Parquet of the accepted records' id, label and what likeness is told by; of a series unit and time too, so
            that later batches compare cheaply.
        quarantine: Parquet shards of quarantined records, columns as in `QUARANTINE_COLUMNS`.
        profile: JSON of what accepted records look like, a few kB, for drift; None where nothing was accepted.
        findings: JSON lines of every duplicate, leak and suspect, in full; None where there are none.
        report: key of the page for reviewers, `reports/<line>/<batch>/index.html`, a copy of `page`.
        seconds: what judging took.
        new: how many accepted records the line had not accepted before.
        rules: digest of the line's sections `data` and `quality` that it was judged under.
        page: the page itself.
        suite_page: Great Expectations' own page of the suite, linked from it as `suite.html`.
        all_reasons: JSON of every reason, copied to `quarantine/<line>/<batch>.json`; None where all is well.
        since: how long the journal of accepted batches was when this was judged: the batch is listed behind that only.
        corrections: Parquet of the accepted labels that this batch's records correct (`assets.records.corrections`).
        corrected: how many records were corrected.
        notes: what people should know of how the batch was read, e.g. that a file's name was taken for a split.
        drift: largest population stability index of a feature against accepted data, for the line's history; None
            where nothing was compared.
        generation: of the line, when this was judged (see `assets.records.generation`).
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
    records: tuple[ArtifactRef, ...] = ()
    quarantine: tuple[ArtifactRef, ...] = ()
    ids: ArtifactRef | None = None
    profile: ArtifactRef | None = None
    findings: ArtifactRef | None = None
    new: int = 0
    rules: str = ""
    page: ArtifactRef | None = None
    suite_page: ArtifactRef | None = None
    all_reasons: ArtifactRef | None = None
    drift: float | None = None
    since: int = 0
    corrections: ArtifactRef | None = None
    corrected: int = 0
    notes: tuple[str, ...] = ()
    generation: int = 1

    @property
    def warnings(self) -> tuple[CheckOutcome, ...]:
        """What does not hold, and did not block: people should know it all the same."""
        return tuple(check for check in self.checks if check.severity == "warning" and check.outcome != "passed")

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
        since: the batch is listed nowhere at or before this position, so that who looks for copies need not go further.
        generation: of the line: where a new one begins, accepted batches are judged anew, and listed once more.
    """

    batch: str
    records: int
    time: float
    since: int = 0
    generation: int = 1


@dataclass(frozen=True)
class Finding:
    """Two records that are too alike, or one that looks wrong: what a reviewer should look at.

    Attributes:
        kind: "copy", "near_duplicate", "leak", "label_suspect", "target_leakage", "order", "gap", "unit", "pii".
        row: position of the record in the batch; -1 where it is about the batch or a column.
        other: file of the other record (of this batch or an earlier one), a column, or a suggested label; "" for none.
        other_row: its position where it is in this batch, else -1.
        score: how sure, by the check's own scale; `detail` says what it means.
    """

    kind: str
    row: int
    other: str
    other_row: int
    score: float
    detail: str


def rules_digest(line: Line) -> str:
    """What a verdict depends on besides the batch: SHA-256 of the line's sections `data` and `quality`."""
    return line.config.digest("data", "quality")


def stands(verdict: BatchVerdict, line: Line, generation: int) -> bool:
    """Whether a verdict is final: it accepts in the line's generation, or blocks under rules that the line still has.

    Args:
        generation: that of the line now.
    """
    if verdict.state == "accepted":
        return verdict.generation >= generation  # a later one counts where the line was read before it began
    return verdict.rules == rules_digest(line)


def partitions_name(line: Line) -> str:
    """The line's set of dynamic partitions: one per landed batch, keyed by the batch's id."""
    return f"{line.identifier}_batches"
