"""Everything that a batch's page is made from, as the judge hands it over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from assets.line.config import Line
from assets.quality.columns import Sparse
from assets.quality.decide import Decision
from assets.quality.drift.compare import Drift
from assets.quality.drift.profile import Profile
from assets.quality.spool import Spool
from assets.records.reason import Reason
from assets.records.verdict import BatchVerdict, Finding


def no_other(finding: Finding) -> bytes | None:
    """For a judge that cannot say what the other record looks like."""
    return None


@dataclass(frozen=True)
class ReportData:
    """A judged batch while its records are still at hand.

    Attributes:
        verdict: as it will stand, without its pages.
        spool: the records, all of them.
        derived: columns that computed checks added.
        decision: `broken` says for each record which rule of `rules` it broke; checks; why the batch is blocked.
            `assets.quality.decide.explained` gives reasons for any rows.
        reasons: the first of all reasons, refusals before quarantined records.
        findings: every pair and suspect, the surest of each check first.
        profile: of this batch's good records; None where there are none.
        reference: of the accepted data that the model in use was trained on; None for a first batch.
        drift: None where nothing was compared.
        ignored: files that are no data, the first of `ignored_count`.
        raw: Great Expectations' results as JSON, one per rule (of the first chunk, where there are more).
        other_input: the stored input of the record that a finding's `other` names, where it is of an earlier batch
            (`other_row` is -1); None where it is not to be had.
    """

    verdict: BatchVerdict
    line: Line
    spool: Spool
    derived: Mapping[str, Sparse]
    decision: Decision
    reasons: tuple[Reason, ...]
    findings: tuple[Finding, ...]
    profile: Profile | None
    reference: Profile | None
    drift: Drift | None
    ignored: tuple[Reason, ...]
    ignored_count: int
    raw: tuple[Mapping[str, Any], ...]
    other_input: Callable[[Finding], bytes | None] = no_other
