"""The inbox of a line: plain files and folders that people and tools drop without ours, landed once they are quiet.

    landing/<line>/inbox/<name>           a file or folder: one batch, as `edgeloop land` would make it
    landing/<line>/inbox/<name>.done      makes a file ready at once; `_SUCCESS` or `.done` inside does so for a folder
    landing/<line>/.inbox/seen.json       what every drop looked like when it was last looked at
    landing/<line>/.inbox/taken/<n>.json  a drop whose batch is listed, and which of its files are to be cleared away
    landing/<line>/.left-out/<batch>/     files of a drop that could not be landed: moved here, so nothing is lost

Without a marker a drop is ready when two looks, at least `EDGELOOP_QUIET_SECONDS` (60) apart, find the same names,
sizes and times. Files are cleared away only after their batch is listed, and only as they were when they were looked
at: a kill in between lands the same batch again, and a file that changed meanwhile stays and becomes another batch.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from assets.errors import RejectedError, TransientError
from assets.ingest.inbox_files import MAX_ENTRIES, InboxFiles
from assets.ingest.landing import Landed, land, load_manifest
from assets.ingest.listing import names_below
from assets.records.line_store import BoundLine, LineStore, bind
from assets.records.paths import is_system_name, is_unfinished, name_problem, shown, system_part
from assets.records.reason import Reason
from assets.records.verdict import rules_digest
from assets.storage import layout
from edge.contracts import document

QUIET_SECONDS = float(os.environ.get("EDGELOOP_QUIET_SECONDS", "60"))
MOST_DROPS = 1000
"""Drops that one scan looks into; the others wait for the next."""
FILE_MARKER = ".done"
FOLDER_MARKERS = (".done", "_SUCCESS")


@dataclass(frozen=True)
class Seen:
    """A drop at the last look: the digest of its names, sizes and times, since when, and why it cannot be landed."""

    looks: str
    since: float
    problem: str = ""


@document("edgeloop.inbox_seen")
@dataclass(frozen=True)
class InboxSeen:
    """Every drop of a line's inbox at the last look, by its name."""

    drops: Mapping[str, Seen] = field(default_factory=dict)


@document("edgeloop.inbox_taken")
@dataclass(frozen=True)
class Taken:
    """A drop that landed as `batch`: its files (path in the inbox to how it looked) are to be cleared away.

    Attributes:
        aside: those of them that did not land; they move to `.left-out`, the others are removed.
    """

    name: str
    batch: str
    files: Mapping[str, str]
    aside: tuple[str, ...]


@dataclass(frozen=True)
class PickedUp:
    """What a look into the inbox did: batches that landed, how many drops are not quiet yet, and what is wrong."""

    landed: tuple[str, ...] = ()
    waiting: int = 0
    problems: tuple[Reason, ...] = ()


def pick_up(line: BoundLine, quiet: float = QUIET_SECONDS) -> PickedUp:
    """Land each drop of the line's inbox that is ready, and clear it away. What is wrong with one stops no other.

    Its time grows with the files in the inbox, which holds only what has not landed yet.

    Args:
        quiet: seconds without a change after which a drop without a marker is complete.
    """
    work = _Work(line, quiet, time.time())
    held = {name for key in _taken_keys(line) if (name := work.clear(key))}
    names = {name for name in names_below(line.store, layout.inbox(line.name)) if not is_system_name(name)}
    before = _load_seen(line) if names else {}
    everything = frozenset(names)
    looked = 0
    for name in sorted(names - held):
        if name.endswith(FILE_MARKER) and name.removesuffix(FILE_MARKER) in everything:
            continue
        looked += 1
        if looked - len(work.problems) > MOST_DROPS:
            work.waiting += 1
            continue
        work.look(name, before.get(name), f"{name}{FILE_MARKER}" in everything)
    if names and work.seen != before:
        line.store.save(layout.inbox_seen(line.name), InboxSeen(work.seen))
    return PickedUp(tuple(work.landed), work.waiting, tuple(work.problems))


