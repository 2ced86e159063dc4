"""Inputs that are in two splits: a model would be measured on what it learned.

Splits are drawn by the input (by the group, where there is one), so equal inputs part only where a source declares
splits, or where groups share an input.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from assets.line.data import DataContract
from assets.quality.checks.columns import MAX_FINDINGS, codes
from assets.quality.checks.copies import files_of, same_inputs
from assets.quality.checks.derived import Derived
from assets.quality.checks.known import Earlier, Met
from assets.quality.spool import Spool
from assets.records.dataset import SPLITS
from assets.records.identity import among
from assets.records.splits import record_split
from assets.records.verdict import Finding

Rows = NDArray[np.int64]
DRAWN, CARVED, UNKNOWN = -1, -2, -3
"""Drawn by the id, from all splits or from train records; of an older index, that the split was not kept."""


def find_other_splits(
    spool: Spool, data: DataContract, met: Met, earlier: Earlier, sound: NDArray[np.bool_]
) -> Derived:
    """Which sound records' inputs are in another split, in this batch or as an earlier batch was accepted.

    What was accepted before stays; in a batch the test records stay, else those for validation.

    Returns:
        `_other_split`: where the input is, in words; None for all others. Findings "leak".
    """
    found = np.full(spool.rows, None, dtype=object)
    own = _sides(spool.columns(["_split", "_group"]), data)
    old = _earlier_sides(earlier.table, data)
    if len(np.union1d(own, old[old != UNKNOWN])) < 2:
        return Derived({"_other_split": found})  # all are of one split, or all are drawn by their ids
    findings: list[Finding] = []
    for row, place, split, before in _parted(spool, data, met, earlier, sound, own, old):
        where = f"{place} of an earlier batch" if before else place
        found[row] = f"{where}, a {split} record"
        if len(findings) < MAX_FINDINGS:
            detail = f"its input is exactly that of a {split} record{', accepted before' * before}"
            findings.append(Finding("leak", row, place, -1, 1.0, detail))
    return Derived({"_other_split": found}, tuple(findings))


def _parted(
    spool: Spool,
    data: DataContract,
    met: Met,
    earlier: Earlier,
    sound: NDArray[np.bool_],
    own: NDArray[np.int8],
    old: NDArray[np.int8],
) -> list[tuple[int, str, str, bool]]:
    """Row, file and split of the record that its input is in, and whether that was accepted before."""
    known, first = np.unique(earlier.inputs[old != UNKNOWN], return_index=True)
    firsts = np.flatnonzero(old != UNKNOWN)[first]
    met = met.among(sound)
    mine = among(met.inputs, known)
    rows = met.rows[mine]
    places = firsts[np.searchsorted(known, met.inputs[mine])] if len(rows) else rows
    ids = _ids(spool, rows)
    theirs = _drawn(old[places], ids, data)
    parted = np.flatnonzero(_drawn(own[rows], ids, data) != theirs)
    files = earlier.table.column("_file").take(pa.array(places[parted])).to_pylist()
    result = [
        (int(rows[at]), file or "", SPLITS[theirs[at]], True) for at, file in zip(parted.tolist(), files, strict=True)
    ]
    members, groups = same_inputs(spool)
    new = sound.copy()
    new[rows] = False
    keep = new[members]
    members, groups = members[keep], groups[keep]
    sides = _drawn(own[members], _ids(spool, members), data)
    order = np.lexsort((members, -sides, groups))
    members, groups, sides = members[order], groups[order], sides[order]
    stays = np.searchsorted(groups, groups)
    away = np.flatnonzero(sides != sides[stays])
    names = files_of(spool, members[stays[away]])
    result += [
        (int(members[at]), name, SPLITS[sides[stays[at]]], False) for at, name in zip(away.tolist(), names, strict=True)
    ]
    return sorted(result)


def _ids(spool: Spool, rows: Rows) -> list[bytes | None]:
    ids: list[bytes | None] = spool.take(rows, ["_id"]).column("_id").to_pylist()
    return ids


def _drawn(sides: NDArray[np.int8], ids: list[bytes | None], data: DataContract) -> NDArray[np.int8]:
    """Splits, with those drawn that the id decides."""
    found = sides.copy()
    for at in np.flatnonzero(sides < 0).tolist():
        declared = "train" if sides[at] == CARVED else ""
        found[at] = SPLITS.index(record_split((ids[at] or b"").hex(), "", declared, data))
    return found


def _sides(table: pa.Table, data: DataContract) -> NDArray[np.int8]:
    """(rows,) the split of each record; `DRAWN` or `CARVED` where its id decides. Columns `_split` and `_group`."""
    declared, splits = codes(table.column("_split"))
    units, groups = codes(table.column("_group"))
    sides = np.zeros(table.num_rows, dtype=np.int8)
    for code, split in enumerate(splits):
        rows = np.flatnonzero(declared == code)
        if split in SPLITS and (split != "train" or not data.carve):
            sides[rows] = SPLITS.index(split)
            continue
        alone = CARVED if split == "train" else DRAWN
        here = {unit: groups[unit] for unit in np.unique(units[rows]).tolist()}
        of_unit = np.full(len(groups), alone, dtype=np.int8)
        for unit, group in here.items():
            of_unit[unit] = (
                SPLITS.index(record_split("", group, "train" if alone == CARVED else "", data)) if group else alone
            )
        sides[rows] = of_unit[units[rows]]
    return sides


def _earlier_sides(table: pa.Table, data: DataContract) -> NDArray[np.int8]:
    """As `_sides`; an index of before splits were kept tells test and validation records of tables only.

    There 0 stands for train as well as for drawn, so those are `UNKNOWN`, and nothing is said against them.
    """
    kept = np.asarray(table.column("_split").is_valid().to_numpy(), dtype=bool)
    sides = _sides(table.select(["_split", "_group"]), data)
    old = table.column("_side").fill_null(0).to_numpy().astype(np.int8)
    doubtful = old == 0 if data.inputs is not None else np.zeros(len(old), dtype=bool)
    return np.where(kept, sides, np.where(doubtful, UNKNOWN, old)).astype(np.int8)
