"""What the line accepted before of the units that a batch has readings of; one batch's units and times in memory."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from assets.quality.history import UNIT_COLUMNS
from assets.quality.spool import Spool
from assets.records.forgotten import fetch_shard
from assets.records.line_store import BoundLine
from assets.records.verdict import BatchVerdict

Unit = tuple[str, str]
"""The batch that a unit is of, "" where names hold for good, and its name."""


@dataclass(frozen=True)
class EarlierUnits:
    """Of the units that a batch has readings of, what earlier batches had accepted.

    Attributes:
        last: name to its last time in any earlier batch.
        taken: times that units already have, of the times at which readings return in this batch.
    """

    last: dict[str, float] = field(default_factory=dict)
    taken: frozenset[tuple[Unit, float]] = frozenset()


def earlier_units(line: BoundLine, spool: Spool) -> EarlierUnits:
    """Look through every accepted batch of the line; nothing to do for records that are no series.

    Raises VerificationError where an index or a shard is missing or was changed.
    """
    series = line.config.data.series
    if series is None or not spool.rows:
        return EarlierUnits()
    groups = pc.unique(spool.column("_group"))
    times = _returned_times(spool)
    last: dict[str, float] = {}
    taken: set[tuple[Unit, float]] = set()
    for _, entry in line.accepted_batches():
        verdict = line.verdict(entry.batch)
        for every in _readings(line, verdict) if verdict is not None else ():
            there = pc.is_finite(every.column("_time"))  # null where a record was forgotten
            table = every.filter(pc.and_(there, pc.is_in(every.column("_group"), value_set=groups)))
            newest = table.group_by("_group").aggregate([("_time", "max")])
            for group, time in zip(newest["_group"].to_pylist(), newest["_time_max"].to_pylist(), strict=True):
                last[group] = max(time, last.get(group, -np.inf))
            if len(times):
                same = table.filter(pc.is_in(table.column("_time"), value_set=times)).to_pylist()
                home = "" if series.unit_ids == "global" else entry.batch
                taken |= {((home and (row["_origin"] or home), row["_group"]), row["_time"]) for row in same}
    return EarlierUnits(last, frozenset(taken))


def _returned_times(spool: Spool) -> pa.Array:
    """The times of readings that return, each once."""
    table = spool.columns(["_origin", "_time"])
    return pc.unique(table.filter(pc.not_equal(table.column("_origin"), "")).column("_time"))


def _readings(line: BoundLine, verdict: BatchVerdict) -> Iterator[pa.Table]:
    """Units and times of a batch's accepted records: from its index, else (an earlier version's) from its shards."""
    if verdict.ids is not None:
        opened = pq.ParquetFile(io.BytesIO(fetch_shard(line.store, verdict.ids)))
        if set(UNIT_COLUMNS) <= set(opened.schema_arrow.names):
            yield opened.read(columns=list(UNIT_COLUMNS))
            return
    for ref in verdict.records:
        opened = pq.ParquetFile(io.BytesIO(fetch_shard(line.store, ref)))
        there = {name: name.removeprefix("_") for name in UNIT_COLUMNS}
        table = opened.read(columns=[name for name in there.values() if name in opened.schema_arrow.names])
        if "origin" not in table.column_names:
            table = table.append_column("origin", pa.nulls(len(table), pa.string()))
        yield table.select(list(there.values())).rename_columns(list(there))
