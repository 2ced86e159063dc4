"""How far and how fast a training is, and the reports of it."""

from __future__ import annotations

import time
from collections.abc import Callable

from assets.fitting.contract import Progress, Watch
from assets.fitting.prefetch import Feed
from assets.fitting.schedules import Schedule
from assets.fitting.state import State

PROGRESS_SECONDS = 1.0


class ProgressClock:
    """The clock of one training in this process. Validation and checkpoints are left out of its speed."""

    def __init__(self, watch: Watch, state: State, schedule: Schedule, feed: Feed, seconds: float | None) -> None:
        """`seconds` is the longest training; None for no limit."""
        self.watch, self.state, self.schedule, self.feed, self.seconds = watch, state, schedule, feed, seconds
        self._records, self._training_seconds = 0, 0.0
        self._began: float | None = None
        self._reported = time.monotonic()

    def begin(self) -> None:
        """An epoch's first step comes next."""
        self._began = time.monotonic()

    def end(self) -> None:
        """An epoch's last step is done."""
        if self._began is not None:
            self._training_seconds += time.monotonic() - self._began
        self._began = None

    def count(self, records: int) -> None:
        """A step is done, on so many records of all processes."""
        self._records += records

    def report(self, loss: Callable[[], float]) -> None:
        """Tell whoever watches how far it is, unless that was just done.

        Args:
            loss: the epoch's mean so far; asked for only then, as it waits for the device.
        """
        now = time.monotonic()
        if now - self._reported >= PROGRESS_SECONDS:
            self._reported = now
            self.watch.progress(self.progress(), loss())

    def over(self) -> bool:
        """Whether the time that the training may take is spent."""
        return self.seconds is not None and self.state.seconds >= self.seconds

    def progress(self) -> Progress:
        """How far it is."""
        state, steps, epochs = self.state, self.schedule.steps, self.schedule.policy.epochs
        eta = state.seconds / state.step * max(0, steps - state.step) if state.step else None
        if eta is not None and self.seconds is not None:
            eta = min(eta, max(0.0, self.seconds - state.seconds))
        return Progress(min(state.epoch, epochs), epochs, state.step, steps, self.records_per_second, eta)

    @property
    def _training(self) -> float:
        running = 0.0 if self._began is None else time.monotonic() - self._began
        return max(self._training_seconds + running, 1e-9)

    @property
    def records_per_second(self) -> float:
        """Of all processes together."""
        return self._records / self._training

    @property
    def data_wait(self) -> float:
        """Share of the training time that steps waited for their records."""
        return min(1.0, self.feed.waited / self._training)
