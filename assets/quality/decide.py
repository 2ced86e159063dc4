"""From rulings to a decision: which records are good, why the others are not, and whether the batch gets through."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.line.config import LineConfig
from assets.line.data import DataContract
from assets.quality.columns import Sparse, visible_columns
from assets.quality.refusals import Refused
from assets.quality.rule import Rule
from assets.quality.rules import APART, COPIES, SET_ASIDE
from assets.quality.rulings import Ruling
from assets.quality.spool import Spool
from assets.records.reason import Reason
from assets.records.verdict import CheckOutcome
from assets.review.documents import Waivers

GOOD = -1
MOST_NAMED = 3
ENOUGH = "there are enough good records"
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
            waived = allowed.waivers.waived(rule.name, allowed.batch, spool.take(rows, ["_id", "_label"]))
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

    Exact copies of a record that is kept, and records whose input is in another split, are set aside, but nothing is
    wrong with them: the share of bad records is that of the others.

    Args:
        broken: what `broken_rules` found.
        refused: what never became a record; it counts as bad.
        extra: outcomes of checks that are no expectations; a critical one that does not pass blocks.
    """
    rules = tuple(ruling.rule for ruling in rulings)
    aside = {rule.name: int((broken == at).sum()) for at, rule in enumerate(rules) if rule.name in SET_ASIDE}
    good = int((broken == GOOD).sum())
    bad = len(broken) - good + refused.count - sum(aside.values())
    batch = _batch_outcomes(good, bad, aside, refused, config, _mostly(rules, broken))
    against = [check for check in batch if check.outcome == "failed" and not allowed.exempt(check.name)]
    blocked = [check.detail for check in against]
    if not good and not blocked:  # no waiver makes a batch of nothing
        blocked = [check.detail for check in batch if check.name == ENOUGH]
    if not len(broken) and against:
        blocked = blocked[:1]  # without any record the first says it all, and every other check fails or breaks
    else:
        for ruling in rulings:
            if ruling.rule.severity == "critical" and ruling.rule.expectation != _ROW_COUNT:
                about_batch = ruling.rule.explain is None or not len(ruling.rows)
                blocked += _against(ruling.check(), about_batch, allowed)
        for check in extra:
            blocked += _against(check, True, allowed) if check.severity == "critical" else []
    checks = (*batch, *extra, *(ruling.check() for ruling in rulings))
    return Decision(broken, rules, tuple(map(allowed.noted, checks)), tuple(blocked))


def _against(check: CheckOutcome, about_batch: bool, allowed: Allowed) -> list[str]:
    """Why a critical check blocks the batch; nothing where it does not."""
    if check.outcome == "passed" or allowed.exempt(check.name):
        return []
    if check.outcome == "errored":
        return [f"the check “{check.name}” broke, so nobody knows whether the data is good"]
    return [f"“{check.name}” does not hold: {check.detail}"] if about_batch else []


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
    wanted = {name for rule in set(decision.broken[rows].tolist()) for name in _read_by(decision.rules[rule])}
    sparse = {name: column for name, column in derived.items() if name in wanted}
    sources = {name: visible.get(name, name) for name in wanted - sparse.keys()}
    sources = {name: source for name, source in sources.items() if source in spool.schema.names}
    stored = list(dict.fromkeys(["_file", "_label", *sources.values()]))
    for row, rule, record in zip(rows.tolist(), rules, spool.take(rows, stored).to_pylist(), strict=True):
        values: dict[str, Any] = dict(record)
        for name, source in sources.items():
            values[name] = record[source]
        for name, column in sparse.items():
            values[name] = column.at(row)
        if values.get("_notes"):
            values["_notes"] = json.loads(values["_notes"])
        assert rule.explain is not None
        reason, remedy = rule.explain(values)
        yield rule.name, Reason(*place_of(str(record["_file"]), data), "quarantined", reason, remedy)


def _read_by(rule: Rule) -> tuple[str, ...]:
    """The columns that explaining a broken rule reads."""
    return (*rule.columns, *rule.needs)


def place_of(file: str, data: DataContract) -> tuple[str, str]:
    """A record's file in the batch, and the place in it."""
    path, mark, number = file.rpartition("#")
    if not mark or not number.isdecimal() or data.form == "files":
        return file, "whole file"
    return path, f"{'picture' if data.image else 'line'} {number}"


def _mostly(rules: Sequence[Rule], broken: NDArray[np.int16]) -> list[str]:
    """What most bad records break, in words."""
    codes, counts = np.unique(broken[broken != GOOD], return_counts=True)
    most = sorted(zip(counts.tolist(), codes.tolist(), strict=True), key=lambda item: -item[0])
    named = [(count, rules[code].name) for count, code in most if rules[code].name not in SET_ASIDE]
    return [f"{count:,} break{'s' * (count == 1)} “{name}”" for count, name in named[:MOST_NAMED]]


def _batch_outcomes(
    good: int, bad: int, set_aside: Mapping[str, int], refused: Refused, config: LineConfig, mostly: list[str]
) -> list[CheckOutcome]:
    """The checks that read the record's verdicts; no single expectation can. `bad` is without what was set aside."""
    seen, policy = good + bad, config.quality
    share = bad / seen if seen else 0.0
    told = [f"{count:,} exact copies" for name, count in set_aside.items() if name == COPIES and count]
    told += [
        f"{count:,} whose input is in another split" for name, count in set_aside.items() if name == APART and count
    ]
    aside = f" ({' and '.join(told)} are not counted)" if told else ""
    small = share <= policy.max_bad_share
    detail = f"{bad:,} of {seen:,} records are bad ({share:.1%}); at most {policy.max_bad_share:.1%} may be{aside}"
    if not small:
        unread = [f"{refused.count:,} cannot be read"] * bool(refused.count)
        detail += f". Of the bad ones, {', '.join(mostly + unread)}"
    checks = []
    if config.data.form != "files":
        whole = refused.whole_file
        unreadable = f"the file {whole.file} cannot be read: {whole.reason}" if whole else "All of them."
        checks.append(_critical("every file can be read", whole is None, unreadable))
    enough = good >= policy.min_records
    number = f"{'' if enough else 'only ' if good else 'there are '}{good or 'no'} good record{'s' * (good != 1)}"
    return [
        *checks,
        _critical("the share of bad records is small", small, detail),
        _critical(ENOUGH, enough, f"{number}; at least {policy.min_records:,} are needed"),
    ]


def _critical(name: str, holds: bool, detail: str) -> CheckOutcome:
    return CheckOutcome(name, "passed" if holds else "failed", "critical", detail)
