"""Sends decided records back as a new batch, exactly once.

In this order: the records' Parquets, named by their digests; the release, an entry of the journal of decisions, which
says that these decisions are done and which batch their records become; the landing of that batch. Killed before the
entry, nothing happened; killed after it, the next `release` (by anybody) completes the landing, which changes nothing
where it is complete. Two people at once: the journal gives the entry's position to one of them, and the other finds
nothing left to release.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from assets.ingest.listing import known
from assets.ingest.returning import land_returned, returned_batch
from assets.line.config import Line
from assets.records.forgotten import forgotten_ids
from assets.records.line_store import BoundLine, LineStore, bind
from assets.records.record import RECORD_COLUMNS, RELEASE_NOTE
from assets.records.verdict import BatchVerdict
from assets.review import corrections
from assets.review.decisions import append
from assets.review.documents import Decision
from assets.review.held import held_batches, scan
from assets.review.lookup import Lookup
from assets.review.state import State, keep_bytes
from assets.storage import layout
from assets.storage.sealed import fetch_records
from edge.contracts import ArtifactRef

if TYPE_CHECKING:
    import pyarrow as pa

MAX_FILE_RECORDS = 100_000
MAX_FILE_BYTES = 64 * 1024**2
MAX_UNFINISHED = 50
"""Every release completes those before it, so only the newest can be unfinished; more of them race at most."""


@dataclass(frozen=True)
class Release:
    """What `release` did.

    Attributes:
        batch: id of the new batch; "" where nothing was left to release.
        records: how many records it has.
        position: of the release in the journal; 0 where there was none.
        completed: batches of earlier releases whose landing had been cut short, and was completed now.
    """

    batch: str
    records: int
    position: int
    completed: tuple[str, ...] = ()


def release(state: State, line: Line, who: str, why: str = "", batch: str = "") -> Release:
    """Land everything that was decided to come back, and did not yet, as one new batch.

    Args:
        batch: only what came in this batch; "" for all.

    Raises:
        RejectedError: a record cannot be corrected as decided, because the line's columns changed since.
        VerificationError: a shard is missing or was changed.
    """
    completed = tuple(complete(state, line))
    while True:
        try:
            position = _enter(state, line, who, why, batch)
        except _ChangedError:
            continue  # somebody revised, revoked or released some of it meanwhile: look again
        if not position:
            return Release("", 0, 0, completed)
        entry = state.entry(position)
        landed = land_returned(bind(state.store, line), entry.files)
        return Release(landed, entry.count, position, completed)


def pending(state: State, now: float, batch: str = "") -> list[int]:
    """Positions of the decisions whose records a release at `now` sends back."""
    batches = [batch] if batch else state.batches()
    return [position for name in batches for position in state.of(name) if state.pending(position, now)]


def complete(state: State, line: Line) -> Iterator[str]:
    """Complete the landing of each release that was cut short; yields the batches."""
    for position in unfinished(state):
        yield land_returned(bind(state.store, line), state.entry(position).files)


def unfinished(state: State) -> list[int]:
    """Positions of releases whose batch is not in the landing zone; the newest are looked at, older ones were."""
    return [
        position
        for position in state.releases()[-MAX_UNFINISHED:]
        if state.entry(position).returned
        and known(LineStore(state.store, state.line), state.entry(position).returned) is None
    ]


def _enter(state: State, line: Line, who: str, why: str, batch: str) -> int:
    """Write the records that go back, then the release; returns its position, 0 where nothing is to be released."""
    upto, now = state.refresh().position, time.time()
    positions = pending(state, now, batch)
    files, count = _write(bind(state.store, line), state, positions, upto)
    if not count:
        return 0
    returned = returned_batch(line, files)
    draft = Decision("release", who, why, now, batch, count, upto=upto, files=files, returned=returned)
    return append(state, draft, lambda: _refuse_changed(state, upto, positions, batch))


class _ChangedError(Exception):
    """A decision that was about to be released is not what it was."""


def _refuse_changed(state: State, upto: int, positions: list[int], batch: str) -> None:
    """Raise _ChangedError where an entry after `upto` touches what is about to be released."""
    chosen = set(positions)
    for entry in state.entries[upto:]:
        released = entry.action == "release" and (not entry.batch or not batch or entry.batch == batch)
        if released or entry.replaces in chosen:
            raise _ChangedError


def _write(line: BoundLine, state: State, positions: list[int], upto: int) -> tuple[tuple[ArtifactRef, ...], int]:
    """The records that these decisions cover, corrected, as Parquets below `quarantine/<line>/.returns/`."""
    decisions = {position: state.entry(position) for position in positions}
    wanted = {entry.batch for entry in decisions.values()}
    writers: dict[int, _Writer] = {}  # by the generation that the records were judged in: each has its own form
    for verdict in held_batches(line):
        if verdict.batch in wanted:
            of = {"generation": verdict.generation} if verdict.generation > 1 else {}
            writer = writers.setdefault(verdict.generation, _Writer(line, {"line": line.name, "upto": upto, **of}))
            for table in _tables(line, state, verdict, decisions):
                writer.add(table)
    files = tuple(file for writer in writers.values() for file in writer.finish())
    return files, sum(writer.count for writer in writers.values())


def _tables(line: BoundLine, state: State, verdict: BatchVerdict, decisions: dict[int, Decision]) -> Iterator[pa.Table]:
    """The batch's records that go back, corrected, a row group at a time; of copies as many as count."""
    import pyarrow as pa
    import pyarrow.compute as pc

    seen: set[tuple[str, str]] = set()
    forgotten = Lookup(pa.array([record.hex() for record in forgotten_ids(line)], pa.string()))  # these never come back
    numbers = np.asarray(sorted(decisions), dtype=np.int64)
    labels = np.full(state.position + 1, "", dtype=object)
    by_row = np.zeros(state.position + 1, dtype=bool)
    for position, entry in decisions.items():
        labels[position] = entry.label
        by_row[position] = bool(entry.changes) or entry.input is not None
    for _, table in scan(line.store, verdict, RECORD_COLUMNS):
        found = state.decided(verdict.batch, table["id"], table["label"])
        rows = np.flatnonzero(np.isin(found, numbers))
        rows = rows[~forgotten.holds(table["id"].take(pa.array(rows)))]
        if not len(rows):
            continue
        part, positions = table.take(pa.array(rows)).combine_chunks(), found[rows]
        new = pa.array(labels[positions], pa.string())
        part = part.set_column(1, "label", pc.if_else(pc.equal(new, ""), part["label"].combine_chunks(), new))
        part = _with_origin(part, verdict.batch)
        if line.config.copies == "once":
            first = _first_ones(zip(part["id"].to_pylist(), part["label"].to_pylist(), strict=True), seen)
            part, positions = part.take(pa.array(first, pa.int64())), positions[first]
        plain = ~by_row[positions]
        yield part.filter(pa.array(plain))
        for at in np.flatnonzero(~plain):
            (row,) = part.slice(int(at), 1).to_pylist()
            yield pa.Table.from_pylist([_corrected(line, verdict, row, decisions[int(positions[at])])], part.schema)


