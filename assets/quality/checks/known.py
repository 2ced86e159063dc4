"""Which records of a batch the line knows from batches that it accepted before, and which come under another target."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from assets.quality.checks.columns import codes, id_bytes
from assets.quality.spool import Spool
from assets.records.dataset import Counting
from assets.records.identity import Keys, Occurrences, among, id_keys, is_known, pair_keys

Rows = NDArray[np.int64]
Corrected = tuple[str, str, str | None]
Only = Mapping[bytes, Set[str]]
NO_ROWS: Rows = np.zeros(0, dtype=np.int64)
NO_KEYS: Keys = id_keys(np.zeros((0, 32), dtype=np.uint8))


@dataclass(frozen=True)
class Earlier:
    """Accepted records of the line whose input may be in the batch, in the order of acceptance.

    Attributes:
        table: columns of `assets.quality.history.INDEX_SCHEMA`, and `_batch`.
        inputs: (records,) keys of ids.
        pairs: (records,) keys of pairs of id and label.
        replaced: sorted keys of pairs whose label was corrected since.
    """

    table: pa.Table
    inputs: Keys
    pairs: Keys
    replaced: Keys

    @classmethod
    def of(cls, table: pa.Table, replaced: Keys) -> Earlier:
        """From the index of what was accepted."""
        ids, _ = id_bytes(table.column("_id"))
        return cls(table, id_keys(ids), pair_keys(ids, *codes(table.column("_label"))), replaced)

    @property
    def living(self) -> NDArray[np.bool_]:
        """(records,) which still count: their label was not corrected."""
        return ~among(self.pairs, self.replaced)


@dataclass(frozen=True)
class Met:
    """Records of a batch whose input an earlier batch had.

    Attributes:
        rows: (n,) positions in the batch, ascending.
        inputs, pairs: (n,) their keys, as of `Earlier`.
    """

    rows: Rows
    inputs: Keys
    pairs: Keys

    @classmethod
    def of(cls, spool: Spool, earlier: Earlier) -> Met:
        """Found chunk by chunk."""
        wanted, rows, inputs, pairs = np.unique(earlier.inputs), [NO_ROWS], [NO_KEYS], [NO_KEYS]
        for start, table in spool.chunks(["_id", "_label"]) if len(wanted) else ():
            ids, there = id_bytes(table.column("_id"))
            keys = id_keys(ids)
            hits = np.flatnonzero(there & among(keys, wanted))
            labels, names = codes(table.column("_label").take(pa.array(hits)))
            rows.append(start + hits)
            inputs.append(keys[hits])
            pairs.append(pair_keys(ids[hits], labels, names))
        return cls(np.concatenate(rows), np.concatenate(inputs), np.concatenate(pairs))

    def among(self, rows: NDArray[np.bool_]) -> Met:
        """Those of them that a mask over the whole batch takes."""
        mine = rows[self.rows]
        return Met(self.rows[mine], self.inputs[mine], self.pairs[mine])


def known_rows(met: Met, earlier: Earlier, counting: Counting) -> Rows:
    """Records that an accepted batch had before as often, or whose label was corrected: they do not count again.

    Returns:
        Positions in the batch, ascending.
    """
    found = among(met.pairs, earlier.replaced)
    seen = Occurrences()
    batches = codes(earlier.table.column("_batch"))[0]
    for part in np.split(np.arange(len(batches)), np.flatnonzero(np.diff(batches)) + 1):
        seen.take(earlier.pairs[part])
        seen.end_batch()
    return met.rows[found | is_known(counting, *seen.take(met.pairs))]


def relabelled_rows(spool: Spool, met: Met, earlier: Earlier) -> NDArray[np.object_]:
    """The target under which an earlier batch had the record's input, where it had it under others only; else None."""
    found = np.full(spool.rows, None, dtype=object)
    living = np.flatnonzero(earlier.living)
    inputs, first = np.unique(earlier.inputs[living], return_index=True)
    mine = among(met.inputs, inputs) & ~among(met.pairs, np.unique(earlier.pairs[living]))
    rows, keys = met.rows[mine], met.inputs[mine]
    labelled = np.asarray([bool(label) for label in _column(spool, rows, "_label")], dtype=bool)
    rows, keys = rows[labelled], keys[labelled]
    places = living[first[np.searchsorted(inputs, keys)]] if len(rows) else NO_ROWS
    found[rows] = earlier.table.column("_label").take(pa.array(places)).to_pylist()
    return found


def corrected_labels(spool: Spool, met: Met, earlier: Earlier, only: Only | None = None) -> list[Corrected]:
    """What records of a batch correct, as rows of `assets.records.corrections`.

    Every accepted target of a record's input is replaced that no correcting record of this batch has.

    Args:
        met: the good records that correct.
        only: id to the targets that are replaced, of inputs of which not all are.
    """
    fresh: dict[bytes, dict[str, None]] = {}
    records = spool.take(met.rows, ["_id", "_label"]).to_pylist()
    for record in records:
        fresh.setdefault(record["_id"], {})[record["_label"]] = None
    mine = np.flatnonzero(earlier.living & among(earlier.inputs, np.unique(met.inputs)))
    old = earlier.table.take(pa.array(mine)).select(["_id", "_label"]).to_pylist()
    found: dict[Corrected, None] = {}
    for record in old:
        identity, label = record["_id"], record["_label"] or ""
        by = fresh.get(identity, {})
        if by and label not in by and (not only or label in only.get(identity, {label})):
            found[identity.hex(), label, next(iter(by))] = None
    for at in np.flatnonzero(among(met.pairs, earlier.replaced)).tolist():  # these stand again
        found[records[at]["_id"].hex(), records[at]["_label"], None] = None
    return list(found)


def _column(spool: Spool, rows: Rows, name: str) -> list[str | None]:
    values: list[str | None] = spool.take(rows, [name]).column(name).to_pylist()
    return values
