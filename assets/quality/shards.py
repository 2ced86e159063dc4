"""What the gate keeps: Parquet shards of accepted and of quarantined records, readable reasons, an index for later.

Everything is written chunk by chunk to scratch files, then moved below the store under its digest.
"""

from __future__ import annotations

import binascii
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from assets.quality.columns import Sparse
from assets.quality.decide import GOOD, Decision, explained
from assets.quality.door import refuse_unsound
from assets.quality.history import index_schema, index_table
from assets.quality.redaction import without_label, without_record
from assets.quality.refusals import Refused
from assets.quality.spool import Spool
from assets.records.line_store import BoundLine
from assets.records.reason import Reason
from assets.records.record import QUARANTINE_COLUMNS, RECORD_COLUMNS
from assets.records.verdict import MAX_REASONS, Finding
from assets.storage import layout
from assets.storage.sealed import seal
from edge.contracts import ArtifactRef, to_bytes

SHARD_BYTES = 64 * 1024**2
SHARD_RECORDS = 500_000
_TYPES = {"time": pa.float64(), "input": pa.binary()}


def _schema(names: tuple[str, ...]) -> pa.Schema:
    return pa.schema([pa.field(name, _TYPES.get(name, pa.string())) for name in names])


RECORD_SCHEMA = _schema(RECORD_COLUMNS)
QUARANTINE_SCHEMA = _schema(QUARANTINE_COLUMNS)


@dataclass
class Kept:
    """What was stored of a batch."""

    records: tuple[ArtifactRef, ...] = ()
    quarantine: tuple[ArtifactRef, ...] = ()
    ids: ArtifactRef | None = None
    reasons: ArtifactRef | None = None
    first: list[Reason] = field(default_factory=list)
    per_class: Counter[str] = field(default_factory=Counter)


class Keeper:
    """Writes below one store for one batch of a line.

    Attributes:
        folder: where files grow.
        artifacts: where most of them go, in the store.
    """

    def __init__(self, line: BoundLine, batch: str, folder: Path) -> None:
        self.line, self.batch, self.folder = line.line, batch, folder
        self._store = line.store
        self._sealed = line.config.data.privacy.encrypt
        self.artifacts = layout.artifacts(line.name)

    def shards(self, name: str, schema: pa.Schema, below: str) -> Shards:
        """A writer of Parquet shards that end up in folder `below` of the store."""
        return Shards(self, self.folder / f"{name}.parquet", schema, below)

    def findings(self, findings: tuple[Finding, ...]) -> ArtifactRef | None:
        """Store every finding as one line of JSON each; None where there are none."""
        if not findings:
            return None
        path = self.folder / "findings"
        with path.open("w", encoding="utf-8") as file:
            for finding in findings:
                file.write(json.dumps(asdict(finding), ensure_ascii=False) + "\n")
        return self.take(path, self.artifacts, "jsonl", ".jsonl")

    def document(self, value: Any) -> ArtifactRef:
        """Store a contract document."""
        path = self.folder / "document"
        path.write_bytes(to_bytes(value))
        return self.take(path, self.artifacts, "json", ".json")

    def table(self, name: str, table: pa.Table) -> ArtifactRef:
        """Store a table as one Parquet."""
        path = self.folder / f"{name}.parquet"
        pq.write_table(table, path, compression="zstd")
        return self.take(path, self.artifacts, "parquet", ".parquet")

    def take(self, path: Path, below: str, kind: str, suffix: str, plain: bool = False) -> ArtifactRef:
        """Move a finished file into the store, sealed where the line says so, unless it may be `plain`."""
        if self._sealed and not plain:
            path.write_bytes(seal(path.read_bytes(), self.line.name, kind))
        return self._store.adopt(below, path, kind, suffix, (self.batch,))


