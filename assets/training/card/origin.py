"""Which batch each record came in with."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence

from assets.errors import RejectedError
from assets.records.dataset import DatasetVersion
from assets.records.forgotten import fetch_shard
from assets.records.verdict import BatchVerdict
from assets.storage import layout
from assets.storage.store import Store
from assets.training.card.data import Batch
from edge.errors import ContractError, VerificationError

MAX_BATCHES = 40
MOST_BYTES = 512_000_000
"""Of lists of ids: larger ones are not read for a card."""


def batches_of(store: Store, dataset: DatasetVersion) -> tuple[tuple[Batch, ...], int]:
    """The newest batches, newest first, with links from the card to their reports, and how many are left out."""
    shown = []
    for batch in reversed(dataset.batches[-MAX_BATCHES:]):
        there = store.exists(layout.report(dataset.line, batch))
        shown.append(Batch(batch, f"../{batch}/index.html" if there else ""))
    return tuple(shown), max(0, len(dataset.batches) - MAX_BATCHES)


def batch_names(store: Store, dataset: DatasetVersion, ids: Sequence[str]) -> list[str] | None:
    """The batch of each record, by its first digits; None where there is one only, or it cannot be told."""
    if len(dataset.batches) < 2:
        return None
    import pyarrow.parquet as pq

    wanted, found, read = set(ids), dict[str, str](), 0
    for number, batch in enumerate(dataset.batches, 1):
        with contextlib.suppress(
            FileNotFoundError, ContractError, VerificationError, RejectedError, OSError, ValueError
        ):
            index = store.load(layout.verdict(dataset.line, batch), BatchVerdict).ids
            if index is None:
                continue
            read += index.size
            if read > MOST_BYTES:
                return None
            table = pq.read_table(io.BytesIO(fetch_shard(store, index)), columns=["_id"])
            name = f"{number}: {batch[:8]}"
            for identity in wanted.intersection(map(bytes.hex, table.column("_id").to_pylist())):
                found.setdefault(identity, name)
    return [found.get(identity, "") for identity in ids] if found else None
