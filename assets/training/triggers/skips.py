"""Triggers that started no retrain, each with its reason: what keeps the bill down is told, not guessed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from assets.records.line_store import LineStore
from assets.records.verdict import Accepted
from assets.storage import layout
from assets.storage.journal import Journal
from edge.contracts import document


@document("edgeloop.retrain_skip")
@dataclass(frozen=True)
class Skip:
    """The policy left waiting batches waiting. What stays the same from tick to tick is noted once.

    Attributes:
        upto: position of the last waiting batch in the journal of accepted batches.
        batches, records: how many wait.
        rule: the setting that says so, e.g. "retrain.cooldown_minutes".
        why: one sentence.
        time: seconds since 1970, of the first tick that was skipped for it.
    """

    line: str
    upto: int
    batches: int
    records: int
    trigger: str
    rule: str
    why: str
    time: float


def skip_journal(line: LineStore) -> Journal[Skip]:
    """Every noted skip of the line, in order."""
    return Journal(line.store, layout.skips(line.name), Skip)


def note_skip(
    line: LineStore, waiting: Sequence[tuple[int, Accepted]], trigger: str, rule: str, why: str, now: float
) -> bool:
    """Note that batches are left waiting; False where the last note says the same of the same batches."""
    journal = skip_journal(line)
    last = journal.at(journal.length())
    upto = waiting[-1][0]
    if last is not None and (last.upto, last.rule, last.trigger) == (upto, rule, trigger):
        return False
    records = sum(entry.records for _, entry in waiting)
    journal.append(Skip(line.name, upto, len(waiting), records, trigger, rule, why, now))
    return True
