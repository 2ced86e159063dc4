"""Who looks on while a model is trained: the run's page, a live page with curves, TensorBoard.

Nothing here can stop a training: what cannot be written is said once, and left alone.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Self

from assets.errors import RejectedError
from assets.fitting.contract import Progress
from assets.pages.urls import page_url
from assets.records.line_store import LineStore
from assets.storage import layout
from assets.training.progress.live import Live, live_page, numbers
from assets.training.progress.tensorboard import Scalars

PAGE_SECONDS = 2.0
"""The live page is written anew at most so often."""
LOG_SECONDS = 5.0
"""A line in the run's page, at most so often."""
OBSERVE_SECONDS = 2.0
OBSERVATIONS = 200
"""A long training is observed about so many times, so that its plot and the event log stay small."""
MAX_NOTES = 20


class RunWatch:
    """Implements `assets.fitting.contract.Watch`; a context manager around one training.

    The rows of epochs that a crash lies behind are taken up from beside the live page, where the same training goes on.

    Attributes:
        url: where people open the live page.
    """

    def __init__(
        self,
        line: LineStore,
        training: str,
        *,
        report: Callable[[str], None],
        send: Callable[[Mapping[str, Any]], None] = lambda message: None,
        metric: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is written before the block is entered.

        Args:
            training: names it; the same again where it goes on after a crash.
            report: a line of text for people.
            send: hands JSON to the parent process (see `assets.processes.worker.Job.send`).
            metric: what chooses the epoch.
        """
        self._store, self._key = line.store, layout.training_page(line.name, training)
        self._report, self._send, self._clock = report, send, clock
        self.url = page_url(self._key)
        self._live = Live(line.name, training, metric, rows=self._earlier())
        self._scalars = Scalars(line, training)
        self._page = _Latest(self._write)
        self._began = clock()
        self._said = self._seen = -1e9

    def __enter__(self) -> Self:
        self._page.start()
        where = self._scalars.open(first_epoch=len(self._live.rows) + 1)
        self._live = replace(self._live, tensorboard=where, state="running", began=time.time())
        self._show()
        self._report(f"watch it live: {self.url}")
        self._observe({"text": "training begins"})
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            why = str(error) if isinstance(error, RejectedError) else "it ended with an error; the run's page has it"
            self._live = replace(self._live, state="failed", doing=why)
        elif self._live.state == "running":
            self._live = replace(self._live, state="ended")
        self._show()
        self._page.stop()
        self._scalars.close()

    def progress(self, progress: Progress, loss: float) -> None:
        """See `assets.fitting.contract.Watch`."""
        self._live = replace(self._live, progress=progress, loss=loss, doing="")
        self._show()
        self._tell()

    def epoch(self, row: Mapping[str, float], progress: Progress) -> None:
        """See `assets.fitting.contract.Watch`."""
        number = row.get("epoch", 0.0)
        rows = tuple(kept for kept in self._live.rows if kept.get("epoch", 0.0) < number)
        self._live = replace(self._live, progress=progress, rows=(*rows, dict(row)), doing="")
        self._scalars.add(row, progress)
        self._show()
        self._tell(last=progress.epoch >= progress.epochs)

    def note(self, text: str) -> None:
        """One sentence for people, which stays on the live page."""
        self._live = replace(self._live, notes=(*self._live.notes, text)[-MAX_NOTES:])
        self._show()
        self._report(text)

    def say(self, text: str) -> None:
        """What happens now, besides training."""
        self._live = replace(self._live, doing=text)
        self._show()
        self._report(text)

    def done(self, card: str = "") -> None:
        """Training is over.

        Args:
            card: the model card's key.
        """
        self._live = replace(self._live, state="done", doing="", card=page_url(card) if card else "")
        self._show()

    def _tell(self, *, last: bool = False) -> None:
        now, progress = self._clock(), self._live.progress
        assert progress is not None
        text = self._live.sentence()
        if last or now - self._said >= LOG_SECONDS:
            self._said = now
            self._report(text)
        whole = now - self._began + (progress.eta_seconds or 0.0)
        if last or now - self._seen >= max(OBSERVE_SECONDS, whole / OBSERVATIONS):
            self._seen = now
            self._observe({**self._live.figures(), "text": text})

    def _observe(self, figures: Mapping[str, Any]) -> None:
        with contextlib.suppress(OSError):
            self._send({"progress": {**figures, "page": self.url}})

    def _show(self) -> None:
        self._page.put(replace(self._live, said=time.time()))

    def _write(self, live: Live) -> None:
        self._store.write(self._key.removesuffix(".html") + ".json", numbers(live))
        self._store.write(self._key, live_page(live).encode())
        self._scalars.keep()

    def _earlier(self) -> tuple[Mapping[str, float], ...]:
        try:
            kept = json.loads(self._store.read(self._key.removesuffix(".html") + ".json"))
            return tuple({name: float(value) for name, value in row.items()} for row in kept["rows"])
        except (FileNotFoundError, ValueError, KeyError, AttributeError, TypeError):
            return ()


@dataclass
class _Latest:
    """Writes the newest state in a thread of its own, so that no step waits for a disk or a bucket."""

    write: Callable[[Live], None]
    _state: Live | None = None
    _news: threading.Event = field(default_factory=threading.Event)
    _over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="live-page", daemon=True)
        self._thread.start()

    def put(self, state: Live) -> None:
        self._state = state
        self._news.set()

    def stop(self) -> None:
        self._over.set()
        self._news.set()
        if self._thread is not None:
            self._thread.join(30)

    def _run(self) -> None:
        while True:
            self._news.wait()
            over = self._over.is_set()  # before the state is taken: the last one is written
            self._news.clear()
            state, self._state = self._state, None
            if state is not None:
                with contextlib.suppress(OSError):  # a full disk: training itself will say so
                    self.write(state)
            if over:
                return
            self._over.wait(PAGE_SECONDS)
