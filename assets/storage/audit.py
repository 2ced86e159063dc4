"""Who did what to the data: a log that can only grow, each entry carrying the digest of the one before it.

    audit/000000000001.json   entries of a journal; entry n carries the SHA-256 of entry n - 1
    audit/head/newest.json    position and digest of an entry near the end, to find the end without searching

Whoever can write the store can also write a whole new log. So note the head's digest elsewhere now and then:
`edgeloop audit verify --expect DIGEST` then finds that the log was cut short or written anew.
"""

from __future__ import annotations

import getpass
import hashlib
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from assets.storage import layout
from assets.storage.journal import Journal
from assets.storage.store import Store
from edge.contracts import document, from_bytes, to_bytes
from edge.errors import ContractError, RejectedError

USER_VARIABLE = "EDGELOOP_USER"
MAX_WHY = 1000
MAX_NAME = 200

Action = Literal[
    "landed",
    "accepted",
    "blocked",
    "quarantined",
    "waived",
    "fixed",
    "rejected",
    "revoked",
    "released",
    "forgot",
    "promoted",
]


@document("edgeloop.audit_entry")
@dataclass(frozen=True)
class AuditEntry:
    """One thing that someone did.

    Attributes:
        time: seconds since 1970.
        who: a person or a process, by its own word.
        action: one of `Action`, or of a later version's.
        line: the line it was done to; "" where it is about none.
        subject: digest or name of what it was done to: a batch, record or release.
        why: plain words; never values of records.
        previous: SHA-256 of the entry before, as stored; "" for the first.
    """

    time: float
    who: str
    action: str
    line: str
    subject: str
    why: str
    previous: str


@document("edgeloop.audit_head")
@dataclass(frozen=True)
class _Head:
    position: int
    sha256: str


@dataclass(frozen=True)
class Verified:
    """What `verify` found.

    Attributes:
        entries: how many entries hold, from the first on.
        head: SHA-256 of the last of them: note it elsewhere. "" for an empty log.
        broken_at: position of the first entry that does not hold; None where all do.
        why: what is wrong, or that nothing is, in plain words.
    """

    entries: int
    head: str
    broken_at: int | None
    why: str


def current_user() -> str:
    """$EDGELOOP_USER, else the name of the user this process runs as, else that user's number; never fails."""
    name = os.environ.get(USER_VARIABLE, "")
    if not name.strip():
        try:
            name = getpass.getuser()
        except (OSError, KeyError):  # an unlisted user id, as containers have
            name = f"user {os.getuid()}" if hasattr(os, "getuid") else "unknown"
    return _plain(name.strip(), MAX_NAME)