class _Work:
    """One look into the inbox."""

    def __init__(self, line: BoundLine, quiet: float, now: float) -> None:
        self._store, self._line, self._quiet, self._now = line.store, line.line, quiet, now
        self._inbox = InboxFiles(line.store, line.name)
        self.seen: dict[str, Seen] = {}
        self.landed: list[str] = []
        self.problems: list[Reason] = []
        self.waiting = 0

    def look(self, name: str, before: Seen | None, marked: bool) -> None:
        """Land the drop if it is ready, else remember how it looks."""
        if (problem := name_problem(name)) is not None:
            self._tell(name, f"{problem}; rename it")
            return
        files = self._inbox.files(name, f"{name}{FILE_MARKER}" if marked else None)
        if files is None:
            self._tell(name, "it is a link, pipe or device, which is never opened; put the file itself there")
            return
        if not files:
            return  # an empty folder: somebody is about to fill it
        if len(files) > MAX_ENTRIES:
            self._tell(name, f"more than {MAX_ENTRIES:,} files; put it there in several parts")
            return
        if half := next((path for path in files if any(map(is_unfinished, path.split("/")))), None):
            # Neither landed nor taken away, whatever its marker says: what is finished next to it waits for it.
            self._tell(name, f"{half} is an unfinished copy; it lands once that is finished, or gone")
            self.waiting += 1
            return
        looks = _digest(files, rules_digest(self._line))
        same = before is not None and before.looks == looks and before.since <= self._now
        seen = before if same and before is not None else Seen(looks, self._now)
        self.seen[name] = seen
        ready = marked or any(f"{name}/{marker}" in files for marker in FOLDER_MARKERS)
        if seen.problem:
            self._tell(name, seen.problem)
        elif ready or (same and self._now - seen.since >= self._quiet):
            self._land(name, files, seen)
        else:
            self.waiting += 1

    def _land(self, name: str, files: Mapping[str, str], seen: Seen) -> None:
        try:
            landed = land(bind(self._store, self._line), self._inbox.source(name))
        except RejectedError as error:  # the same files would be refused again: not read again until they change
            self.seen[name] = replace(seen, problem=str(error))
            self._tell(name, str(error))
            return
        except TransientError as error:
            self._tell(name, str(error))
            return
        key = f"{layout.inbox_taken(self._line.name)}/{hashlib.sha256(name.encode()).hexdigest()[:32]}.json"
        # Files whose names cannot be kept stay in the inbox, and are told.
        named = {path: stamp for path, stamp in files.items() if name_problem(path) is None}
        self._store.save(key, Taken(name, landed.batch, named, self._not_landed(name, named, landed)))
        self.landed.append(landed.batch)
        del self.seen[name]
        self.clear(key)

    def _not_landed(self, name: str, files: Mapping[str, str], landed: Landed) -> tuple[str, ...]:
        """Files of a drop that its batch does not hold; where nothing was left out, it holds what archives held."""
        if not any(reason.outcome == "refused" for reason in landed.skipped):
            return ()
        manifest = load_manifest(LineStore(self._store, self._line.name), landed.drop, landed.batch)
        held = {path for file in manifest.files for path in (file.path, f"{name}/{file.path}")}
        markers = {f"{name}/{marker}" for marker in FOLDER_MARKERS}
        return tuple(path for path in files if path not in held and path not in markers and not system_part(path))

    def clear(self, key: str) -> str | None:
        """Clear a taken drop away, however often that was begun; its name where it could not be done."""
        try:
            taken = self._store.load(key, Taken)
        except (FileNotFoundError, RejectedError):
            return None  # another scan did
        left_out, aside = layout.left_out(self._line.name, taken.batch), frozenset(taken.aside)
        try:
            for path, looked in taken.files.items():
                self._inbox.clear(path, looked, left_out if path in aside else None)
        except OSError as error:
            why = error.strerror or str(error)
            self._tell(taken.name, f"it has landed, but cannot be taken out of the inbox ({why}); remove it by hand")
            return taken.name
        self._inbox.remove_empty(taken.name)
        self._inbox.forget(key)
        return None

    def _tell(self, name: str, problem: str) -> None:
        reason, _, remedy = problem.rpartition("; ")
        place = f"{layout.INBOX}/{name.encode('utf-8', 'backslashreplace').decode()}"
        self.problems.append(Reason(place, "whole drop", "refused", reason or shown(problem), remedy))


def _load_seen(line: LineStore) -> Mapping[str, Seen]:
    try:
        return line.store.load(layout.inbox_seen(line.name), InboxSeen).drops
    except (FileNotFoundError, RejectedError):
        return {}  # every drop is looked at once more before it lands


def _digest(files: Mapping[str, str], rules: str) -> str:
    return hashlib.sha256(
        "\0".join([rules, *(f"{path}\0{files[path]}" for path in sorted(files))]).encode("utf-8", "surrogateescape")
    ).hexdigest()


def _taken_keys(line: LineStore) -> list[str]:
    names = names_below(line.store, layout.inbox_taken(line.name))
    return [f"{layout.inbox_taken(line.name)}/{name}" for name in sorted(names) if not name.startswith(".")]
