"""Reads quarantined records: shard by shard and row group by row group, only the columns that are asked for."""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import numpy as np

from assets.errors import RejectedError
from assets.records.forgotten import current
from assets.records.line_store import LineStore
from assets.records.record import LATER_COLUMNS, QUARANTINE_COLUMNS
from assets.records.verdict import BatchVerdict
from assets.review.lookup import Lookup
from assets.storage import layout
from assets.storage.sealed import fetch_records, open_unsealed
from assets.storage.store import Store
from edge.contracts import ArtifactRef, from_bytes
from edge.errors import VerificationError

if TYPE_CHECKING:
    import pyarrow as pa

_BLOCK = 1024**2
_MAX_SEEN = 5000
_SEEN: dict[bytes, BatchVerdict] = {}
"""Verdicts by the SHA-256 of their bytes."""


@dataclass(frozen=True)
class Held:
    """A quarantined record; the columns are those of `QUARANTINE_COLUMNS`.

    Attributes:
        batch: the batch it came in.
        row: its position among the batch's quarantined records.
    """

    batch: str
    row: int
    id: str
    label: str
    split: str
    file: str
    group: str
    time: float | None
    input: bytes
    rule: str
    reason: str
    remedy: str
    origin: str = ""
    drawn_by: str = ""


def held_batches(line: LineStore) -> Iterator[BatchVerdict]:
    """The standing verdict on each batch of the line that has quarantined records, in the order of landing.

    Without its reasons and checks, which are most of it: those that were read before are not read into objects again.
    """
    for batch in dict.fromkeys(landing.batch for _, landing in line.landings().after(0)):
        verdict = _light_verdict(line.store, layout.verdict(line.name, batch))
        if verdict is not None and verdict.quarantined:
            yield verdict


def _light_verdict(store: Store, key: str) -> BatchVerdict | None:
    try:
        data = store.read(key)
    except FileNotFoundError:
        return None
    sha256 = hashlib.sha256(data).digest()
    if sha256 not in _SEEN:
        if len(_SEEN) >= _MAX_SEEN:
            _SEEN.clear()
        _SEEN[sha256] = replace(from_bytes(BatchVerdict, data, key), reasons=(), checks=())
    return _SEEN[sha256]


def find_batch(line: LineStore, batch: str) -> BatchVerdict:
    """The verdict on the batch whose id begins with `batch`.

    Raises:
        RejectedError: there is none, several begin so, it was not judged, or nothing of it is quarantined.
    """
    known = dict.fromkeys(landing.batch for _, landing in line.landings().after(0))
    found = [name for name in known if batch and name.startswith(batch)]
    if len(found) != 1:
        problem = "no batch begins with it" if not found else f"{len(found)} batches begin with it"
        raise RejectedError(
            f"line {line.name!r}: batch {batch[:80]!r}: {problem}; `edgeloop batches {line.name}` lists them"
        )
    verdict = line.verdict(found[0])
    if verdict is None:
        raise RejectedError(
            f"line {line.name!r}: batch {found[0][:12]} was not judged yet; `edgeloop run {line.name}` judges it"
        )
    if not verdict.quarantined:
        raise RejectedError(
            f"line {line.name!r}: nothing of batch {found[0][:12]} is in quarantine; there is nothing to decide"
        )
    return verdict


def scan(store: Store, verdict: BatchVerdict, columns: Sequence[str]) -> Iterator[tuple[int, pa.Table]]:
    """The batch's quarantined records as tables of one row group each, with the position of the first row.

    Raises:
        VerificationError: a shard is missing or was changed.
        RejectedError: a shard is no Parquet of quarantined records.
    """
    import pyarrow as pa

    start = 0
    for ref in verdict.quarantine:
        with _shard(store, ref) as file, _readable(ref.uri):
            for group in range(file.num_row_groups):
                table = _row_group(file, group, columns)
                yield start, pa.table(table.columns, names=table.column_names).select(list(columns))
                start += table.num_rows


