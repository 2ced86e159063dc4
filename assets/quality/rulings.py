"""From rules to rulings over a whole batch: row-wise rules chunk by chunk on all cores, the others once."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import dataclass, field
from multiprocessing import get_context, parent_process
from multiprocessing.forkserver import set_forkserver_preload
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from assets.data import DataContract
from assets.errors import TransientError
from assets.quality.contract import CheckOutcome
from assets.quality.frame import Sparse, frame_of, stored_columns, visible_columns
from assets.quality.rule import Rule
from assets.quality.spool import Spool, read_chunk
from assets.quality.suite import NO_ROWS, Answer, Asked, ask, warm_up

PARALLEL_RECORDS = 200_000
"""Fewer records are judged in this process: starting others costs more than they save."""


TASK_RECORDS = 1_000_000
"""Most records that one call of the suite sees: their columns are in memory together."""


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


class Judges:
    """Processes that run suites on chunks; started when there is enough to do, and never before.

    They load Great Expectations while the batch is still being read, and end when this process does, however it ends.
    """

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers or max(1, len(os.sched_getaffinity(0)))
        self._pool: ProcessPoolExecutor | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    def expect(self, records: int) -> None:
        """Told how many records there are so far, so that the processes are ready in time."""
        if records >= PARALLEL_RECORDS and self.workers > 1 and self._pool is None:
            self.start()

    def start(self) -> None:
        """Start the processes; they load Great Expectations on their own."""
        if self._pool is None:
            set_forkserver_preload(["great_expectations", "great_expectations.expectations", "assets.quality.rulings"])
            self._pool = self._stack.enter_context(
                ProcessPoolExecutor(self.workers, mp_context=get_context("forkserver"), initializer=_begin)
            )
            for _ in range(self.workers):
                self._pool.submit(warm_up)

    def run(self, tasks: Iterator[_Task]) -> Iterator[list[Answer]]:
        """The answers of each chunk, in order."""
        if self._pool is None:
            yield from map(_judge_chunk, tasks)
            return
        try:
            waiting = []
            for task in tasks:
                waiting.append(self._pool.submit(_judge_chunk, task))
                if len(waiting) > 2 * self.workers:
                    yield waiting.pop(0).result()
            for future in waiting:
                yield future.result()
        except BrokenProcessPool as error:
            raise TransientError(
                "a process that ran the suite ended without an answer (out of memory?); judge again"
            ) from error


def _begin() -> None:
    """What each of the processes does first."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    warm_up()


def _end_with_parent() -> None:
    """End this process once the one that started it is gone: a killed one cannot say so, and nothing else would."""
    if (parent := parent_process()) is not None:
        parent.join()
        os._exit(1)


@dataclass(frozen=True)
class _Task:
    """One suite on a few chunks together. `derived` are slices of derived columns, positions from 0."""

    start: int
    paths: tuple[Path, ...]
    derived: Mapping[str, Sparse]
    columns: tuple[tuple[str, ...], ...]
    questions: tuple[Asked, ...]
    data: DataContract


def run_rules(
    spool: Spool,
    derived: Mapping[str, Sparse],
    missing: Mapping[str, str],
    rules: Sequence[Rule],
    data: DataContract,
    judges: Judges,
) -> list[Ruling]:
    """Every rule's ruling over the batch, in the rules' order.

    Args:
        derived: columns that own checks added.
        missing: columns that they could not add, and why: the rules over them are errored.

    Raises:
        TransientError: a judging process died.
    """
    found: dict[int, Ruling] = {}
    for at, rule in enumerate(rules):
        if why := next((missing[name] for name in rule.columns if name in missing), None):
            found[at] = Ruling(rule, "errored", NO_ROWS, f"the check itself broke: {why}")
    row_wise = [at for at, rule in enumerate(rules) if rule.row_wise and at not in found]
    for at, ruling in zip(
        row_wise, _row_wise(spool, derived, [rules[at] for at in row_wise], data, judges), strict=True
    ):
        found[at] = ruling
    for at, rule in enumerate(rules):
        if at not in found:
            found[at] = _whole(spool, derived, rule, data)
    return [found[at] for at in range(len(rules))]


