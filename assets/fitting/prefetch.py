"""Brings the batches of one epoch, the next one made ready while a step runs."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from torch import Tensor

THREAD_PAYS_SECONDS = 0.001
"""A batch that is ready sooner is made in the training thread itself: handing it over would cost as much."""
READY_BATCHES = 3
POLL_SECONDS = 0.1


class Batch(NamedTuple):
    """What one process computes in one part of a step.

    Attributes:
        x, y: (records, *shape), and (records,) or (records, classes).
        weight: the loss, a mean over these records, times this adds up to the mean over the whole batch once Lightning
            has taken the mean over parts and processes.
        seed: of everything random in this part.
        last: whether the optimizer steps after it.
    """

    x: Tensor
    y: Tensor
    weight: float
    seed: int
    last: bool


@dataclass(eq=False)
class Feed:
    """What Lightning iterates over: each `iter()` is one epoch, or what is left of one.

    Attributes:
        places: the (batch, part)s that are left of the epoch that comes next.
        make: assembles the records of one place.
        waited: seconds that the training thread has spent on getting its batches.
    """

    places: Callable[[], list[Any]]
    make: Callable[[Any], Batch]
    waited: float = 0.0
    _open: list[Generator[Batch]] = field(default_factory=list)

    def __iter__(self) -> Iterator[Batch]:
        """The batches of the epoch that comes next."""
        self.close()
        batches = _ahead(self.places(), self.make)
        self._open.append(batches)
        return self._timed(batches)

    def close(self) -> None:
        """End the thread of an epoch that was left early."""
        while self._open:
            self._open.pop().close()

    def _timed(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        while True:
            start = time.perf_counter()
            batch = next(batches, None)
            self.waited += time.perf_counter() - start
            if batch is None:
                return
            yield batch


def _ahead(places: list[Any], make: Callable[[Any], Batch]) -> Generator[Batch]:
    """Each place's batch in turn; where making one takes long, a thread makes the next ones meanwhile."""
    for position, place in enumerate(places):
        start = time.perf_counter()
        batch = make(place)
        seconds = time.perf_counter() - start
        yield batch
        if position and seconds > THREAD_PAYS_SECONDS:  # the first of an epoch may have opened files
            yield from _threaded(places[position + 1 :], make)
            return


def _threaded(places: list[Any], make: Callable[[Any], Batch]) -> Generator[Batch]:
    ready: queue.Queue[Batch | BaseException | None] = queue.Queue(READY_BATCHES)
    over = threading.Event()

    def hand_over(item: Batch | BaseException | None) -> None:
        while not over.is_set():
            with contextlib.suppress(queue.Full):
                ready.put(item, timeout=POLL_SECONDS)
                return

    def work() -> None:
        try:
            for place in places:
                if over.is_set():
                    return
                hand_over(make(place))
        except BaseException as error:  # raised again where the batch was waited for
            hand_over(error)
        else:
            hand_over(None)

    thread = threading.Thread(target=work, name="edgeloop-feed", daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        over.set()
        thread.join()
