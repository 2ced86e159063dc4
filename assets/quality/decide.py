"""From rulings to a decision: which records are good, why the others are not, and whether the batch gets through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from assets.ingest.contract import Record
from assets.line import LineConfig
from assets.quality.contract import CheckOutcome, Reason
from assets.quality.rules import DISTINCT
from assets.quality.suite import Ruling

_CONTEXT = ("label", "known_label", "width", "height", "mean", "std", "aspect")


@dataclass(frozen=True)
class Decision:
    """What becomes of a batch.

    Attributes:
        good: positions of the records that broke no critical rule, ascending.
        bad: position of each other record to its reason, ascending.
        checks: every rule's outcome and the gate's own.
        blocked: why the batch is blocked, one sentence each; empty where it is accepted.
    """

    good: tuple[int, ...]
    bad: Mapping[int, Reason]
    checks: tuple[CheckOutcome, ...]
    blocked: tuple[str, ...]


def decide(
    records: Sequence[Record],
    refused: Sequence[Reason],
    frame: pd.DataFrame,
    rulings: Sequence[Ruling],
    config: LineConfig,
) -> Decision:
    """Judge each record by the critical rules about records, and the batch by everything else.

    Exact copies of a record that is kept are set aside, but nothing is wrong with them: the share of bad records is
    that of the others.

    Args:
        refused: what never became a record; it counts as bad.
        frame: of `records`, see `assets.quality.frame.build_frame`.
    """
    bad, copies = _bad_records(records, frame, rulings)
    good = tuple(position for position in range(len(records)) if position not in bad)
    own = _own_checks(len(good), len(bad) + len(refused) - copies, copies, refused, config)
    blocked = [check.detail for check in own if check.outcome == "failed"]
    for ruling in rulings:
        about_batch = ruling.rule.explain is None
        if ruling.rule.severity == "critical":
            if ruling.outcome == "errored":
                blocked.append(f"the check {ruling.rule.name!r} broke, so nobody knows whether the data is good")
            elif ruling.outcome == "failed" and about_batch and ruling.rule.expectation != _ROW_COUNT:
                blocked.append(f"{ruling.rule.name!r} does not hold. {ruling.detail}")
    checks = (*own, *(ruling.check() for ruling in rulings))
    return Decision(good, bad, checks, tuple(blocked))


_ROW_COUNT = "ExpectTableRowCountToBeBetween"  # "enough good records" below is stricter, and says it once


def _bad_records(
    records: Sequence[Record], frame: pd.DataFrame, rulings: Sequence[Ruling]
) -> tuple[dict[int, Reason], int]:
    """Position to reason of every record that is set aside, and how many of them are only copies."""
    broken: dict[int, Ruling] = {}
    for ruling in rulings:
        if ruling.rule.explain is not None and ruling.rule.severity == "critical" and ruling.rule.name != DISTINCT:
            for row in ruling.rows:
                broken.setdefault(row, ruling)
    first: dict[str, int] = {}
    for ruling in rulings:
        if ruling.rule.name == DISTINCT:
            for row in ruling.rows:  # of copies that are sound otherwise, the first is kept
                if row not in broken and first.setdefault(records[row].id, row) != row:
                    broken[row] = ruling
    rows = sorted(broken)
    columns = [name for name in _CONTEXT if name in frame]
    facts: list[Any] = frame.loc[rows, columns].to_dict("records")
    context: dict[int, dict[str, Any]] = dict(zip(rows, facts, strict=True))
    labels = _labels_of(records, frame)
    reasons = {}
    for row in rows:
        record, explain = records[row], broken[row].rule.explain
        assert explain is not None
        extra = {"batch_labels": labels.get(record.id, ""), "first_file": records[first.get(record.id, row)].file}
        reason, remedy = explain(record, {**context[row], **extra})
        reasons[row] = Reason(*_where(record), "quarantined", reason, remedy)
    return reasons, sum(ruling.rule.name == DISTINCT for ruling in broken.values())


def _labels_of(records: Sequence[Record], frame: pd.DataFrame) -> dict[str, str]:
    """Id to the labels it has, with a file for each, where the batch gives it more than one."""
    found: dict[str, dict[str, str]] = {}
    for row in frame.index[frame["labels_of_id"] > 1]:
        record = records[int(row)]
        found.setdefault(record.id, {}).setdefault(record.label, record.file)
    return {
        identity: " and as ".join(f"{label!r} ({file})" for label, file in labels.items())
        for identity, labels in found.items()
    }


def _where(record: Record) -> tuple[str, str]:
    path, mark, line = record.file.rpartition("#")
    if record.facts or not mark:
        return record.file, "whole file"
    return path, f"line {line}"


def _own_checks(good: int, bad: int, copies: int, refused: Sequence[Reason], config: LineConfig) -> list[CheckOutcome]:
    """The checks that read the record's verdicts; no single expectation can. `bad` does not include copies."""
    seen, policy = good + bad, config.quality
    share = bad / seen if seen else 0.0
    aside = f" ({copies:,} exact copies are not counted)" if copies else ""
    checks = [
        _critical(
            "the share of bad records is small",
            share <= policy.max_bad_share,
            f"{bad:,} of {seen:,} records are bad ({share:.1%}); at most {policy.max_bad_share:.1%} may be{aside}",
        ),
        _critical(
            "there are enough good records",
            good >= policy.min_records,
            f"{good:,} good records; at least {policy.min_records:,} are needed",
        ),
    ]
    if config.data.reader == "csv":
        whole = [reason for reason in refused if reason.place == "whole file"]
        detail = f"{whole[0].file} cannot be read as a table: {whole[0].reason}" if whole else "All of them."
        checks.append(_critical("every table can be read", not whole, detail))
    return checks


def _critical(name: str, holds: bool, detail: str) -> CheckOutcome:
    return CheckOutcome(name, "passed" if holds else "failed", "critical", detail)