def _with_origin(part: pa.Table, batch: str) -> pa.Table:
    """The records with the batch whose units they are of: the one that they landed in first."""
    import pyarrow as pa
    import pyarrow.compute as pc

    known = part["origin"].combine_chunks().cast(pa.string()).fill_null("")
    first = pc.if_else(pc.equal(known, ""), pa.scalar(batch, pa.string()), known)
    return part.set_column(part.column_names.index("origin"), "origin", first)


def _first_ones(pairs: Iterable[tuple[str, str]], seen: set[tuple[str, str]]) -> list[int]:
    """Positions of the pairs that were not seen before; they are seen from now on."""
    fresh = []
    for at, pair in enumerate(pairs):
        if pair not in seen:
            seen.add(pair)
            fresh.append(at)
    return fresh


def _corrected(line: BoundLine, verdict: BatchVerdict, row: dict[str, Any], entry: Decision) -> dict[str, Any]:
    """A record whose input is corrected, with its new id."""
    data = line.config.data
    if entry.input is not None:
        row["input"] = fetch_records(line.store, entry.input)
    row["input"] = corrections.apply(data, row["input"], entry.changes)
    row["id"] = corrections.checked_record(data, corrections.as_held(verdict.batch, row), row["input"], row["label"])
    return row


class _Writer:
    """Packs records into Parquets of bounded size; each is kept under its digest, sealed where the line says so."""

    def __init__(self, line: BoundLine, about: dict[str, Any]) -> None:
        self._store, self._line, self._about = line.store, line.line, about
        self._parts: list[pa.Table] = []
        self._rows = self._bytes = 0
        self._files: list[ArtifactRef] = []
        self.count = 0

    def add(self, table: pa.Table) -> None:
        """Add records."""
        for start in range(0, table.num_rows, MAX_FILE_RECORDS):
            part = table.slice(start, MAX_FILE_RECORDS)
            if self._rows and (self._rows + part.num_rows > MAX_FILE_RECORDS or self._bytes >= MAX_FILE_BYTES):
                self._flush()
            self._parts.append(part)
            self._rows += part.num_rows
            self._bytes += part.nbytes
            self.count += part.num_rows

    def finish(self) -> tuple[ArtifactRef, ...]:
        """The files, in order."""
        if self._rows:
            self._flush()
        return tuple(self._files)

    def _flush(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        # says which release it is of: the same records returned a second time are another batch
        about = {RELEASE_NOTE.decode(): json.dumps({**self._about, "part": len(self._files)})}
        kinds = {"time": pa.float64(), "input": pa.binary()}
        schema = pa.schema([(name, kinds.get(name, pa.string())) for name in RECORD_COLUMNS], metadata=about)
        buffer = io.BytesIO()
        table = pa.concat_tables([part.cast(schema) for part in self._parts]).combine_chunks()
        pq.write_table(table.replace_schema_metadata(about), buffer, compression="zstd", use_dictionary=["label"])
        key = layout.returns(self._line.name)
        self._files.append(
            keep_bytes(bind(self._store, self._line), key, buffer.getvalue(), "parquet", ".records.parquet")
        )
        self._parts, self._rows, self._bytes = [], 0, 0