@dataclass(frozen=True)
class AuditLog:
    """The log below one store."""

    store: Store

    def entries(self) -> Journal[AuditEntry]:
        """Every entry, in order."""
        return Journal(self.store, layout.AUDIT, AuditEntry)

    def record(self, who: str, action: Action, line: str, subject: str, why: str = "") -> AuditEntry:
        """Add an entry; of several writers at once none is lost. Costs a handful of reads however long the log is.

        Args:
            who: `current_user()`, or the name of a process, e.g. "gate".
            why: plain words, at most `MAX_WHY` characters are kept; never values of records.
        """
        journal = self.entries()
        position, previous = _end(self.store, journal)
        while True:
            entry = AuditEntry(
                time.time(),
                _plain(who, MAX_NAME),
                action,
                line,
                _plain(subject, MAX_WHY),
                _plain(why, MAX_WHY),
                previous,
            )
            if journal.append_at(position + 1, entry):
                self.store.save(layout.AUDIT_HEAD, _Head(position + 1, hashlib.sha256(to_bytes(entry)).hexdigest()))
                return entry
            position, previous = _follow(journal, position)

    def latest(self, count: int) -> Iterator[tuple[int, AuditEntry]]:
        """Position and entry of the last `count` entries, in order."""
        journal = self.entries()
        end, _ = _end(self.store, journal)
        return journal.after(max(0, end - count))

    def verify(self, expect: str | None = None) -> Verified:
        """Check the whole chain: every entry's digest against what the next one says of it.

        Finds an entry that was changed, swapped or taken out, and a log that is shorter than its own head says. A log
        that was cut short or rewritten together with its head is found with `expect`.

        Args:
            expect: a head's digest noted earlier; it must still be in the chain.

        Raises:
            RejectedError: `expect` is no digest.
        """
        if expect and not re.fullmatch("[0-9a-f]{64}", expect.lower()):
            raise RejectedError(f"digest {expect[:80]!r}: is not 64 hex digits; give the whole digest that was noted")
        listed = sum(name.endswith(".json") for name in self.store.names(layout.AUDIT))
        head = _load_head(self.store)
        noted = {expect.lower()} if expect else set[str]()
        wanted = noted | ({head.sha256} if head else set())
        journal, seen, previous = self.entries(), set[str](), ""
        for position in range(1, listed + 1):
            problem = None
            if (data := journal.raw(position)) is None:
                problem = "the entry is missing"
            else:
                try:
                    entry = from_bytes(AuditEntry, data, f"entry {position}")
                except ContractError as error:
                    problem = f"the entry cannot be read ({error})"
                else:
                    if entry.previous != previous:
                        problem = _misfit(entry.previous, position, previous)
            if problem is not None or data is None:
                return Verified(position - 1, previous, position, f"entry {position}: {problem}")
            previous = hashlib.sha256(data).hexdigest()
            seen |= {previous} & wanted
        broken_at, why = _ending_problem(listed, head, seen, noted)
        return Verified(listed, previous, broken_at, why or "every entry holds")


def _misfit(named: str, position: int, previous: str) -> str:
    """Why an entry does not follow the one before it."""
    return (
        f"it follows an entry of digest {named[:12] or 'none'}…, but entry {position - 1} has "
        f"{previous[:12] or 'none'}…: one of the two was changed, swapped, or others were taken out"
    )


def _ending_problem(entries: int, head: _Head | None, seen: set[str], noted: set[str]) -> tuple[int | None, str]:
    """What the log's own head or the digest noted elsewhere says is gone: the first lost position, and why."""
    if head is not None and head.position > entries:
        return entries + 1, f"the log ends before entry {head.position}, which was there: it was cut"
    if head is not None and head.sha256 not in seen:
        return head.position, f"entry {head.position} is not the one that was written: it was written anew"
    if missing := noted - seen:
        digest = missing.pop()[:12]
        return entries + 1, f"no entry has the digest {digest}…: the log was cut or written anew since that was noted"
    return None, ""


def _load_head(store: Store) -> _Head | None:
    try:
        return store.load(layout.AUDIT_HEAD, _Head)
    except (FileNotFoundError, ContractError):
        return None


def _end(store: Store, journal: Journal[AuditEntry]) -> tuple[int, str]:
    """Position and digest of the last entry, from the head on; searched for where there is none."""
    head = _load_head(store)
    if head is not None and (data := journal.raw(head.position)) is not None:
        return _follow(journal, head.position - 1, data)
    position = journal.length()
    return _follow(journal, position - 1) if position else (0, "")


def _follow(journal: Journal[AuditEntry], position: int, data: bytes | None = None) -> tuple[int, str]:
    """The last entry, walking forwards from the one after `position`."""
    data = data or journal.raw(position + 1)
    last = b""
    while data is not None:
        last, position = data, position + 1
        data = journal.raw(position + 1)
    return position, hashlib.sha256(last).hexdigest() if last else ""


def _plain(text: str, limit: int) -> str:
    """Text of one line that can be stored and shown."""
    kept = "".join(character if character.isprintable() else " " for character in text[:limit])
    return kept.encode("utf-8", "backslashreplace").decode()