def rows_at(store: Store, verdict: BatchVerdict, rows: Sequence[int]) -> list[Held]:
    """The quarantined records at these positions, ascending; only row groups that hold one are read."""
    wanted = sorted(set(rows))
    found: list[Held] = []
    start = 0
    for ref in verdict.quarantine:
        with _shard(store, ref) as file, _readable(ref.uri):
            for group in range(file.num_row_groups):
                stop = start + file.metadata.row_group(group).num_rows
                inside = [row - start for row in wanted if start <= row < stop]
                if inside:
                    table = _row_group(file, group, QUARANTINE_COLUMNS)
                    body = table.take(inside).to_pylist()
                    found += [
                        _held(verdict.batch, start + row, values) for row, values in zip(inside, body, strict=True)
                    ]
                start = stop
    return found


def held_records(store: Store, verdict: BatchVerdict, ids: pa.Array) -> Iterator[Held]:
    """The quarantined records with these ids, in their order; a row group at a time is in memory."""
    import pyarrow as pa

    wanted = Lookup(ids)
    for start, table in scan(store, verdict, QUARANTINE_COLUMNS):
        rows = np.flatnonzero(wanted.holds(table["id"]))
        for row, values in zip(rows, table.take(pa.array(rows)).to_pylist(), strict=True):
            yield _held(verdict.batch, start + int(row), values)


def find_rows(store: Store, verdict: BatchVerdict, record: str) -> list[tuple[int, str]]:
    """Position and id of each quarantined record whose id begins with `record`, or whose file it is; at most 100."""
    import pyarrow.compute as pc

    found: list[tuple[int, str]] = []
    for start, table in scan(store, verdict, ("id", "file")):
        hits = pc.or_kleene(pc.starts_with(table["id"], record), pc.equal(table["file"], record))
        for row in pc.indices_nonzero(hits).to_pylist():
            found.append((start + row, table["id"][row].as_py()))
            if len(found) == 100:
                return found
    return found


@contextlib.contextmanager
def _shard(store: Store, ref: ArtifactRef) -> Iterator[Any]:
    """A shard's ParquetFile, its bytes checked before; on this machine it is not loaded as a whole."""
    import pyarrow.parquet as pq

    ref = current(store, ref)
    if not store.local:
        source: BinaryIO = io.BytesIO(fetch_records(store, ref))
    else:
        path = Path(store.path(ref.uri))
        try:
            state = path.stat()
        except FileNotFoundError as error:
            raise VerificationError(f"{ref.uri}: the artifact is missing from {store.root}") from error
        found = _digest(str(path), state.st_size, state.st_mtime_ns, state.st_ino)
        if found != ref.sha256:
            raise VerificationError(
                f"{ref.uri}: expected SHA-256 {ref.sha256[:12]}…, found {found[:12]}…; the stored file was changed: "
                "restore it, or land the batch again"
            )
        source = open_unsealed(cast(BinaryIO, path.open("rb")))
    try:
        with _readable(ref.uri):
            file = pq.ParquetFile(source)
    except BaseException:
        source.close()
        raise
    try:
        missing = set(QUARANTINE_COLUMNS) - LATER_COLUMNS - set(file.schema_arrow.names)
        if missing:
            raise RejectedError(
                f"{ref.uri}: the columns {', '.join(sorted(missing))} are missing: it was written by an older version; "
                "change the line's rules or land the batch again, so that it is judged anew"
            )
        yield file
    finally:
        file.close()
        source.close()


def _row_group(file: Any, group: int, columns: Sequence[str]) -> pa.Table:
    """These columns of a row group, all of them texts where a Parquet of an earlier version has no such column."""
    import pyarrow as pa

    there = [name for name in columns if name in file.schema_arrow.names]
    table = file.read_row_group(group, columns=there, use_threads=False)
    for name in columns:
        if name not in there:
            table = table.append_column(name, pa.nulls(table.num_rows, pa.string()))
    return table


@contextlib.contextmanager
def _readable(uri: str) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, KeyError, OSError) as error:
        raise RejectedError(f"{uri}: not a Parquet of quarantined records ({error}); judge the batch again") from error


@lru_cache(maxsize=4096)
def _digest(path: str, size: int, changed: int, inode: int) -> str:
    sha256 = hashlib.sha256()
    with Path(path).open("rb") as stream:
        while block := stream.read(_BLOCK):
            sha256.update(block)
    return sha256.hexdigest()


def _held(batch: str, row: int, values: dict[str, Any]) -> Held:
    texts = {name: values[name] or "" for name in QUARANTINE_COLUMNS if name not in ("time", "input")}
    return Held(batch=batch, row=row, time=values["time"], input=values["input"] or b"", **texts)
