"""The slow scan of a line: what others put into its landing zone, and what a kill left unlisted."""

from __future__ import annotations

from dataclasses import dataclass

from assets.ingest.inbox import QUIET_SECONDS, pick_up
from assets.ingest.landing import journal_unlisted
from assets.records.line_store import BoundLine
from assets.records.reason import Reason


@dataclass(frozen=True)
class Scanned:
    """What the slow scan did.

    Attributes:
        landed: batches that came from the inbox, new or known.
        added: how many ready folders it listed in the landing journal.
        waiting: drops in the inbox that are not quiet yet.
        broken: what cannot be landed, and what to do.
    """

    landed: tuple[str, ...]
    added: int
    waiting: int
    broken: tuple[Reason, ...]


def scan(line: BoundLine, quiet: float = QUIET_SECONDS) -> Scanned:
    """Land what lies ready in the inbox and list ready folders that the journal does not list. Slow: it lists names.

    Its time grows with the number of folders below `landing/<line>/`, which are only named, and with the files in the
    inbox; killed and repeated, it lands nothing twice.

    Raises:
        OSError: the landing zone cannot be read or written.
    """
    picked = pick_up(line, quiet)
    found = journal_unlisted(line)
    return Scanned(picked.landed, len(found.added), picked.waiting, (*picked.problems, *found.broken))
