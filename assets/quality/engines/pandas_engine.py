"""The engine over pandas: chunks on all cores, a whole batch as one frame of no more columns than are asked about."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

import pandas as pd

from assets.line.data import DataContract
from assets.quality.columns import Sparse, stored_columns, visible_columns
from assets.quality.engines.contract import Answer, Question, Task
from assets.quality.engines.pandas_frame import frame_of
from assets.quality.engines.pandas_pool import SuitePool
from assets.quality.engines.pandas_suite import ask
from assets.quality.spool import Spool
from assets.records.chunks import chunk_schema


class PandasEngine:
    """Great Expectations over pandas; see `assets.quality.engines.contract.Engine`."""

    def __init__(self, workers: int | None = None) -> None:
        self._pool = SuitePool(workers)

    def __enter__(self) -> Self:
        self._pool.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._pool.__exit__(kind, error, traceback)

    @property
    def workers(self) -> int:
        """How many tasks it works on at once."""
        return self._pool.workers

    @property
    def started(self) -> bool:
        """Whether there are processes to ask."""
        return self._pool.started

    def start(self) -> None:
        """Start the processes now."""
        self._pool.start()

    def expect(self, records: int) -> None:
        """Told how many records there are so far, so that the processes are ready in time."""
        self._pool.expect(records)

    def ask(self, task: Task) -> Callable[[], list[Answer]]:
        """Have a task done, at once where there are processes, else when its answers are wanted.

        Raises:
            TransientError: (so does what is returned) a process died.
        """
        return self._pool.submit(task) if task.paths else lambda: _ask_about_none(task)

    def ask_whole(
        self,
        spool: Spool,
        derived: Mapping[str, Sparse],
        question: Question,
        columns: tuple[str, ...],
        data: DataContract,
    ) -> Answer:
        """The answer about all records, from one frame of no more columns than the question is about."""
        (answer,) = ask(_whole_frame(spool, derived, question, columns, data), [question])
        return answer


def _ask_about_none(task: Task) -> list[Answer]:
    """The answers about no record at all: a check may be broken all the same."""
    names = tuple(dict.fromkeys(name for columns in task.columns for name in columns))
    empty = chunk_schema(task.data).empty_table()
    return ask(frame_of(empty, task.derived, 0, names, task.data), task.questions)


def _whole_frame(
    spool: Spool, derived: Mapping[str, Sparse], question: Question, names: tuple[str, ...], data: DataContract
) -> pd.DataFrame:
    if question.expectation.startswith("ExpectColumnDistinct") and len(names) == 1 and names[0] not in derived:
        return _distinct(spool, names[0], data)
    if not names and "RowCount" in question.expectation:
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
