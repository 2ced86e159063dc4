"""Processes that ask the suite over chunks of a batch, beside the one that reads and decides."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from types import TracebackType
from typing import Self

import pyarrow as pa

from assets.errors import TransientError
from assets.quality.columns import stored_columns
from assets.quality.engines.contract import PARALLEL_RECORDS, Answer, Task
from assets.quality.engines.pandas_frame import frame_of
from assets.quality.engines.pandas_suite import ask, warm_up
from assets.quality.spool import read_chunk
from edge.child import process_pool

COLLECT_EVERY = 5
"""Questions over one column after which memory is collected: about 20 ms each time, against some copies of a frame."""


class SuitePool:
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
        if self._pool is not None and self._pool._broken:
            # Python 3.11 ends the others of a broken pool with SIGTERM and waits; one that just starts may not hear it.
            for process in list((self._pool._processes or {}).values()):
                process.kill()
        self._stack.close()

    def expect(self, records: int) -> None:
        """Told how many records there are so far, so that the processes are ready in time."""
        if records >= PARALLEL_RECORDS and self.workers > 1 and self._pool is None:
            self.start()

    def start(self) -> None:
        """Start the processes; they load Great Expectations on their own."""
        if self._pool is None:
            preloaded = ("great_expectations", "great_expectations.expectations", __name__)
            self._pool = self._stack.enter_context(process_pool(self.workers, preloaded, _begin))
            for _ in range(self.workers):
                self._pool.submit(warm_up)

    @property
    def started(self) -> bool:
        """Whether there are processes to ask."""
        return self._pool is not None

    def submit(self, task: Task) -> Callable[[], list[Answer]]:
        """Have a task done, at once where there are processes, else when its answers are wanted.

        Raises:
            TransientError: (so does what is returned) a process died.
        """
        if self._pool is None:
            return lambda: answer_task(task)
        try:
            future = self._pool.submit(answer_task, task)
        except BrokenProcessPool as error:
            raise _died() from error

        def answers() -> list[Answer]:
            try:
                return future.result()
            except BrokenProcessPool as error:
                raise _died() from error

        return answers


def _died() -> TransientError:
    return TransientError("a process that ran the suite ended without an answer (out of memory?); judge again")


def _begin() -> None:
    """What each of the processes does first."""
    warm_up()
    gc.freeze()  # what is loaded stays: collecting what a question left behind then costs little


def answer_task(task: Task) -> list[Answer]:
    """The answers to a task's questions; those over the same columns together, on a frame of only these.

    Great Expectations copies its whole frame for most questions, so a frame of one column costs a tenth of one of ten.
    """
    groups: dict[tuple[str, ...], list[int]] = {}
    for at, columns in enumerate(task.columns):
        groups.setdefault(columns, []).append(at)
    found: dict[int, Answer] = {}
    for turn, (columns, members) in enumerate(groups.items(), 1):
        stored = stored_columns(columns, task.derived, task.data) or ["_split"]
        table = pa.concat_tables([read_chunk(path, stored) for path in task.paths])
        frame = frame_of(table, task.derived, 0, columns, task.data)
        found |= zip(members, ask(frame, [task.questions[at] for at in members]), strict=True)
        large = len(frame) >= PARALLEL_RECORDS
        del table, frame
        if large and turn % COLLECT_EVERY == 0:
            gc.collect()  # Great Expectations ties its frames into circles, which would stay until much later
    return [found[at] for at in range(len(task.questions))]
