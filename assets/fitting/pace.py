"""How fast a training is, and who is told."""

from __future__ import annotations

import time

from assets.fitting.contract import Progress
from assets.fitting.prefetch import Feed
from assets.fitting.schedules import Schedule
from assets.fitting.state import State
from assets.fitting.work import Work

PROGRESS_SECONDS = 1.0


class Pace:
    """The clock of one training in this process. Validation and checkpoints are left out of its speed."""

    def __init__(self, work: Work, state: State, schedule: Schedule, feed: Feed) -> None:
        self.work, self.state, self.schedule, self.feed = work, state, schedule, feed
        self._records, self._seconds = 0, 0.0
        self._began: float | None = None
        self._told = time.monotonic()

    def begin(self) -> None:
        """An epoch's first step comes next."""
        self._began = time.monotonic()

    def end(self) -> None:
        """An epoch's last step is done."""
        if self._began is not None:
            self._seconds += time.monotonic() - self._began
        self._began = None

    def count(self) -> None:
        """A step is done."""
        self._records += self.work.sampling.batch_size

    def tell(self) -> None:
        """Tell whoever watches how far it is, unless that was just done."""
        now = time.monotonic()
        if now - self._told >= PROGRESS_SECONDS:
            self._told = now
            self.work.watch.progress(self.progress(), float(self.state.loss_sum) / max(1, self.state.loss_records))

    def over(self) -> bool:
        """Whether the time that the training may take is spent."""
        return self.work.seconds is not None and self.state.seconds >= self.work.seconds

    def progress(self) -> Progress:
        """How far it is."""
        state, steps, epochs = self.state, self.schedule.steps, self.work.policy.epochs
        eta = state.seconds / state.step * max(0, steps - state.step) if state.step else None
        if eta is not None and self.work.seconds is not None:
            eta = min(eta, max(0.0, self.work.seconds - state.seconds))
        return Progress(min(state.epoch, epochs), epochs, state.step, steps, self.records_per_second, eta)

    @property
    def _training(self) -> float:
        running = 0.0 if self._began is None else time.monotonic() - self._began
        return max(self._seconds + running, 1e-9)

    @property
    def records_per_second(self) -> float:
        """Of all processes together."""
        return self._records / self._training

    @property
    def data_wait(self) -> float:
        """Share of the training time that steps waited for their records."""
        return min(1.0, self.feed.waited / self._training)
