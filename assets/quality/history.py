"""What the line accepted before: its records' index, and what they look like."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from assets.line.data import DataContract
from assets.quality.drift.profile import Profile, merge
from assets.quality.spool import Spool
from assets.records.chunks import chunk_schema
from assets.records.forgotten import fetch_shard
from assets.records.in_use import trained_batches
from assets.records.line_store import BoundLine
from assets.records.verdict import Finding
from assets.storage.store import Store
from edge.contracts import ArtifactRef, from_bytes

INDEX_SCHEMA = pa.schema(
    [
        pa.field("_id", pa.binary(32)),
        pa.field("_label", pa.string()),
        pa.field("_side", pa.int8()),
        pa.field("_file", pa.string()),
        pa.field("_phash", pa.uint64()),
        pa.field("_embedding", pa.list_(pa.float32())),
        pa.field("_split", pa.string()),
        pa.field("_group", pa.string()),
    ]
)
"""Columns of the index that a verdict's `ids` is: enough to compare later batches with, and no more.

`_side` is as `computed_checks.splits_of` has it; `_split` and `_group` are what decides, null in an older index.
"""
DRAWN_BY = pa.field("_drawn_by", pa.string())
"""Stands in the index of a batch where records are drawn by something else than their own (see `kept_splits`)."""
UNIT_COLUMNS = ("_group", "_time", "_origin")
"""Columns of a series that stand in the index: what each unit had (see `assets.quality.earlier_units`)."""
MOST_COMPARED = 200_000
"""Accepted pictures, sounds or texts that a batch is compared with for likeness: the newest."""


def earlier_records(line: BoundLine, spool: Spool) -> pa.Table:
    """Accepted records of the line that this batch may repeat: columns of `INDEX_SCHEMA`, `_drawn_by` and `_batch`.

    Rows of tables matter only where their id is in the batch; pictures, sounds and texts may also be alike.
    """
    alike = line.config.data.inputs is None
    ids = spool.column("_id") if not alike and spool.rows else None
    wanted = None if ids is None else pc.unique(ids)
    parts, rows = [], 0
    for _, entry in reversed(line.accepted_batches()):
        verdict = line.verdict(entry.batch)
        if verdict is None or verdict.ids is None:
            continue
        table = _complete(pq.read_table(io.BytesIO(fetch_shard(line.store, verdict.ids))))
        if wanted is not None:
            table = table.filter(pc.is_in(table.column("_id"), value_set=wanted))
        elif rows >= MOST_COMPARED:  # too many to look for likeness: exact copies are still found
            table = table.set_column(5, INDEX_SCHEMA.field(5), pa.nulls(len(table), INDEX_SCHEMA.field(5).type))
            table = table.set_column(4, INDEX_SCHEMA.field(4), pa.nulls(len(table), pa.uint64()))
        rows += len(table)
        parts.append(table.append_column("_batch", pa.array([entry.batch] * len(table), pa.string())))
    if not parts:
        return INDEX_SCHEMA.append(DRAWN_BY).append(pa.field("_batch", pa.string())).empty_table()
    return pa.concat_tables(reversed(parts))


def _complete(table: pa.Table) -> pa.Table:
    """The index with every column and `_drawn_by`, those that an older one lacks without values."""
    wanted = [*INDEX_SCHEMA, DRAWN_BY]
    for field in wanted:
        if field.name not in table.column_names:
            table = table.append_column(field, pa.nulls(len(table), field.type))
    return table.select([field.name for field in wanted])


def index_schema(data: DataContract, drawn: bool = False) -> pa.Schema:
    """`INDEX_SCHEMA`, of a series with `UNIT_COLUMNS`, where some are `drawn` by something else with `DRAWN_BY`."""
    more = [] if data.series is None else [name for name in UNIT_COLUMNS if name not in INDEX_SCHEMA.names]
    units = [chunk_schema(data).field(name) for name in more]
    return pa.schema([*INDEX_SCHEMA, *units, *([DRAWN_BY] if drawn else [])])


def index_table(
    chunk: pa.Table,
    splits: np.ndarray[tuple[int], np.dtype[np.int8]],
    data: DataContract,
    drawn: pa.Array | None = None,
) -> pa.Table:
    """A chunk's accepted records as rows of the index."""
    schema = index_schema(data, drawn is not None)
    own = {"_side": pa.array(splits, pa.int8()), DRAWN_BY.name: drawn}
    own |= {name: pc.fill_null(chunk.column(name), "") for name in ("_split", "_group")}
    columns = [own[field.name] if field.name in own else chunk.column(field.name).cast(field.type) for field in schema]
    return pa.Table.from_arrays(columns, schema=schema)


def finder(line: BoundLine, earlier: pa.Table) -> Callable[[Finding], bytes | None]:
    """Finds the stored input of the accepted record that a finding's `other` names; None where it is not to be had."""
    if not len(earlier) or line.config.data.inputs is not None:
        return lambda finding: None

    def find(finding: Finding) -> bytes | None:
        if finding.other_row >= 0:
            return None
        hits = earlier.filter(pc.equal(earlier.column("_file"), finding.other)).column("_batch").to_pylist()
        verdict = line.verdict(hits[-1]) if hits else None
        for ref in verdict.records if verdict is not None else ():
            shard = io.BytesIO(fetch_shard(line.store, ref))
            table = pq.read_table(shard, columns=["file", "input"], filters=[("file", "=", finding.other)])
            if table.num_rows:
                return bytes(table.column("input")[0].as_py())
        return None

    return find


def reference_profile(line: BoundLine) -> Profile | None:
    """What the data looks like that the model in use was trained on; all accepted data where there is no model yet."""
    batches = trained_batches(line) or [entry.batch for _, entry in line.accepted_batches()]
    profiles = list(_profiles(line, batches))
    return merge(profiles) if profiles else None


def _profiles(line: BoundLine, batches: Iterable[str]) -> Iterable[Profile]:
    for batch in batches:
        verdict = line.verdict(batch)
        if verdict is not None and verdict.profile is not None:
            yield _profile(line.store, verdict.profile)


def _profile(store: Store, ref: ArtifactRef) -> Profile:
    return from_bytes(Profile, fetch_shard(store, ref), ref.uri)
