"""What the gate keeps: Parquet of accepted and of quarantined records, readable reasons, known ids."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from assets.ingest.contract import Record
from assets.quality.contract import RECORD_COLUMNS, Reason, accepted_batches, read_verdict
from assets.store import Store
from edge.contracts import ArtifactRef

ROW_GROUP_BYTES = 64 * 1024**2


def records_parquet(records: Sequence[Record], reasons: Sequence[str] | None = None) -> bytes:
    """Records as Parquet with columns `RECORD_COLUMNS`, and `reason` where reasons are given (one per record).

    The same records give the same bytes. Written in row groups of about 64 MiB, so records are not copied all at once.
    """
    fields = [pa.field(name, pa.string()) for name in RECORD_COLUMNS[:-1]] + [pa.field("input", pa.binary())]
    schema = pa.schema(fields if reasons is None else [*fields, pa.field("reason", pa.string())])
    buffer = io.BytesIO()
    with pq.ParquetWriter(buffer, schema, compression="zstd") as writer:
        for start, stop in _groups(records):
            part = records[start:stop]
            columns = [pa.array([getattr(record, name) for record in part], type=schema.field(name).type)
                       for name in RECORD_COLUMNS]  # fmt: skip
            if reasons is not None:
                columns.append(pa.array(reasons[start:stop], type=pa.string()))
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))
    return buffer.getvalue()


def ids_parquet(records: Sequence[Record]) -> bytes:
    """Only id and label of records, as Parquet."""
    table = pa.table({"id": [record.id for record in records], "label": [record.label for record in records]})
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def reasons_json(line: str, batch: str, blocked: Sequence[str], reasons: Sequence[Reason]) -> bytes:
    """The reasons of a whole batch for people and scripts."""
    body = {"line": line, "batch": batch, "blocked": list(blocked), "reasons": [asdict(reason) for reason in reasons]}
    return json.dumps(body, indent=1, ensure_ascii=False).encode()


def put_quarantine(store: Store, line: str, batch: str, data: bytes) -> ArtifactRef:
    """Keep a Parquet of quarantined records below `quarantine/<line>/`, named by its digest: nobody overwrites it."""
    sha256 = hashlib.sha256(data).hexdigest()
    ref = ArtifactRef(f"quarantine/{line}/{sha256}.parquet", sha256, len(data), "parquet", (batch,))
    if not store.create(ref.uri, data) and not store.intact(ref):
        store.write(ref.uri, data)
    return ref


def known_labels(store: Store, line: str, ids: Sequence[str]) -> dict[str, str]:
    """Those of `ids` that the line has accepted before, with the label of their first acceptance."""
    wanted = pa.array(list(dict.fromkeys(ids)), type=pa.string())
    known: dict[str, str] = {}
    for _, entry in accepted_batches(store, line):
        verdict = read_verdict(store, line, entry.batch)
        ref = verdict and (verdict.ids or verdict.records)
        if not ref:
            continue
        table = pq.read_table(io.BytesIO(store.fetch(ref)), columns=["id", "label"])
        for row in table.filter(pc.is_in(table["id"], value_set=wanted)).to_pylist():
            known.setdefault(row["id"], row["label"])
    return known


def _groups(records: Sequence[Record]) -> Iterator[tuple[int, int]]:
    start = size = 0
    for position, record in enumerate(records):
        size += len(record.input)
        if size > ROW_GROUP_BYTES and position > start:
            yield start, position
            start, size = position, len(record.input)
    yield start, len(records)
