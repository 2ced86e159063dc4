"""What a sensor's read of the landing journal costs with more and more batches behind it."""

from __future__ import annotations

import hashlib
import tempfile
import time
from typing import Any

from assets.records.batch import Landing
from assets.records.line_store import LineStore
from assets.storage.store import Store

SIZES = (100, 1_000, 10_000)
NEW = 10


def measure() -> list[dict[str, Any]]:
    """Seconds to find `NEW` landings after the cursor, against listing the journal's folder."""
    rows = []
    for size in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            store = Store(folder)
            journal = LineStore(store, "bench").landings()
            for number in range(1, size + NEW + 1):
                batch = hashlib.sha256(str(number).encode()).hexdigest()
                journal.append_at(number, Landing(batch, f"drop-{number}", 0.0))
            began = time.perf_counter()
            found = list(journal.after(size))
            read = time.perf_counter() - began
            began = time.perf_counter()
            listed = len(store.names("landing/bench/.journal"))
            listing = time.perf_counter() - began
            assert (len(found), listed) == (NEW, size + NEW)
            rows.append({"landed": size, "read_new_s": read, "list_all_s": listing, "ratio": listing / read})
    return rows
