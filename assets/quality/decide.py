"""From rulings to a decision: which records are good, why the others are not, and whether the batch gets through."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.data import DataContract
from assets.line import LineConfig
from assets.quality.contract import CheckOutcome, Reason
from assets.quality.frame import Sparse, visible_columns
from assets.quality.refused import Refused
from assets.quality.rule import Rule
from assets.quality.rules import COPIES
from assets.quality.rulings import Ruling
from assets.quality.spool import Spool
from assets.review.contract import Waivers

GOOD = -1
_ROW_COUNT = "ExpectTableRowCountToBeBetween"  # "enough good records" below is stricter, and says it once


@dataclass(frozen=True)
class Decision:
    """What becomes of a batch.

    Attributes:
        broken: int16 per record: position in `rules` of the first critical rule it breaks, `GOOD` where it breaks none.
        rules: as they were asked.
        checks: every rule's outcome and the gate's own.
        blocked: why the batch is blocked, one sentence each; empty where it is accepted.
    """

    broken: NDArray[np.int16]
    rules: tuple[Rule, ...]
    checks: tuple[CheckOutcome, ...]
    blocked: tuple[str, ...]

    @property
    def good(self) -> NDArray[np.int64]:
        """Positions of the good records, ascending."""
        return np.flatnonzero(self.broken == GOOD)

    @property
    def bad(self) -> NDArray[np.int64]:
        """Positions of the others, ascending."""
        return np.flatnonzero(self.broken != GOOD)


@dataclass(frozen=True)
class Allowed:
    """What reviewers let this batch get away with.

    Attributes:
        waivers: in force now.
        batch: its id.
        used: rule to how many records a waiver let through; filled by `broken_rules`.
    """

    waivers: Waivers
    batch: str
    used: dict[str, int] = field(default_factory=dict)

    def exempt(self, rule: str) -> bool:
        """Whether a rule about the batch as a whole does not count."""
        return self.waivers.exempt(rule, self.batch)

    def noted(self, check: CheckOutcome) -> CheckOutcome:
        """The check with the waiver that was used, so that the verdict says so."""
        used = self.used.get(check.name)
        if used is None and not (check.outcome == "failed" and self.exempt(check.name)):
            return check
        return replace(check, detail=f"{check.detail} {self.waivers.describe(check.name, self.batch, used)}.")


def broken_rules(rulings: Sequence[Ruling], spool: Spool, allowed: Allowed) -> NDArray[np.int16]:
    """For each record the position of the first critical rule it breaks, or `GOOD`."""
    broken = np.full(spool.rows, GOOD, dtype=np.int16)
    asked = allowed.waivers.rules()
    for at, ruling in enumerate(rulings):
        rule = ruling.rule
        if rule.explain is None or rule.severity != "critical" or ruling.outcome != "failed":
            continue
        rows = ruling.rows
        if rule.name in asked and len(rows):
            ids = spool.take(rows, ["_id"]).column("_id")
            waived = allowed.waivers.waived(rule.name, allowed.batch, ids)
            if waived.any():
                allowed.used[rule.name] = int(waived.sum())
                rows = rows[~waived]
        broken[rows[broken[rows] == GOOD]] = at
    return broken


def decide(
    rulings: Sequence[Ruling],
    broken: NDArray[np.int16],
    refused: Refused,
    config: LineConfig,
    allowed: Allowed,
    extra: Sequence[CheckOutcome] = (),
) -> Decision:
    """Judge the batch by its records and by everything else.

    Exact copies of a record that is kept are set aside, but nothing is wrong with them: the share of bad records is
    that of the others.

    Args:
        broken: what `broken_rules` found.
        refused: what never became a record; it counts as bad.
        extra: outcomes of checks that are no expectations; a critical one that does not pass blocks.
    """
    rules = tuple(ruling.rule for ruling in rulings)
    copies = next((at for at, rule in enumerate(rules) if rule.name == COPIES), GOOD)
    aside = int((broken == copies).sum()) if copies != GOOD else 0
    good = int((broken == GOOD).sum())
    own = _own_checks(good, len(broken) - good + refused.count - aside, aside, refused, config)
    blocked = [check.detail for check in own if check.outcome == "failed" and not allowed.exempt(check.name)]
    for ruling in rulings:
        if ruling.rule.severity == "critical" and ruling.rule.expectation != _ROW_COUNT:
            about_batch = ruling.rule.explain is None or not len(ruling.rows)
            blocked += _against(ruling.check(), about_batch, allowed)
    for check in extra:
        blocked += _against(check, True, allowed) if check.severity == "critical" else []
    checks = (*own, *extra, *(ruling.check() for ruling in rulings))
    return Decision(broken, rules, tuple(map(allowed.noted, checks)), tuple(blocked))


def _against(check: CheckOutcome, about_batch: bool, allowed: Allowed) -> list[str]:
    """Why a critical check blocks the batch; nothing where it does not."""
    if check.outcome == "passed" or allowed.exempt(check.name):
        return []
    if check.outcome == "errored":
        return [f"the check {check.name!r} broke, so nobody knows whether the data is good"]
    return [f"{check.name!r} does not hold. {check.detail}"] if about_batch else []


def explained(
    spool: Spool,
    derived: Mapping[str, Sparse],
    decision: Decision,
    rows: NDArray[np.int64],
    data: DataContract,
) -> Iterator[tuple[str, Reason]]:
    """The broken rule's name and the reason of each bad record in `rows`, in that order.

    `rows` should be of one chunk: their columns are in memory together.
    """
    rules = [decision.rules[at] for at in decision.broken[rows]]
    visible = visible_columns(data)
    wanted = {name for rule in rules for name in (*rule.columns, *rule.needs)}
    names = [name for name in wanted if name not in derived and visible.get(name, name) in spool.schema.names]
    stored = list(dict.fromkeys(["_file", "_label", *(visible.get(name, name) for name in names)]))
    for row, rule, record in zip(rows, rules, spool.take(rows, stored).to_pylist(), strict=True):
        values: dict[str, Any] = dict(record)
        values |= {name: record[visible.get(name, name)] for name in names}
        values |= {name: column.at(int(row)) for name, column in derived.items() if name in wanted}
        if values.get("_notes"):
            values["_notes"] = json.loads(values["_notes"])
        assert rule.explain is not None
        reason, remedy = rule.explain(values)
        yield rule.name, Reason(*place_of(str(record["_file"]), data), "quarantined", reason, remedy)


def place_of(file: str, data: DataContract) -> tuple[str, str]:
    """A record's file in the batch, and the place in it."""
    path, mark, number = file.rpartition("#")
    if not mark or not number.isdecimal() or data.reader in {"image_folder", "audio_folder"}:
        return file, "whole file"
    return path, f"{'picture' if data.image else 'line'} {number}"


def _own_checks(good: int, bad: int, copies: int, refused: Refused, config: LineConfig) -> list[CheckOutcome]:
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
    if config.data.reader not in {"image_folder", "audio_folder"}:
        whole = refused.whole_file
        detail = f"{whole.file} cannot be read: {whole.reason}" if whole else "All of them."
        checks.append(_critical("every file can be read", whole is None, detail))
    return checks


def _critical(name: str, holds: bool, detail: str) -> CheckOutcome:
    return CheckOutcome(name, "passed" if holds else "failed", "critical", detail)
