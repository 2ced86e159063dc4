"""What a batch's page is made from: everything a reviewer asks about, handed over by the judge.

The page takes a bounded part of each sequence, so the judge may hand over as much as it holds; the counts are complete.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from assets.line import Line
from assets.quality.contract import BatchVerdict, Finding, Reason
from assets.quality.drift.compare import Drift
from assets.quality.drift.profile import Profile
from assets.quality.spool import Spool


@dataclass(frozen=True)
class BadRow:
    """A record that is set aside.

    Attributes:
        row: its position in the spool.
        rule: name of the check that it broke, as in `BatchVerdict.checks`.
    """

    row: int
    rule: str
    reason: Reason


def _nothing(finding: Finding) -> bytes | None:
    return None


@dataclass(frozen=True)
class ReportData:
    """Everything that a batch's page shows.

    Attributes:
        verdict: as it will be stored (its `page` may still be missing); its checks are shown.
        spool: the batch's records; only those that are shown are read.
        good: (spool.rows,) bool, the records that broke no critical rule.
        bad: records that are set aside, of each rule at least the first `SAMPLES` where there are so many.
        bad_counts: rule to how many records it set aside, complete.
        warned: of each check that only warns, the positions of some records that break it.
        refused: what never became a record, at least the first 100.
        rule_columns: check to the fact columns it is about, which its samples show first.
        findings: the surest first, at least the first 100 of each kind.
        finding_counts: kind to how many there are; empty where `findings` is complete.
        drift, profile, reference: None where there is none; `profile` is of the good records.
        ignored: files that are no data.
        blocked: why the batch is blocked, one sentence each; empty where it is accepted.
        other_input: the stored input of the record that a finding's `other` names, where it is of an earlier batch;
            None where it is not to be had.
        gx: whether `gx.html` lies beside the page.
    """

    verdict: BatchVerdict
    line: Line
    spool: Spool
    good: NDArray[np.bool_]
    bad: Sequence[BadRow] = ()
    bad_counts: Mapping[str, int] = field(default_factory=dict)
    warned: Mapping[str, Sequence[int]] = field(default_factory=dict)
    refused: Sequence[Reason] = ()
    rule_columns: Mapping[str, Sequence[str]] = field(default_factory=dict)
    findings: Sequence[Finding] = ()
    finding_counts: Mapping[str, int] = field(default_factory=dict)
    drift: Drift | None = None
    profile: Profile | None = None
    reference: Profile | None = None
    ignored: Sequence[Reason] = ()
    blocked: Sequence[str] = ()
    other_input: Callable[[Finding], bytes | None] = _nothing
    gx: bool = False


SAMPLES = 6
"""Records that the page shows of each failed check."""