class Shards:
    """Parquet files of a bounded size each. The same tables give the same files."""

    def __init__(self, keeper: Keeper, path: Path, schema: pa.Schema, below: str) -> None:
        self._keeper, self._path, self._schema, self._below = keeper, path, schema, below
        self._writer: pq.ParquetWriter | None = None
        self._bytes = self._rows = 0
        self._done: list[ArtifactRef] = []

    def write(self, table: pa.Table) -> None:
        """Add records."""
        if not table.num_rows:
            return
        if self._writer is None:
            self._writer = pq.ParquetWriter(
                self._path, self._schema, compression="zstd", use_dictionary=["label", "split", "origin", "drawn_by"]
            )
        self._writer.write_table(table)
        self._bytes += table.nbytes
        self._rows += table.num_rows
        if self._bytes >= SHARD_BYTES or self._rows >= SHARD_RECORDS:
            self._finish()

    def close(self) -> tuple[ArtifactRef, ...]:
        """The shards, in order."""
        self._finish()
        return tuple(self._done)

    def _finish(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._done.append(self._keeper.take(self._path, self._below, "parquet", ".parquet"))
            self._writer, self._bytes, self._rows = None, 0, 0


def keep_records(
    keeper: Keeper,
    spool: Spool,
    derived: Mapping[str, Sparse],
    decision: Decision,
    refused: Refused,
    splits: NDArray[np.int8],
    drawn: pa.Array | None = None,
) -> Kept:
    """Store every record of a batch, accepted or quarantined, and every reason; nothing of it is in memory at once.

    Args:
        drawn: (rows,) what each record's split is drawn by, null for its own; None where all are.
    """
    line, kept, blocked = keeper.line, Kept(), bool(decision.blocked)
    data, asked = line.config.data, {rule.name: rule for rule in decision.rules}
    artifacts = keeper.artifacts
    good = keeper.shards("records", RECORD_SCHEMA, artifacts)
    held = keeper.shards("held", QUARANTINE_SCHEMA, layout.quarantine(line.name))
    index = keeper.shards("index", index_schema(data, drawn is not None), artifacts)
    kept.first = list(refused.first)
    why_blocked = "nothing is wrong with it itself: its batch was blocked"  # the verdict says why, once
    with _Reasons(keeper.folder / "reasons", line.name, keeper.batch, decision.blocked) as reasons:
        for line_of_json in refused:
            reasons.add(line_of_json)
        for reason in refused.ignored:
            reasons.add(json.dumps(asdict(reason), ensure_ascii=False))
        for start, read in spool.chunks():
            chunk = read
            broken = decision.broken[start : start + chunk.num_rows]
            if drawn is not None:
                chunk = read.append_column("_drawn_by", drawn.slice(start, read.num_rows))
            fine = np.flatnonzero(broken == GOOD)
            bad = np.flatnonzero(broken != GOOD)
            if len(fine) and not blocked:
                accepted = chunk.take(pa.array(fine))
                refuse_unsound(accepted, data)
                good.write(records_table(accepted))
                index.write(index_table(accepted, splits[start + fine], data, _drawn(accepted)))
                kept.per_class.update(_labels(accepted))
            elif len(fine):
                table = records_table(chunk.take(pa.array(fine)))
                held.write(_with_reasons(table, [""] * len(fine), [why_blocked] * len(fine), [""] * len(fine)))
            if len(bad):
                rules, texts, remedies = [], [], []
                for name, said in explained(spool, derived, decision, start + bad, data):
                    reason = without_label(asked[name], said, data)
                    rules.append(name)
                    texts.append(reason.reason)
                    remedies.append(reason.remedy)
                    public = without_record(asked[name], reason, data)
                    reasons.add(json.dumps(asdict(public), ensure_ascii=False))
                    if len(kept.first) < MAX_REASONS:
                        kept.first.append(public)
                held.write(_with_reasons(records_table(chunk.take(pa.array(bad))), rules, texts, remedies))
    kept.records, kept.quarantine = good.close(), held.close()
    (kept.ids,) = index.close() or (None,)
    if reasons.count or blocked:
        kept.reasons = keeper.take(reasons.path, artifacts, "json", ".json", plain=True)  # they hold no values then
    return kept


def records_table(chunk: pa.Table) -> pa.Table:
    """A chunk's records with the columns `RECORD_COLUMNS`."""
    columns = {f"_{name}": chunk.column(f"_{name}") for name in RECORD_COLUMNS if f"_{name}" in chunk.column_names}
    columns |= {"_id": hex_ids(chunk.column("_id"))}
    columns.setdefault("_origin", pa.repeat(pa.scalar("", pa.string()), chunk.num_rows))
    columns.setdefault("_drawn_by", pa.nulls(chunk.num_rows, pa.string()))
    return pa.Table.from_arrays([columns[f"_{name}"] for name in RECORD_COLUMNS], schema=RECORD_SCHEMA)


def _drawn(chunk: pa.Table) -> pa.Array | None:
    return chunk.column("_drawn_by").combine_chunks() if "_drawn_by" in chunk.column_names else None


def hex_ids(column: pa.ChunkedArray) -> pa.Array:
    """Ids of 32 bytes as texts of 64 hex digits, without a Python object for each."""
    ids = column.combine_chunks()
    ids = ids.chunk(0) if isinstance(ids, pa.ChunkedArray) else ids
    start = 32 * ids.offset
    digits = binascii.hexlify(memoryview(ids.buffers()[1])[start : start + 32 * len(ids)]) if len(ids) else b""
    offsets = np.arange(0, 64 * (len(ids) + 1), 64, dtype=np.int32)
    return pa.StringArray.from_buffers(len(ids), pa.py_buffer(offsets), pa.py_buffer(digits))


class _Reasons:
    """The reasons of a whole batch for people and scripts, as one JSON document that grows on disk."""

    def __init__(self, path: Path, line: str, batch: str, blocked: tuple[str, ...]) -> None:
        self.path, self.count = path, 0
        self._head = json.dumps({"line": line, "batch": batch, "blocked": list(blocked)}, indent=1, ensure_ascii=False)

    def __enter__(self) -> _Reasons:
        self._file = self.path.open("w", encoding="utf-8")
        self._file.write(f'{self._head[:-2]},\n "reasons": [')
        return self

    def add(self, text: str) -> None:
        """One reason, as JSON."""
        self._file.write(f"{',' if self.count else ''}\n  {text}")
        self.count += 1

    def __exit__(self, *_: Any) -> None:
        self._file.write("\n ]\n}")
        self._file.close()


def _with_reasons(table: pa.Table, rules: list[str], reasons: list[str], remedies: list[str]) -> pa.Table:
    extra = [pa.array(values, pa.string()) for values in (rules, reasons, remedies)]
    return pa.Table.from_arrays([*table.columns, *extra], schema=QUARANTINE_SCHEMA)


def _labels(chunk: pa.Table) -> Iterator[str]:
    counts = chunk.column("_label").value_counts().to_pylist()
    return (entry["values"] for entry in counts for _ in range(entry["counts"]))
