"""What the gate asks of an engine, which puts the suite's questions to records.

Rules, checks, decision and report know this much and no more. The one engine there is runs Great Expectations over
pandas. One over Spark would offer the same: answers about some chunks of the spool (Arrow files, which it would read by
itself) with positions of the records that break a question, and answers about a batch as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from assets.line.data import DataContract
from assets.quality.columns import Sparse
from assets.quality.spool import Spool

NO_ROWS = np.empty(0, dtype=np.int64)
PARALLEL_RECORDS = 200_000
"""Fewer records are no task for a process of their own: starting it costs more than it saves."""


class Question(NamedTuple):
    """An expectation's class name, and its settings. Crosses to other processes."""

    expectation: str
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class Answer:
    """What one expectation found in the records that it was asked about.

    Attributes:
        holds: whether Great Expectations says so; of no meaning where `problem` is set.
        rows: positions, from 0, of the records that break it, ascending.
        seen: records that were judged (those with a value, where the expectation passes over the others).
        found: what was observed, for one about the records as a whole.
        problem: why the check itself broke; None where it did not.
        raw: Great Expectations' own result as JSON, without the rows.
    """

    holds: bool
    rows: NDArray[np.int64]
    seen: int
    found: str
    problem: str | None
    raw: Mapping[str, Any]


@dataclass(frozen=True)
class Task:
    """Questions about a few chunks together.

    Attributes:
        paths: the chunks, see `assets.quality.spool`; none asks about no record at all.
        derived: slices of derived columns, positions from 0.
        columns: of each question, those that it is about.
    """

    paths: tuple[Path, ...]
    derived: Mapping[str, Sparse]
    columns: tuple[tuple[str, ...], ...]
    questions: tuple[Question, ...]
    data: DataContract


class Engine(Protocol):
    """Open it with `with`; what it started ends with it, however this process ends."""

    @property
    def workers(self) -> int:
        """How many tasks it works on at once."""
        ...

    @property
    def started(self) -> bool:
        """Whether it works beside the caller already."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    def expect(self, records: int) -> None:
        """How many records there are so far, so that it is ready in time."""
        ...

    def ask(self, task: Task) -> Callable[[], list[Answer]]:
        """Have a task done; what is returned waits for its answers, in the order of its questions.

        Raises:
            TransientError: (so does what is returned) a process died.
        """
        ...

    def ask_whole(
        self,
        spool: Spool,
        derived: Mapping[str, Sparse],
        question: Question,
        columns: tuple[str, ...],
        data: DataContract,
    ) -> Answer:
        """The answer of an expectation that relates records to each other, about all of them.

        Args:
            columns: those that it is about; none where it is about the table as such.
        """
        ...
