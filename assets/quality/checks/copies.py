"""Equal records of a batch: copies of one pair of input and target, and inputs under more than one target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assets.quality.checks.columns import MAX_FINDINGS, codes, id_bytes
from assets.quality.checks.derived import Derived
from assets.quality.spool import Spool
from assets.records.dataset import SPLITS
from assets.records.verdict import Finding

Rows = NDArray[np.int64]


def find_copies(spool: Spool, splits: NDArray[np.int8], sound: NDArray[np.bool_] | None = None) -> Derived:
    """Which records are exact copies (same `_id`, same `_label`) of another one.

    Ids are compared by their first 8 bytes, and in full where those are equal. Of copies that are sound, one stays: the
    first of the test split, else of the validation split, else of the train split.

    Args:
        splits: (rows,) 0 train, 1 validation, 2 test.
        sound: (rows,) which records break no other critical rule; all where it is None.

    Returns:
        `_copy_of` (file of the one that stays; None for it, for records that are not sound and where there is no copy).
        Findings "copy", or "leak" where a train record is a copy of a validation or test record.
    """
    copy_of = np.full(spool.rows, None, dtype=object)
    members, groups = same_inputs(spool)
    if sound is not None:
        ok = np.asarray(sound, dtype=bool)[members]
        members, groups = members[ok], groups[ok]
    if not members.size:
        return Derived({"_copy_of": copy_of})
    labels, names = codes(spool.column("_label"))
    pairs = np.unique(groups * (len(names) + 1) + labels[members], return_inverse=True)[1].reshape(-1)
    copies, kept = _kept(members, pairs, splits)
    files = dict(zip((unique := np.unique(kept)).tolist(), files_of(spool, unique), strict=True))
    copy_of[copies] = [files[row] for row in kept.tolist()]
    leaks = (splits[copies] == 0) & (splits[kept] != 0)
    findings = []
    for place in np.lexsort((copies, ~leaks))[:MAX_FINDINGS].tolist():  # leaks first
        row, stays = int(copies[place]), int(kept[place])
        kind = "leak" if leaks[place] else "copy"
        detail = f"its input is exactly that of a {SPLITS[splits[stays]]} record" if leaks[place] else "an exact copy"
        findings.append(Finding(kind, row, files[stays], stays, 1.0, detail))
    return Derived({"_copy_of": copy_of}, tuple(findings))


@dataclass(frozen=True)
class EqualInputs:
    """Records of a batch that share their input with another one.

    Attributes:
        rows: (n,) positions in the batch.
        groups: (n,) number of the input.
        targets: (n,) how many different targets the batch gives the input, at least 1.
        repeated: how many records equal another one in input and target, the first of each not counted.
    """

    rows: Rows
    groups: Rows
    targets: Rows
    repeated: int

    @classmethod
    def of(cls, spool: Spool, classes: Sequence[str]) -> EqualInputs:
        """Found over the whole batch.

        Args:
            classes: other labels are no targets; every label is one where it is empty.
        """
        rows, groups = same_inputs(spool)
        if not rows.size:
            return cls(rows, groups, rows, 0)
        labels, names = codes(spool.column("_label"))
        labels = labels[rows]
        pairs = len(np.unique(groups * (len(names) + 1) + labels))
        no_target = np.asarray([not name or (bool(classes) and name not in classes) for name in names])[labels]
        targets = np.unique(groups[~no_target] * (len(names) + 1) + labels[~no_target]) // (len(names) + 1)
        counts = np.bincount(targets, minlength=int(groups.max()) + 1)
        return cls(rows, groups, np.maximum(counts[groups], 1), len(rows) - pairs)


def same_inputs(spool: Spool) -> tuple[Rows, Rows]:
    """Rows whose id occurs more than once, and the number of each one's group; both in the order of groups and rows."""
    return _groups(spool, *_keys(spool))


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


def _kept(members: Rows, groups: Rows, splits: NDArray[np.int8]) -> tuple[Rows, Rows]:
    """Rows that are copies, and the row each is a copy of."""
    order = np.lexsort((members, -splits[members].astype(np.int64), groups))
    members, groups = members[order], groups[order]
    kept = members[np.searchsorted(groups, groups)]
    copies = members != kept
    return members[copies], kept[copies]


def files_of(spool: Spool, rows: Rows) -> list[str]:
    """The file of each of these rows."""
    return [name or "" for name in spool.take(rows, ["_file"]).column("_file").to_pylist()]
