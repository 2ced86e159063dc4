"""Which batches a line's landing journal lists: told without reading it through, and each listed exactly once.

    landing/<line>/.ready/<batch>.json       made just before the batch is listed: after which position its entry stands
    landing/<line>/.ready/<batch>.<again>    the same for each time it is to be judged anew
    landing/<line>/.drops/<n>.json           the folders that the n-th thousand of entries names, to compare quickly

Whoever lists a batch makes the pointer first (the first writer's counts) and walks the journal from there, so several
writers at once, and one that was killed and comes again, add one entry together (`Journal.append_once`). The thousands
are copies of what the journal says; without them they are made again.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass

import fsspec

from assets.errors import RejectedError
from assets.records.batch import Landing
from assets.records.line_store import LineStore
from assets.storage import layout
from assets.storage.store import Store
from edge.contracts import check_sha256, document, from_bytes, to_bytes

THOUSAND = 1000


@document("edgeloop.listing")
@dataclass(frozen=True)
class Listing:
    """A pointer into the landing journal: the batch's entry, once it is there, stands after position `after`."""

    batch: str
    drop: str
    after: int


def known(line: LineStore, batch: str) -> Landing | None:
    """The first journal entry of a batch; None where it is not listed. Reads a few entries, however many there are."""
    try:
        check_sha256(batch)
        after = _after(line.store, layout.ready(line.name, batch, ""))
    except (FileNotFoundError, ValueError):
        return None
    entries = line.landings().after(after)
    return next((landing for _, landing in entries if landing.batch == batch), None)


def list_batch(line: LineStore, landing: Landing) -> bool:
    """List a batch in the landing journal, unless it is listed for the same reason; whether it was listed now."""
    journal = line.landings()
    key = layout.ready(line.name, landing.batch, landing.again)
    if not line.store.exists(key):
        line.store.create(key, to_bytes(Listing(landing.batch, landing.drop, journal.length())))

    def same(entry: Landing) -> bool:
        return (entry.batch, entry.again) == (landing.batch, landing.again)

    return journal.append_once(landing, same, _after(line.store, key))[1]


def unlisted_drops(line: LineStore) -> list[str]:
    """Folders directly below `landing/<line>/` that no journal entry names, sorted; hidden ones are passed over.

    One listing of the names, without a look into any folder, and a read for each thousand of entries.
    """
    names = set(
        names_below(line.store, layout.landing(line.name))
    )  # first: what is listed meanwhile is in the journal already
    for drops in _listed_drops(line):
        names.difference_update(drops)
    return sorted(name for name in names if not name.startswith("."))


def names_below(store: Store, prefix: str) -> list[str]:
    """Names directly below `prefix`, in no order; no file is looked at, and no older listing is taken for today's."""
    if store.local:
        try:
            return os.listdir(store.path(prefix))  # noqa: PTH208 -- a million names, so no object for each
        except (FileNotFoundError, NotADirectoryError):
            return []
    fsspec.core.url_to_fs(store.root)[0].invalidate_cache(store.path(prefix))
    return store.names(prefix)


def _listed_drops(line: LineStore) -> Iterator[list[str]]:
    """The folders that the journal names, a thousand entries at a time."""
    journal = line.landings()
    part = 0
    while True:
        key = layout.drops(line.name, part)
        drops = _read_drops(line.store, key)
        if drops is None:
            drops = [landing.drop for _, landing in journal.after(part * THOUSAND, THOUSAND)]
            if len(drops) == THOUSAND:
                with contextlib.suppress(OSError):  # a copy that cannot be kept is made again next time
                    line.store.write(key, json.dumps(drops).encode())
        yield drops
        if len(drops) < THOUSAND:
            return
        part += 1


def _read_drops(store: Store, key: str) -> list[str] | None:
    try:
        drops = json.loads(store.read(key))
    except (FileNotFoundError, ValueError):
        return None
    whole = isinstance(drops, list) and len(drops) == THOUSAND and all(isinstance(drop, str) for drop in drops)
    return drops if whole else None


def _after(store: Store, key: str) -> int:
    """Where a pointer says to look from; one that cannot be read says from the start. Raises FileNotFoundError."""
    data = store.read(key)
    try:
        return max(0, from_bytes(Listing, data, key).after)
    except RejectedError:
        return 0
