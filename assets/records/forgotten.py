"""Records that were forgotten on request: who reads or keeps records asks here.

    store/<line>/forgotten/<record id>.json   a tombstone, created once: from then on the record is in no dataset
    store/<line>/forgotten/traces/<id>.json   where it was, kept before anything of it is erased
    <artifact>.replaced                       what an artifact that held it was replaced by

`assets.forgetting.forget` writes them, and takes the record's bytes out of everything.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from assets.errors import RejectedError
from assets.records.line_store import LineStore
from assets.storage import layout
from assets.storage.sealed import fetch_records
from assets.storage.store import Store
from edge.contracts import ArtifactRef, check_sha256, document

REPLACED = ".replaced"
FORGOTTEN_REASON = "it was forgotten on request"
"""Stands for the reason of a forgotten record; the gate adds the day."""


@document("edgeloop.tombstone")
@dataclass(frozen=True)
class Tombstone:
    """A record that was forgotten; its id (a digest) stays on record, its bytes do not.

    Attributes:
        time: seconds since 1970.
        who, why: as given.
    """

    line: str
    record: str
    time: float
    who: str
    why: str

    def __post_init__(self) -> None:
        check_sha256(self.record)

    @property
    def date(self) -> str:
        """The day, in UTC: 2026-11-24."""
        return time.strftime("%Y-%m-%d", time.gmtime(self.time))


@document("edgeloop.replacement")
@dataclass(frozen=True)
class Replacement:
    """What an artifact was replaced by; `old` is gone."""

    old: ArtifactRef
    new: ArtifactRef


class Forgotten(Mapping[bytes, str]):
    """The line's forgotten records: id (32 bytes) to the day, which is read only when it is asked for."""

    def __init__(self, line: LineStore) -> None:
        self._store, self._line = line.store, line.name
        names = line.store.names(layout.forgotten(line.name))
        self._ids = {bytes.fromhex(name[:64]) for name in names if name.endswith(".json") and len(name) == 69}

    def __getitem__(self, record: bytes) -> str:
        if record not in self._ids:
            raise KeyError(record)
        return self._store.load(layout.tombstone(self._line, record.hex()), Tombstone).date

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, record: object) -> bool:
        return record in self._ids


def forgotten_ids(line: LineStore) -> Forgotten:
    """Ids of the line's forgotten records, as they are now; costs one listing."""
    return Forgotten(line)


def current(store: Store, ref: ArtifactRef) -> ArtifactRef:
    """The artifact, or what stands for it since a record in it was forgotten. One look where nothing was."""
    for _ in range(10_000):
        if store.exists(ref.uri) or not store.exists(ref.uri + REPLACED):
            return ref
        ref = store.load(ref.uri + REPLACED, Replacement).new
    raise RejectedError(f"{ref.uri}: its replacements lead in a circle; judge the batch again")


def fetch_shard(store: Store, ref: ArtifactRef) -> bytes:
    """The bytes of a records Parquet as they are today, checked and unsealed. Raises VerificationError."""
    return fetch_records(store, current(store, ref))