def _row_wise(
    spool: Spool, derived: Mapping[str, Sparse], rules: Sequence[Rule], data: DataContract, judges: Judges
) -> list[Ruling]:
    if not rules:
        return []
    names = tuple(dict.fromkeys(name for rule in rules for name in rule.columns))
    columns = tuple(rule.columns for rule in rules)
    questions = tuple(Asked(rule.expectation, rule.settings) for rule in rules)
    tasks = [
        _Task(start, paths, _cut(derived, names, start, stop), columns, questions, data)
        for start, stop, paths in _grouped(spool, max(PARALLEL_RECORDS, spool.rows // (2 * judges.workers)))
    ]
    parts: list[list[Answer]] = []
    for answers in judges.run(iter(tasks)):
        parts.append(answers)
    if not parts:  # no record at all: still ask, since a check may be broken
        empty = spool.columns(stored_columns(names, derived, data) or ["_split"])
        parts.append(ask(frame_of(empty, derived, 0, names, data), questions))
    starts = [task.start for task in tasks] or [0]
    return [_together(rule, [answers[at] for answers in parts], starts, spool.rows) for at, rule in enumerate(rules)]


def _grouped(spool: Spool, records: int) -> Iterator[tuple[int, int, tuple[Path, ...]]]:
    """First position, position after the last, and files of chunks that are asked about together.

    Great Expectations costs about 7 ms an expectation and call whatever the frame, so chunks are put together as far as
    `TASK_RECORDS` allows, while there is work for every process.
    """
    start, paths = 0, list[Path]()
    for path, begin, stop in zip(spool.paths, spool.starts, spool.stops, strict=True):
        if paths and stop - start > min(records, TASK_RECORDS):
            yield start, begin, tuple(paths)
            start, paths = begin, []
        paths.append(path)
    if paths:
        yield start, spool.rows, tuple(paths)


def _cut(derived: Mapping[str, Sparse], names: Sequence[str], start: int, stop: int) -> dict[str, Sparse]:
    cut = {}
    for name in names:
        if name in derived:
            column = derived[name]
            low, high = np.searchsorted(column.rows, (start, stop))
            cut[name] = Sparse(column.rows[low:high] - start, column.values[low:high])
    return cut


def _judge_chunk(task: _Task) -> list[Answer]:
    """The answers to a task's questions; those over the same columns together, on a frame of only these.

    Great Expectations copies its whole frame for most questions, so a frame of one column costs a tenth of one of ten.
    """
    groups: dict[tuple[str, ...], list[int]] = {}
    for at, columns in enumerate(task.columns):
        groups.setdefault(columns, []).append(at)
    found: dict[int, Answer] = {}
    for columns, members in groups.items():
        stored = stored_columns(columns, task.derived, task.data) or ["_split"]
        table = pa.concat_tables([read_chunk(path, stored) for path in task.paths])
        frame = frame_of(table, task.derived, 0, columns, task.data)
        found |= zip(members, ask(frame, [task.questions[at] for at in members]), strict=True)
    return [found[at] for at in range(len(task.questions))]


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


def _whole(spool: Spool, derived: Mapping[str, Sparse], rule: Rule, data: DataContract) -> Ruling:
    (answer,) = ask(_whole_frame(spool, derived, rule, data), [Asked(rule.expectation, rule.settings)])
    return _ruled(rule, answer, spool.rows)


def _whole_frame(spool: Spool, derived: Mapping[str, Sparse], rule: Rule, data: DataContract) -> pd.DataFrame:
    """All records, with no more columns than the rule looks at."""
    names = rule.columns
    if rule.expectation.startswith("ExpectColumnDistinct") and len(names) == 1 and names[0] not in derived:
        return _distinct(spool, names[0], data)
    if not names and "RowCount" in rule.expectation:
        return pd.DataFrame(index=pd.RangeIndex(spool.rows))
    names = names or tuple(visible_columns(data))  # about the table's columns as such
    table = spool.columns(stored_columns(names, derived, data) or ["_split"])
    return frame_of(table, derived, 0, names, data)


def _distinct(spool: Spool, name: str, data: DataContract) -> pd.DataFrame:
    """A frame of one column with each of its values once: all that expectations about distinct values look at."""
    seen: pd.Series[Any] | None = None
    for _, table in spool.chunks(stored_columns([name], {}, data)):
        found = frame_of(table, {}, 0, [name], data)
        if name not in found:
            return found
        part = pd.Series(found[name].unique().tolist(), dtype=object)
        seen = part if seen is None else pd.concat([seen, part]).drop_duplicates()
    return pd.DataFrame({name: pd.Series(dtype=object) if seen is None else seen}).reset_index(drop=True)


def _ruled(rule: Rule, answer: Answer, records: int) -> Ruling:
    if answer.problem:
        return Ruling(rule, "errored", NO_ROWS, f"the check itself broke: {answer.problem}", (answer.raw,))
    if answer.holds:
        return Ruling(rule, "passed", NO_ROWS, rule.description, (answer.raw,))
    count = f"{len(answer.rows):,} of {records:,} records" if len(answer.rows) else answer.found.capitalize()
    detail = f"{count}. {rule.description}" if count else rule.description
    return Ruling(rule, "failed", answer.rows, detail, (answer.raw,))
