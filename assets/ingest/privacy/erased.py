"""What was taken out of a landed batch since it landed: its manifest, which names the batch, stays as it was.

    landing/<line>/<drop>/erased.json   for each file in which a record was forgotten: what it holds now

Readers take a file as it is now, and see a refusal where a forgotten record was. Landing the source again does not
bring the file back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from assets.records.batch import BatchManifest, LandedFile
from assets.records.forgotten import FORGOTTEN_REASON
from assets.records.line_store import LineStore
from assets.records.reason import Reason
from assets.records.record import Record
from assets.storage import layout
from assets.storage.streams import file_size, holds
from edge.contracts import document

if TYPE_CHECKING:
    import pyarrow as pa

REMEDY = "nothing to do"


@dataclass(frozen=True)
class ErasedFile:
    """A landed file in which records were forgotten.

    Attributes:
        path: in the batch.
        places: the records, as `Record.file` names them.
        versions: what it was and is, newest last: the newest but one holds where a kill came in between.
    """

    path: str
    places: tuple[str, ...]
    versions: tuple[LandedFile, ...]


@document("edgeloop.erased")
@dataclass(frozen=True)
class Erased:
    """Everything that was erased in one drop."""

    files: tuple[ErasedFile, ...] = ()

    def of(self, path: str) -> ErasedFile | None:
        """The entry of a file, or None."""
        return next((file for file in self.files if file.path == path), None)

    def places(self) -> frozenset[str]:
        """Every forgotten record, as `Record.file` names it."""
        return frozenset(place for file in self.files for place in file.places)


def load_erased(line: LineStore, drop: str) -> Erased:
    """What was erased in a drop."""
    try:
        return line.store.load(layout.erased(line.name, drop), Erased)
    except FileNotFoundError:
        return Erased()


def as_it_is(line: LineStore, drop: str, manifest: BatchManifest, erased: Erased) -> BatchManifest:
    """The manifest with size and digest of erased files as they are now."""
    if not erased.files:
        return manifest
    now = {}
    for file in erased.files:
        key = f"{layout.landed_files(line.name, drop)}/{file.path}"
        found = file_size(line.store, key)
        versions = [entry for entry in reversed(file.versions) if entry.size == found]
        sound = (entry for entry in versions if holds(line.store, key, entry.sha256, entry.size))
        now[file.path] = next(sound, file.versions[-1])
    return replace(manifest, files=tuple(now.get(file.path, file) for file in manifest.files))


def without_erased(
    items: Iterator[Record | pa.Table | Reason], places: frozenset[str]
) -> Iterator[Record | pa.Table | Reason]:
    """What a reader finds, with a refusal in place of each record that was forgotten."""
    if not places:
        yield from items
        return
    import pyarrow as pa
    import pyarrow.compute as pc

    wanted = pa.array(sorted(places), pa.string())
    for item in items:
        if isinstance(item, Reason):
            yield item
        elif isinstance(item, Record):
            yield _refused(item.file) if item.file in places else item
        else:
            hits = pc.is_in(item.column("_file"), value_set=wanted)
            for place in item.column("_file").filter(hits).to_pylist():
                yield _refused(place)
            yield item.filter(pc.invert(hits))


def not_erased(files: Sequence[LandedFile], erased: Erased) -> list[LandedFile]:
    """Those files of a manifest that may be copied anew from their source."""
    gone = {file.path for file in erased.files}
    return [file for file in files if file.path not in gone]


def _refused(place: str) -> Reason:
    path, mark, number = place.rpartition("#")
    if mark and number.isdecimal():
        return Reason(path, f"line {number}", "refused", FORGOTTEN_REASON, REMEDY)
    return Reason(place, "whole file", "refused", FORGOTTEN_REASON, REMEDY)
