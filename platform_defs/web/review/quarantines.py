"""The lines' quarantines that the pages below `/review/` work on: read once, continued at each request."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from assets.line.config import Line
from assets.records.line_store import LineStore
from assets.records.verdict import BatchVerdict
from assets.review.state import State
from assets.review.summary import Group, groups
from assets.storage.store import Store


@dataclass
class Quarantine:
    """One line's quarantine while a request has it: its journal as far as it was read, and counts made before."""

    line: Line
    state: State
    counted: dict[str, tuple[object, list[Group]]] = field(default_factory=dict)

    def groups(self, verdict: BatchVerdict) -> list[Group]:
        """`assets.review.summary.groups`, kept as long as nothing was decided about the batch."""
        state, batch = self.state, verdict.batch
        stamp = (verdict.quarantine, state.expired(), len(state.releases()), state.position)
        stamp = stamp if state.of(batch) else (verdict.quarantine, 0, 0, 0)
        if batch not in self.counted or self.counted[batch][0] != stamp:
            self.counted[batch] = (stamp, groups(state, verdict))
        return self.counted[batch][1]


class Quarantines:
    """Every line's quarantine; one request at a time is in it."""

    def __init__(self, store: Store, find: Callable[[str], Line]) -> None:
        self._store, self._find = store, find
        self._lock = threading.Lock()
        self._quarantines: dict[str, tuple[threading.Lock, Quarantine]] = {}

    @contextlib.contextmanager
    def enter(self, name: str) -> Iterator[Quarantine]:
        """The line's quarantine, up to date. Raises LineError where there is no such line."""
        line = self._find(name)
        with self._lock:
            if name not in self._quarantines:
                self._quarantines[name] = (threading.Lock(), Quarantine(line, State(LineStore(self._store, name))))
            lock, quarantine = self._quarantines[name]
        with lock:
            quarantine.line = line
            quarantine.state.refresh()
            yield quarantine
