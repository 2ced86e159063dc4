"""The slow scan beside the sensors: a tick waits for it a moment, and takes its result now or in a later tick.

A listing of a bucket or a drop of many gigabytes may take minutes, and a sensor has one. The thread dies with the
code location; the next scan does what it had not done.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from assets.ingest.scan import Scanned, scan
from assets.line.config import Line
from assets.records.line_store import BoundLine, bind
from assets.storage.store import Store

WAIT_SECONDS = 2.0
"""Less than `locks.SENSOR_SECONDS`: the line is locked meanwhile."""


@dataclass
class _Scan:
    """A scan under way or done."""

    store: Store
    line: Line
    done: threading.Event = field(default_factory=threading.Event)
    result: Scanned | None = None
    error: Exception | None = None

    def run(self) -> None:
        try:
            self.result = scan(bind(self.store, self.line))
        except Exception as error:  # told by the tick that takes the result
            self.error = error
        finally:
            self.done.set()


_scans: dict[tuple[str, str], _Scan] = {}
_lock = threading.Lock()


def scan_beside(line: BoundLine, wait_seconds: float | None = None) -> Scanned | None:
    """Start the line's slow scan, unless one is under way; its result, or None where it takes longer than the wait.

    Raises:
        Exception: what the scan raised, once.
    """
    key = (line.store.root, line.name)
    with _lock:
        work = _scans.get(key)
        if work is None:
            work = _scans[key] = _Scan(line.store, line.line)
            threading.Thread(target=work.run, name=f"scan of {line.name}", daemon=True).start()
    if not work.done.wait(WAIT_SECONDS if wait_seconds is None else wait_seconds):
        return None
    with _lock:
        _scans.pop(key, None)
    if work.error is not None:
        raise work.error
    return work.result
