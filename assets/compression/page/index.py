"""The page over a line's searches: made anew from what the store holds."""

from __future__ import annotations

from dataclasses import dataclass

from assets.compression.documents import Candidates, ChosenModel
from assets.compression.page.make import environment
from assets.records.line_store import LineStore
from assets.storage import layout
from assets.storage.store import Store

MAX_SEARCHES = 200


@dataclass(frozen=True)
class Entry:
    """A search on the page.

    Attributes:
        file: its page, beside this one.
    """

    file: str
    name: str
    position: int
    why: str


def write_index(store: Store, found: Candidates, chosen: ChosenModel | None, why_not: str, key: str) -> None:
    """Write the page anew: the newest search first, then those whose choice was kept, of later datasets first.

    Args:
        found, chosen, why_not: the newest search, whose page is `key`.
    """
    said = why_not.partition("\n")[0].removesuffix(":").removesuffix("; nearest first")
    newest = _entry(chosen, key) if chosen is not None else Entry(_file(key), "nothing fits", found.position, said)
    entries = {newest.file: newest}
    for kept in LineStore(store, found.line).results(ChosenModel):
        if kept.page and store.exists(kept.page):
            entries.setdefault(_file(kept.page), _entry(kept, kept.page))
    rows = sorted(entries.values(), key=lambda entry: (entry is not newest, -entry.position, entry.file))
    more = max(0, len(rows) - MAX_SEARCHES)
    page = (
        environment().get_template("compressions.html").render(line=found.line, entries=rows[:MAX_SEARCHES], more=more)
    )
    store.write(layout.searches(found.line), page.encode("utf-8", "replace"))


def _entry(chosen: ChosenModel, key: str) -> Entry:
    return Entry(_file(key), chosen.candidate.name, chosen.position, chosen.why)


def _file(key: str) -> str:
    return key.rpartition("/")[2]
