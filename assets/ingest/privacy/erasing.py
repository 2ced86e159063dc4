"""Takes single records out of landed files, in whatever form they lie there.

A picture or sound that is a file of its own becomes a tombstone. A row of a text becomes a line without its cells, a
row of Parquet or Arrow one without values, a picture among many a black one. All else in the file stays where it was.
"""

from __future__ import annotations

import filecmp
import gzip
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, cast

import fsspec

from assets.ingest.landing import find_landing, load_manifest
from assets.ingest.privacy.blanking import blank_lines, blank_pictures, blank_rows, blank_typed
from assets.ingest.privacy.erased import ErasedFile, load_erased
from assets.ingest.privacy.guard import KIND
from assets.line.config import Line
from assets.records.batch import LandedFile
from assets.records.limits import RETURNED_SUFFIX
from assets.records.line_store import BoundLine
from assets.storage import layout
from assets.storage.scratch import scratch_folder, scratch_root
from assets.storage.sealed import MAGIC, is_sealed, open_unsealed, seal_stream
from assets.storage.store import Store
from assets.storage.streams import CHUNK, copy_in, file_size, hash_stream, holds, make_durable

TOMBSTONE = b"edgeloop: this file was forgotten on request\n"


def erase_landed(line: BoundLine, batch: str, records: Mapping[str, bytes], ids: frozenset[str]) -> tuple[str, ...]:
    """Take records out of a landed batch's files; what was taken out before is left as it is.

    Args:
        records: the record's place (`Record.file`) to its stored input (b"" where that is gone already).
        ids: every forgotten id (hex), for files of returned records, which name them.

    Returns:
        Places that could not be found in the landing zone; a file that is lost is as good as erased.

    Raises:
        LandingError: no such batch, or its manifest was changed.
    """
    landing = find_landing(line, batch)
    manifest = load_manifest(line, landing.drop, batch)
    known = {file.path: file for file in manifest.files}
    asked: dict[str, set[str]] = {path: set() for path in known if path.endswith(RETURNED_SUFFIX)}
    missing = []
    for place in records:
        path = place if place in known else place.rpartition("#")[0]
        if path in known:
            asked.setdefault(path, set()).add(place)
        elif not asked:
            missing.append(place)
    for path, places in asked.items():
        wanted = {place: records[place] for place in places}
        missing += _erase_file(line, landing.drop, known[path], wanted, ids)
    return tuple(missing)


def _erase_file(
    line: BoundLine, drop: str, declared: LandedFile, records: Mapping[str, bytes], ids: frozenset[str]
) -> list[str]:
    """Note what the file will be, then make it that: a reader knows it in either state.

    Returns:
        Places that were asked for, and are not there.
    """
    erased = load_erased(line, drop)
    entry = erased.of(declared.path) or ErasedFile(declared.path, (), (declared,))
    key = f"{layout.landed_files(line.name, drop)}/{declared.path}"
    newest = entry.versions[-1]
    done = set(records) <= set(entry.places) and not declared.path.endswith(RETURNED_SUFFIX)
    if (done and holds(line.store, key, newest.sha256, newest.size)) or file_size(line.store, key) is None:
        return []
    with scratch_folder(scratch_root(line.store)) as folder:
        plain, new = folder / "plain", folder / "new"
        with fsspec.open(_url(line.store, key), "rb") as raw:
            sealed = is_sealed(raw.read(len(MAGIC)))
            raw.seek(0)
            with plain.open("wb") as file, open_unsealed(cast(BinaryIO, raw)) as stream:
                shutil.copyfileobj(stream, file, CHUNK)
        _without(line.line, declared.path, plain, new, {**dict.fromkeys(entry.places, b""), **records}, ids)
        if filecmp.cmp(plain, new, shallow=False):
            return [place for place in records if place not in entry.places]
        if sealed:
            with plain.open("wb") as file:
                file.writelines(seal_stream(lambda: new.open("rb"), line.name, KIND))
            new = plain
        with new.open("rb") as stream:
            now = LandedFile(declared.path, *hash_stream(stream, new.stat().st_size))
        places = tuple(sorted({*entry.places, *records}))
        versions = (*(version for version in entry.versions if version != now), now)
        files = (*(file for file in erased.files if file.path != entry.path), ErasedFile(entry.path, places, versions))
        line.store.save(layout.erased(line.name, drop), replace(erased, files=files))
        with new.open("rb") as stream:
            copy_in(line.store, key, stream, now.size)
    make_durable(line.store, key.rpartition("/")[0])
    return []


def _url(store: Store, key: str) -> str:
    return store.path(key) if store.local else f"{store.root.rstrip('/')}/{key}"


def _without(line: Line, path: str, plain: Path, new: Path, records: Mapping[str, bytes], ids: frozenset[str]) -> None:
    """Write `new`: the file `plain` without these records."""
    if path.endswith(RETURNED_SUFFIX):
        new.write_bytes(blank_rows(plain.read_bytes(), ids))
        return
    if path in records:
        new.write_bytes(TOMBSTONE)
        return
    numbers = {int(number): records[place] for place in records if (number := place.rpartition("#")[2]).isdecimal()}
    with plain.open("rb") as source:
        packed = source.read(2) == b"\x1f\x8b"
    if not packed:
        with new.open("wb") as target:
            _without_rows(line, plain, target, numbers)
        return
    unpacked = plain.with_suffix(".unpacked")
    with gzip.open(plain) as source, unpacked.open("wb") as file:
        shutil.copyfileobj(source, file, CHUNK)
    with new.open("wb") as file, gzip.GzipFile("", "wb", fileobj=file, mtime=0) as target:
        _without_rows(line, unpacked, cast(BinaryIO, target), numbers)
    unpacked.unlink()


def _without_rows(line: Line, plain: Path, target: BinaryIO, numbers: Mapping[int, bytes]) -> None:
    if line.config.data.image is not None:
        target.write(blank_pictures(plain.read_bytes(), numbers))  # at most MAX_BLOCK_BYTES
        return
    with plain.open("rb") as source:
        typed = source.read(6).startswith((b"PAR1", b"ARROW1", b"\xff\xff\xff\xff"))
        source.seek(0)
        if typed:
            blank_typed(source, target, frozenset(numbers))
        else:
            target.writelines(blank_lines(line.config.data, source, frozenset(numbers)))
