"""From rules to rulings over a whole batch: row-wise rules chunk by chunk on all cores, the others once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from assets.line.data import DataContract
from assets.quality.columns import ASPECT, Sparse
from assets.quality.engines.contract import NO_ROWS, PARALLEL_RECORDS, Answer, Engine, Question, Task
from assets.quality.rule import Rule
from assets.quality.spool import Spool
from assets.records.verdict import CheckOutcome

TASK_RECORDS = 2_500_000
"""Most records that one call of the suite sees; it holds one column of them at a time, and some copies."""
AHEAD_RECORDS = 800_000
"""So many records are asked about together while the rest is still being read."""
STORED = frozenset({"_label", "_split", "_group", "_time", ASPECT})
"""Columns of our own that are there as soon as a record is; the others are derived, once all are."""


@dataclass(frozen=True)
class Ruling:
    """What a rule found in the batch.

    Attributes:
        outcome: "errored" where the check itself broke: it says nothing about the data.
        rows: positions of the records that break it, ascending; empty for a rule about the whole batch.
        detail: one sentence.
        raw: Great Expectations' results, one per chunk, as JSON.
    """

    rule: Rule
    outcome: Literal["passed", "failed", "errored"]
    rows: NDArray[np.int64]
    detail: str
    raw: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)

    def check(self) -> CheckOutcome:
        """As it is written in the verdict."""
        return CheckOutcome(self.rule.name, self.outcome, self.rule.severity, self.detail)


def run_rules(
    spool: Spool,
    derived: Mapping[str, Sparse],
    missing: Mapping[str, str],
    rules: Sequence[Rule],
    data: DataContract,
    engine: Engine,
    ahead: RowWise | None = None,
) -> list[Ruling]:
    """Every rule's ruling over the batch, in the rules' order.

    Args:
        derived: columns that computed checks added.
        ahead: has asked some of the rules already, while the batch was read.
        missing: columns that they could not add, and why: the rules over them are errored.

    Raises:
        TransientError: a judging process died.
    """
    found: dict[int, Ruling] = {}
    for at, rule in enumerate(rules):
        if why := next((missing[name] for name in rule.columns if name in missing), None):
            found[at] = Ruling(rule, "errored", NO_ROWS, f"the check itself broke: {why}")
    early = ahead.rulings() if ahead is not None else {}
    found |= {at: early[rule.name] for at, rule in enumerate(rules) if at not in found and rule.name in early}
    late = RowWise(spool, [rule for at, rule in enumerate(rules) if at not in found], data, engine, derived).rulings()
    found |= {at: late[rule.name] for at, rule in enumerate(rules) if at not in found and rule.name in late}
    for at, rule in enumerate(rules):
        if at not in found:
            question = Question(rule.expectation, rule.settings)
            found[at] = _ruled(rule, engine.ask_whole(spool, derived, question, rule.columns, data), spool.rows)
    return [found[at] for at in range(len(rules))]


class RowWise:
    """Asks rules that look at one record at a time, chunk by chunk; those over stored columns while a batch is read."""

    def __init__(
        self,
        spool: Spool,
        rules: Sequence[Rule],
        data: DataContract,
        engine: Engine,
        derived: Mapping[str, Sparse] | None = None,
    ) -> None:
        """Without `derived`, only the rules are asked that need none."""
        self._rules = [rule for rule in rules if rule.row_wise and (derived is not None or _stored(rule))]
        self._spool, self._data, self._engine, self._derived = spool, data, engine, derived or {}
        self._asked = 0  # chunks
        self._answers: list[tuple[int, Callable[[], list[Answer]]]] = []

    def ask_ahead(self) -> None:
        """Ask about what has come, where there are processes to ask and enough has come."""
        while self._rules and self._engine.started and self._waiting() >= AHEAD_RECORDS:
            self._ask(AHEAD_RECORDS)

    def rulings(self) -> dict[str, Ruling]:
        """Each rule's ruling, by its name, once all records have come. Raises TransientError where a process died."""
        if not self._rules:
            return {}
        most = max(PARALLEL_RECORDS, -(-self._waiting() // self._engine.workers))
        while self._asked < len(self._spool.paths):
            self._ask(min(most, TASK_RECORDS))
        parts = [(start, answers()) for start, answers in self._answers]
        if not parts:  # no record at all: still ask, since a check may be broken
            parts = [(0, self._engine.ask(self._task((), self._derived))())]
        return {
            rule.name: _together(
                rule, [answers[at] for _, answers in parts], [start for start, _ in parts], self._spool.rows
            )
            for at, rule in enumerate(self._rules)
        }

    def _waiting(self) -> int:
        stops = self._spool.stops
        return stops[-1] - (stops[self._asked - 1] if self._asked else 0) if stops else 0

    def _ask(self, records: int) -> None:
        """Ask about the next chunks: so many that they hold about `records`."""
        start, paths = self._spool.starts[self._asked], list[Path]()
        stop = start
        while self._asked < len(self._spool.paths) and (not paths or stop - start < records):
            paths.append(self._spool.paths[self._asked])
            stop = self._spool.stops[self._asked]
            self._asked += 1
        cut = _cut(self._derived, [name for rule in self._rules for name in rule.columns], start, stop)
        self._answers.append((start, self._engine.ask(self._task(tuple(paths), cut))))

    def _task(self, paths: tuple[Path, ...], derived: Mapping[str, Sparse]) -> Task:
        columns = tuple(rule.columns for rule in self._rules)
        questions = tuple(Question(rule.expectation, rule.settings) for rule in self._rules)
        return Task(paths, derived, columns, questions, self._data)


def _stored(rule: Rule) -> bool:
    """Whether a rule is over columns that records bring along."""
    return bool(rule.columns) and all(not name.startswith("_") or name in STORED for name in rule.columns)


def _cut(derived: Mapping[str, Sparse], names: Sequence[str], start: int, stop: int) -> dict[str, Sparse]:
    cut = {}
    for name in names:
        if name in derived:
            column = derived[name]
            low, high = np.searchsorted(column.rows, (start, stop))
            cut[name] = Sparse(column.rows[low:high] - start, column.values[low:high])
    return cut


def _together(rule: Rule, answers: Sequence[Answer], starts: Sequence[int], records: int) -> Ruling:
    """One ruling from the answers of all chunks; `mostly` is applied to all records together, as it is meant."""
    raw = tuple(answer.raw for answer in answers)
    if problem := next((answer.problem for answer in answers if answer.problem), None):
        return Ruling(rule, "errored", NO_ROWS, f"the check itself broke: {problem}", raw)
    rows = np.concatenate([answer.rows + start for answer, start in zip(answers, starts, strict=True)])
    seen = sum(answer.seen for answer in answers)
    if not len(rows):
        return Ruling(rule, "passed", NO_ROWS, rule.description, raw)
    if rule.mostly is not None:
        share = len(rows) / seen if seen else 1.0
        holds = (seen - len(rows)) / seen >= rule.mostly if seen else False  # in the order that Great Expectations does
        detail = f"{len(rows):,} of {seen:,} records break it ({share:.2%}); {1 - rule.mostly:.2%} may. "
        return Ruling(
            rule, "passed" if holds else "failed", rows if not holds else NO_ROWS, detail + rule.description, raw
        )
    return Ruling(rule, "failed", rows, f"{len(rows):,} of {records:,} records. {rule.description}", raw)


def _ruled(rule: Rule, answer: Answer, records: int) -> Ruling:
    if answer.problem:
        return Ruling(rule, "errored", NO_ROWS, f"the check itself broke: {answer.problem}", (answer.raw,))
    if answer.holds:
        return Ruling(rule, "passed", NO_ROWS, rule.description, (answer.raw,))
    count = f"{len(answer.rows):,} of {records:,} records" if len(answer.rows) else answer.found.capitalize()
    detail = f"{count}. {rule.description}" if count else rule.description
    return Ruling(rule, "failed", answer.rows, detail, (answer.raw,))
