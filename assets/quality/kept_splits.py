"""By what the records of a batch are drawn to splits, where that is not their own id or group.

A batch that is judged anew in another generation has the same records in another form, and so with other ids. Each
finds itself by its place in the verdict of the generation before and goes on being drawn by what it was drawn by: its
split stays, and no record that a model was tested on is trained on. A record of a new batch whose input equals such a
record's is drawn as that one.
"""

from __future__ import annotations

import io
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from assets.quality.shards import hex_ids
from assets.quality.spool import Spool
from assets.records.forgotten import fetch_shard
from assets.records.line_store import BoundLine
from assets.records.splits import GROUP_DRAW
from assets.records.verdict import BatchVerdict
from edge.contracts import ArtifactRef

PLACES = ("id", "group", "file")


def drawn_by(line: BoundLine, batch: str, spool: Spool, earlier: pa.Table) -> pa.Array | None:
    """(rows,) text that each record's split is drawn by, null for its own; None where none has another.

    Args:
        earlier: what the line accepted in this generation, with `_id` and `_drawn_by`.
    """
    before = _verdict_before(line, batch)
    if before is None and earlier.column("_drawn_by").null_count == len(earlier):
        return None
    own = spool.columns(["_id", "_group", "_file"])
    groups = pc.fill_null(own.column("_group"), "")
    keys = _drawn(hex_ids(own.column("_id")), groups)
    found = pa.nulls(spool.rows, pa.string())
    if before is not None:
        places = pa.concat_tables(_places(line, (*before.records, *before.quarantine)))
        found = places.column("by").take(pc.index_in(own.column("_file"), value_set=places.column("file")))
    alike = pc.index_in(own.column("_id").cast(pa.binary()), value_set=earlier.column("_id").cast(pa.binary()))
    shared = pc.if_else(pc.equal(groups, ""), earlier.column("_drawn_by").take(alike), None)
    kept = pc.coalesce(found, shared)
    kept = pc.if_else(pc.equal(kept, keys), None, kept)
    flat = pa.chunked_array(kept.chunks if isinstance(kept, pa.ChunkedArray) else [kept], pa.string()).combine_chunks()
    return None if flat.null_count == len(flat) else flat


def _verdict_before(line: BoundLine, batch: str) -> BatchVerdict | None:
    """The last verdict of an earlier generation that accepted the batch."""
    generation = line.generation()
    if generation == 1:
        return None
    for _, verdict in line.verdict_history(batch).newest_first():
        if verdict.state == "accepted" and verdict.generation < generation:
            return verdict
    return None


def _places(line: BoundLine, refs: tuple[ArtifactRef, ...]) -> Iterator[pa.Table]:
    """Columns `file` and `by` of a verdict's records: what each was drawn by."""
    yield pa.table({"file": pa.array([], pa.string()), "by": pa.array([], pa.string())})
    for ref in refs:
        with pq.ParquetFile(io.BytesIO(fetch_shard(line.store, ref))) as opened:
            later = "drawn_by" in opened.schema_arrow.names
            table = opened.read(columns=[*PLACES, *(["drawn_by"] if later else [])])
        by = _drawn(table.column("id"), pc.fill_null(table.column("group"), ""))
        if later:
            by = pc.coalesce(table.column("drawn_by"), by)
        yield pa.table({"file": table.column("file").cast(pa.string()), "by": by.cast(pa.string())})


def _drawn(ids: pa.Array, groups: pa.Array) -> pa.Array:
    """What records are drawn by on their own: the group's name where there is one, else the id."""
    return pc.if_else(pc.equal(groups, ""), ids, pc.binary_join_element_wise(GROUP_DRAW, groups, ""))
