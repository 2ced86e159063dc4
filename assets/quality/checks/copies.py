"""Exact copies: within a batch, and of records that earlier batches had accepted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from assets.quality.checks.columns import MAX_FINDINGS, class_codes, codes, id_bytes
from assets.quality.checks.derived import Derived
from assets.quality.spool import Spool
from assets.records.dataset import SPLITS
from assets.records.verdict import Finding

Rows = NDArray[np.int64]


def find_copies(
    spool: Spool,
    classes: Sequence[str],
    splits: NDArray[np.int8],
    earlier: pa.Table,
    sound: NDArray[np.bool_] | None = None,
) -> Derived:
    """Which records are exact copies (same `_id`) of another one, and which are known.

    Ids are compared by their first 8 bytes, and in full where those are equal. Of copies that are sound, one stays: the
    first of the test split, else of the validation split, else of the train split.

    Args:
        splits: (rows,) 0 train, 1 validation, 2 test.
        earlier: accepted records of the line, columns `_id` and `_label`; the first record of an id counts.
        sound: (rows,) which records break no other critical rule; all where it is None.

    Returns:
        `_copy_of` (file of the one that stays; None for it, for records that are not sound and where there is no copy),
        `_labels_of_id` (int64, how many of the line's classes the batch gives the id; 1 where it gives none),
        `_known_label` (label of the earlier record of the same id, else None). Findings "copy", or "leak" where a train
        record is a copy of a validation or test record.
    """
    rows = spool.rows
    keys, there = _keys(spool)
    copy_of = np.full(rows, None, dtype=object)
    labels_of = np.ones(rows, dtype=np.int64)
    known = _known(spool, keys, there, earlier)
    members, groups = _groups(spool, keys, there)
    if not members.size:
        return Derived({"_copy_of": copy_of, "_labels_of_id": labels_of, "_known_label": known})
    labels_of[members] = _labels(spool, members, groups, classes)
    ok = np.ones(members.size, dtype=bool) if sound is None else np.asarray(sound, dtype=bool)[members]
    copies, kept = _kept(members[ok], groups[ok], splits)
    files = dict(zip((unique := np.unique(kept)).tolist(), _files(spool, unique), strict=True))
    copy_of[copies] = [files[row] for row in kept.tolist()]
    leaks = (splits[copies] == 0) & (splits[kept] != 0)
    findings = []
    for place in np.lexsort((copies, ~leaks))[:MAX_FINDINGS].tolist():  # leaks first
        row, stays = int(copies[place]), int(kept[place])
        kind = "leak" if leaks[place] else "copy"
        detail = f"its input is exactly that of a {SPLITS[splits[stays]]} record" if leaks[place] else "an exact copy"
        findings.append(Finding(kind, row, files[stays], stays, 1.0, detail))
    return Derived({"_copy_of": copy_of, "_labels_of_id": labels_of, "_known_label": known}, tuple(findings))


def _keys(spool: Spool) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """The first 8 bytes of each id, and which rows have one: whole ids of 5 million rows would take 160 MB."""
    keys, there = np.zeros(spool.rows, dtype=np.uint64), np.zeros(spool.rows, dtype=bool)
    for start, table in spool.chunks(["_id"]):
        ids, known = id_bytes(table.column("_id"))
        keys[start : start + len(ids)] = _key(ids)
        there[start : start + len(ids)] = known
    return keys, there


def _key(ids: NDArray[np.uint8]) -> NDArray[np.uint64]:
    return np.ascontiguousarray(ids[:, :8]).view("<u8").reshape(-1)


def _ids(spool: Spool, rows: Rows) -> NDArray[np.uint8]:
    return id_bytes(spool.take(rows, ["_id"]).column("_id"))[0]


def _groups(spool: Spool, keys: NDArray[np.uint64], there: NDArray[np.bool_]) -> tuple[Rows, Rows]:
    """Rows whose id occurs more than once, and the number of each one's group; both in the order of groups and rows."""
    order = np.argsort(keys, kind="stable")
    order = order[there[order]]
    same = keys[order[1:]] == keys[order[:-1]]
    if not same.any():
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    alike = np.zeros(order.size, dtype=bool)
    alike[1:] |= same
    alike[:-1] |= same
    members = order[alike]
    group = np.cumsum(np.concatenate(([True], keys[members[1:]] != keys[members[:-1]]))) - 1
    ids = _ids(spool, members)
    if (ids != ids[np.searchsorted(group, group)]).any():  # another id after 8 equal bytes: on purpose, may be slow
        whole = np.ascontiguousarray(ids).view("V32").reshape(-1)
        group = np.unique(whole, return_inverse=True)[1].reshape(-1)
        again = np.lexsort((members, group))
        members, group = members[again], group[again]
        often = np.bincount(group)[group] > 1
        members, group = members[often], group[often]
    return members.astype(np.int64), group.astype(np.int64)


def _labels(spool: Spool, members: Rows, groups: Rows, classes: Sequence[str]) -> Rows:
    """Of each member: how many different classes its group has, at least 1."""
    found = class_codes(spool.column("_label"), classes)[members]
    usable = found >= 0
    pairs = np.unique(groups[usable] * (len(classes) + 1) + found[usable])
    counts = np.bincount(pairs // (len(classes) + 1), minlength=int(groups.max()) + 1)
    return np.maximum(counts[groups], 1)


def _kept(members: Rows, groups: Rows, splits: NDArray[np.int8]) -> tuple[Rows, Rows]:
    """Rows that are copies, and the row each is a copy of."""
    order = np.lexsort((members, -splits[members].astype(np.int64), groups))
    members, groups = members[order], groups[order]
    kept = members[np.searchsorted(groups, groups)]
    copies = members != kept
    return members[copies], kept[copies]


def _files(spool: Spool, rows: Rows) -> list[str]:
    return [name or "" for name in spool.take(rows, ["_file"]).column("_file").to_pylist()]


def _known(spool: Spool, keys: NDArray[np.uint64], there: NDArray[np.bool_], earlier: pa.Table) -> NDArray[np.object_]:
    """Label of the first earlier record of each row's id."""
    known = np.full(len(keys), None, dtype=object)
    if not earlier.num_rows or not len(keys):
        return known
    old, old_there = id_bytes(earlier.column("_id"))
    order = np.flatnonzero(old_there)
    old_keys = _key(old)[order]
    ranks = np.argsort(old_keys, kind="stable")
    order, old_keys = order[ranks], old_keys[ranks]
    places = np.searchsorted(old_keys, keys)
    rows = np.flatnonzero(there & (places < len(old_keys)))
    rows = rows[old_keys[places[rows]] == keys[rows]]
    ids = _ids(spool, rows)
    words, names = codes(earlier.column("_label"))
    label = np.array([*names, None], dtype=object)
    for tried in range(1000):  # more than one turn only where different ids share 8 bytes: only on purpose
        at = places[rows] + tried
        inside = at < len(old_keys)
        rows, at, ids = rows[inside], at[inside], ids[inside]
        going = old_keys[at] == keys[rows]
        rows, at, ids = rows[going], at[going], ids[going]
        equal = (old[order[at]] == ids).all(axis=1)
        known[rows[equal]] = label[words[order[at[equal]]]]
        rows, ids = rows[~equal], ids[~equal]
        if not rows.size:
            break
    return known
