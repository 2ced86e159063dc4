"""Lands a source as a batch: files first, their manifest last, then the journal.

    landing/<line>/<drop>/files/…         the batch's files
    landing/<line>/<drop>/manifest.json   appears last: from then on the batch is ready
    landing/<line>/.journal/              what became ready, in order (`new_batch_sensor` reads it)
    landing/<line>/.ready/<batch>.json    where in the journal to find the batch (`listing`)

Killed at any point, a batch is not ready, or ready and found by `journal_unlisted`; landing it again completes it.
Landing a known batch again also copies anew what was lost or damaged in the landing zone since.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from assets.errors import LandingError, RejectedError
from assets.ingest.copying import Taking
from assets.ingest.listing import known as known_landing
from assets.ingest.listing import list_batch, unlisted_drops
from assets.ingest.privacy.erased import load_erased, not_erased
from assets.ingest.sources.collecting import Collected, Limits, Progress, SourceFile, collect, shown_source
from assets.records.batch import BatchManifest, LandedFile, Landing, LeftOut
from assets.records.limits import MAX_BATCH_BYTES, MAX_FILES, MAX_LEFT_OUT, largest_file
from assets.records.line_store import BoundLine, LineStore
from assets.records.paths import name_problem, shown
from assets.records.reason import Reason
from assets.records.verdict import rules_digest
from assets.storage import layout
from assets.storage.audit import AuditLog, current_user
from assets.storage.scratch import scratch_folder, scratch_root
from assets.storage.store import Store
from assets.storage.streams import file_size, holds
from edge.contracts import digest, from_bytes, to_bytes
from edge.contracts.codec import MAX_DOCUMENT_BYTES


@dataclass(frozen=True)
class Landed:
    """What `land` did.

    Attributes:
        batch: the batch's id, SHA-256 of its manifest.
        drop: its folder below `landing/<line>/`.
        files: how many files it has.
        skipped: what was left in the source, and why.
        new: False where the same batch had been landed before.
        repaired: paths of files that were landed before, lost or damaged since, and copied anew.
        again: whether the known batch was listed once more, to be judged anew.
    """

    batch: str
    drop: str
    files: int
    skipped: tuple[Reason, ...]
    new: bool
    repaired: tuple[str, ...] = ()
    again: bool = False


@dataclass(frozen=True)
class Unlisted:
    """What `journal_unlisted` did: batches it added to the journal, and folders whose manifest is broken."""

    added: tuple[Landing, ...]
    broken: tuple[Reason, ...]


def land(line: BoundLine, source: str | Path, tell: Progress | None = None, corrections: bool = False) -> Landed:
    """Copy a source's plain files into the landing zone and declare them as a batch, manifest last.

    Archives in the source are unpacked, files of other machines fetched, each once, into a scratch folder that is
    removed at the end. What is left in the source stands in the manifest, so the gate counts it as refused: a row for
    each thing, and where there are more than `MAX_LEFT_OUT`, one last row that says how many more.

    The same files are the same batch: landing them again changes nothing that is whole. It completes what a kill cut
    short, copies damaged files anew, and lists the batch once more where it may be judged anew: damaged files were
    replaced, or it was blocked under rules that the line has changed since. An accepted batch stays accepted.

    Args:
        source: a folder, one file, or an fsspec URL of one; archives among them are unpacked.
        tell: told what is done, bytes so far and bytes in all.
        corrections: whether its records replace accepted ones of the same input under another label; the same files
            without it are another batch.

    Raises:
        LandingError: the source is missing, empty, too large, or changes while it is read.
        TransientError: another machine is away, or the landing zone cannot be written, e.g. its disk is full.
    """
    from assets.ingest.privacy.guard import guard_source  # lazily: Arrow is heavy for a sensor's tick

    forbidden = line.store.folder if line.store.local else None
    reader = line.config.data.reader
    limits = Limits(lambda path: largest_file(reader, path), MAX_FILES, MAX_BATCH_BYTES, MAX_BATCH_BYTES)
    name = shown_source(source)
    with scratch_folder(scratch_root(line.store)) as scratch:
        found = collect(source, limits, scratch, forbidden, tell)
        return land_collected(line, guard_source(line, found, scratch, name), Taking(name, tell), corrections)


def land_collected(line: BoundLine, found: Collected, taking: Taking, corrections: bool = False) -> Landed:
    """Land files that were collected; see `land`."""
    from assets.ingest.privacy.guard import note_filtered

    skipped = tuple(found.skipped)
    manifest = BatchManifest(line.name, taking.declare(found.files), _left_out(skipped), corrections)
    data, batch = to_bytes(manifest), digest(manifest)
    if len(data) > MAX_DOCUMENT_BYTES:
        raise LandingError(f"{taking.name}: its paths are too many for one manifest; land it in several parts")
    known = known_landing(line, batch)
    drop = known.drop if known else batch[:16]
    declared = dict(zip(manifest.files, found.files, strict=True))
    repaired: tuple[str, ...] = ()
    note_filtered(line, drop)
    if known or line.store.exists(layout.manifest(line.name, drop)):
        kept = not_erased(manifest.files, load_erased(line, drop))
        repaired = _repair(line, drop, {file: declared[file] for file in kept}, data, taking)
    else:
        taking.copy(line.store, layout.landed_files(line.name, drop), declared)
        line.store.create(layout.manifest(line.name, drop), data)
    if known is None:
        # Before it is listed: a kill in between has it on record twice, rather than never.
        AuditLog(line.store).record(
            current_user(), "landed", line.name, batch, f"{len(declared):,} files, {len(skipped):,} left out"
        )
        new = list_batch(line, Landing(batch, drop, time.time()))
        return Landed(batch, drop, len(declared), skipped, new=new)
    reason = _reason_to_judge(line, batch, bool(repaired))
    again = bool(reason) and list_batch(line, Landing(batch, drop, time.time(), reason))
    return Landed(batch, drop, len(declared), skipped, new=False, repaired=repaired, again=again)


def find_landing(line: LineStore, batch: str) -> Landing:
    """Where a batch lies. Raises LandingError where it is not ready."""
    if (landing := known_landing(line, batch)) is not None:
        return landing
    raise LandingError(f"line {line.name!r}: no batch {batch!r} is ready in the landing zone; land it first")


def load_manifest(line: LineStore, drop: str, batch: str | None = None) -> BatchManifest:
    """The manifest in folder `drop`, checked.

    Args:
        batch: the id that it must have; None takes any.

    Raises:
        RejectedError: broken, not this line's, too large, or not the batch's.
    """
    key = layout.manifest(line.name, drop)
    size = file_size(line.store, key)
    if size is None:
        raise LandingError(f"{key}: the manifest is missing or is not a plain file; land the batch again")
    if size > MAX_DOCUMENT_BYTES:
        raise LandingError(f"{key}: {size:,} bytes, a manifest has at most {MAX_DOCUMENT_BYTES:,}; split the batch")
    manifest = from_bytes(BatchManifest, line.store.read(key), key)
    if manifest.line != line.name:
        raise LandingError(
            f"{key}: it is of line {manifest.line!r}, not {line.name!r}; move it to that line's landing zone"
        )
    if problem := _manifest_problem(manifest):
        raise LandingError(f"{key}: {problem}")
    if batch is not None and digest(manifest) != batch:
        raise LandingError(
            f"{key}: declares batch {digest(manifest)[:12]}…, not {batch[:12]}…: it was changed after it was landed; "
            "restore it, or land the files again as a new batch"
        )
    return manifest


def journal_unlisted(line: LineStore) -> Unlisted:
    """Find ready batches that the journal does not list, and list them: the slow scan.

    They come from other tools that write the landing zone, and from a kill between manifest and journal. Its time grows
    with the number of folders, about a second for a million; only folders that no journal entry names are looked into.
    """
    added, broken = [], []
    for drop in unlisted_drops(line):
        if problem := name_problem(drop):
            broken.append(Reason(shown(drop), "whole folder", "refused", problem, "rename the folder"))
            continue
        if drop == layout.INBOX or not line.store.exists(layout.manifest(line.name, drop)):
            continue
        try:
            batch = digest(load_manifest(line, drop))
        except RejectedError as error:
            place = f"{drop}/{layout.MANIFEST}"
            broken.append(
                Reason(place, "whole file", "refused", str(error), "correct the manifest, or remove the folder")
            )
            continue
        landing = Landing(batch, drop, time.time())
        if list_batch(line, landing):
            added.append(landing)
    return Unlisted(tuple(added), tuple(broken))


def _left_out(skipped: Sequence[Reason]) -> tuple[LeftOut, ...]:
    rows = sorted((reason.file, reason.reason, reason.remedy) for reason in skipped if reason.outcome == "refused")
    left = [LeftOut(*row) for row in rows[:MAX_LEFT_OUT]]
    if len(rows) > MAX_LEFT_OUT:
        more = len(rows) - MAX_LEFT_OUT + 1
        left[-1] = LeftOut("…", f"{more:,} more things were left out; this row counts as one", "land a cleaner source")
    return tuple(left)


def _repair(
    line: LineStore, drop: str, files: Mapping[LandedFile, SourceFile], manifest: bytes, taking: Taking
) -> tuple[str, ...]:
    """Copy anew each landed file that is not the declared one, and the manifest; returns their paths.

    Args:
        files: none in which a record was forgotten: that would bring it back.
    """
    folder, key = layout.landed_files(line.name, drop), layout.manifest(line.name, drop)
    damaged = {
        declared: file
        for declared, file in files.items()
        if not holds(line.store, f"{folder}/{declared.path}", declared.sha256, declared.size)
    }
    if damaged:
        taking.copy(line.store, folder, damaged)
    repaired = [declared.path for declared in damaged]
    if not _declares(line.store, key, manifest):
        line.store.write(key, manifest)
        repaired.append(layout.MANIFEST)
    return tuple(repaired)


def _declares(store: Store, key: str, manifest: bytes) -> bool:
    """Whether `key` is this manifest, whatever spaces its writer uses."""
    if (file_size(store, key) or MAX_DOCUMENT_BYTES + 1) > MAX_DOCUMENT_BYTES:
        return False
    try:
        return to_bytes(from_bytes(BatchManifest, store.read(key), key)) == manifest
    except RejectedError:
        return False


def _reason_to_judge(line: BoundLine, batch: str, repaired: bool) -> str:
    """What tells this occasion to judge a known batch from others; "" where there is nothing to judge."""
    verdict = line.verdict(batch)
    if verdict is None:
        return f"repaired-{time.time_ns()}" if repaired else ""
    if line.stands(verdict):
        return ""
    return f"rules-{rules_digest(line.line)[:16]}"


def _manifest_problem(manifest: BatchManifest) -> str | None:
    paths = [file.path for file in manifest.files]
    if not paths:
        return "it declares no file; write it again, with the batch's files"
    if len(paths) > MAX_FILES:
        return f"{len(paths):,} files, a batch has at most {MAX_FILES:,}; split the batch"
    if len(set(paths)) < len(paths):
        return "it declares a path twice; write it again"
    if (total := sum(file.size for file in manifest.files)) > MAX_BATCH_BYTES:
        return f"{total:,} bytes, a batch has at most {MAX_BATCH_BYTES:,}; split the batch"
    if problems := [(path, problem) for path in paths if (problem := name_problem(path))]:
        return f"{problems[0][0]!r}: {problems[0][1]}; rename the file"
    return None
