"""Records that are almost equal: within a batch, and to what earlier batches had accepted; leaks between splits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from assets.line.data import DataContract
from assets.quality.checks.columns import MAX_FINDINGS, id_bytes, matrix
from assets.quality.checks.derived import Derived
from assets.quality.checks.neighbours import Pairs, close_pairs, typical_distance
from assets.quality.checks.picture_similarity import Confirmed, confirm_pictures
from assets.quality.checks.similarity import same_rows, same_texts, text_likeness
from assets.quality.spool import Spool
from assets.records.dataset import SPLITS
from assets.records.verdict import Finding

Rows = NDArray[np.int64]

MOST_COMPARED = 300_000
"""Records of a batch that are compared by embedding: 100,000 take about 20 s on 2 cores and 0.3 GB."""
MOST_ROWS = 1_000_000
"""Rows of a table that are compared by rounding: about 2 s."""
TINY = 32
"""Pixels; pictures with a shorter side look alike even where they are not, so they must agree better."""
PHASH = 8
"""Bits of 63 that may differ: 95 % of recompressed, resized, blurred and brighter copies differ in at most 4 (CIFAR-10,
pets), other pictures in 10 or more."""
_RADIUS = {"image": 0.25, "text": 0.6, "audio": 0.12}
"""Distance of embeddings from which records are looked at; never more than `_PART` of the typical distance."""
_PART = {"image": 0.6, "text": 0.9, "audio": 0.3}
_SURE = {"image": 0.15, "text": 0.25, "audio": 0.12}
_SURE_PART = {"image": 0.15, "text": 0.9, "audio": 0.3}
"""The same where embeddings alone decide, because the records themselves are not there to look at (earlier ones)."""
_TEXT_ALIKE = 0.75
"""Share of runs of 4 letters in common: one mistyped letter in a short message leaves 0.78. Of 177 changed copies
planted in sms-spam (case, punctuation, a word more or less, two letters swapped) 173 are found; what else is found are
real copies and messages made from one template."""


def find_near_duplicates(
    spool: Spool,
    data: DataContract,
    splits: NDArray[np.int8],
    earlier: pa.Table,
    sound: NDArray[np.bool_] | None = None,
) -> Derived:
    """Find records that are almost equal but no exact copies.

    Pictures, sounds and texts: those whose embeddings are close are candidates. Pictures of the batch are then compared
    by their pixels (normalized, at most 32 x 32), texts by their runs of letters; earlier pictures and texts, whose
    content is not at hand, by a stricter distance, pictures also by their perceptual hash. How close is close follows
    the data: where all pictures are alike (one machine, one camera), copies must be closer than its own neighbours are.
    Texts that are equal without case, spaces and punctuation are always found; so are rows of tables that are equal
    in 6 digits. Series are not compared: readings may repeat.

    Args:
        splits: (rows,) 0 train, 1 validation, 2 test.
        earlier: accepted records of the line: `_id`, `_side`, `_file`, `_phash`, `_embedding`.
        sound: (rows,) which records break no critical rule; only they are compared. All where it is None.

    Returns:
        `_leak`: file of the validation or test record that a train record almost equals (for a validation or test
        split that it almost equals, which comes before it in the batch or is an earlier one. Findings "leak" and
        side that it almost equals, which comes before it in the batch or is an earlier one. Findings "leak" and
        "near_duplicate", the surest first; score: 1 for equal, 0 for nothing in common.
    """
    compared = _compared(spool, data, splits, earlier, sound)
    leak = np.full(spool.rows, None, dtype=object)
    near = np.full(spool.rows, None, dtype=object)
    if not len(compared.first):
        return Derived({"_leak": leak, "_near": near}, compared.notes)
    return _judged(spool, splits, earlier, compared, leak, near)


@dataclass(frozen=True)
class _Compared:
    """Pairs that are almost equal: rows of the batch, `second` from `rows` on is an earlier record; surest first."""

    first: Rows
    second: Rows
    score: NDArray[np.float64]
    notes: tuple[Finding, ...] = ()


def _compared(
    spool: Spool, data: DataContract, splits: NDArray[np.int8], earlier: pa.Table, sound: NDArray[np.bool_] | None
) -> _Compared:
    ok = np.ones(spool.rows, dtype=bool) if sound is None else np.asarray(sound, dtype=bool)
    kind = "image" if data.image else "text" if data.text else "audio" if data.audio else "table"
    parts: list[tuple[Rows, Rows, NDArray[np.float64]]] = []
    notes: tuple[Finding, ...] = ()
    if data.series is not None or not spool.rows:
        return _joined(spool, earlier, parts, notes)
    if kind == "table":
        if spool.rows > MOST_ROWS:
            detail = f"tables of more than {MOST_ROWS:,} rows are only compared exactly"
            return _joined(spool, earlier, parts, (Finding("near_duplicate", -1, "", -1, 0.0, detail),))
        parts.append(_in_groups(same_rows(spool, data), ok, splits))
        return _joined(spool, earlier, parts, notes)
    if kind == "text":
        parts.append(_in_groups(same_texts(spool), ok, splits))
    rows = np.flatnonzero(ok)
    if len(rows) > MOST_COMPARED:
        rows = _chosen(rows, splits)
        detail = f"only {MOST_COMPARED:,} of {int(ok.sum()):,} records were compared by what they look like"
        notes = (Finding("near_duplicate", -1, "", -1, 0.0, detail),)
    parts += _by_embedding(spool, kind, rows, splits, earlier)
    return _joined(spool, earlier, parts, notes)


def _chosen(rows: Rows, splits: NDArray[np.int8]) -> Rows:
    """Validation and test records first: a leak is worse than a train record that is there twice."""
    order = np.argsort(splits[rows] == 0, kind="stable")
    return np.sort(rows[order[:MOST_COMPARED]])


def _by_embedding(
    spool: Spool, kind: str, rows: Rows, splits: NDArray[np.int8], earlier: pa.Table
) -> list[tuple[Rows, Rows, NDArray[np.float64]]]:
    points, there = matrix(spool.column("_embedding"))
    rows = rows[there[rows]]
    old, old_there = matrix(earlier.column("_embedding"))
    if old.shape[1] != points.shape[1]:
        old, old_there = np.zeros((0, points.shape[1]), dtype=np.float32), np.zeros(0, dtype=bool)
    old_rows = np.flatnonzero(old_there)
    points = np.concatenate([points[rows], old[old_rows]])
    if len(points) < 2 or not len(rows):
        return []
    split = np.concatenate([splits[rows], _splits_of(earlier)[old_rows]])
    # Points equal bit for bit are paired with one of them; only that one looks around.
    whole = np.ascontiguousarray(points).view(f"V{points.shape[1] * 4}").reshape(-1)
    alike = np.unique(whole, return_inverse=True)[1].reshape(-1)
    equal = _group_pairs(alike, split, len(rows))
    held = alike * 2 + (split != 0)
    leaders = np.sort(np.unique(held, return_index=True)[1])
    typical = typical_distance(points[np.sort(np.unique(alike, return_index=True)[1])])
    radius = min(_RADIUS[kind], _PART[kind] * typical)
    found = close_pairs(points[leaders], int((leaders < len(rows)).sum()), radius)
    first = np.concatenate([equal[0], leaders[found.first]])
    second = np.concatenate([equal[1], leaders[found.second]])
    distance = np.concatenate([np.zeros(len(equal[0]), dtype=np.float32), found.distance])
    names = np.concatenate([rows, spool.rows + old_rows])
    pairs = Pairs(names[first], names[second], distance)
    sure = min(_SURE[kind], _SURE_PART[kind] * typical)
    return [_confirmed(spool, kind, pairs, earlier, sure)]


def _confirmed(
    spool: Spool, kind: str, pairs: Pairs, earlier: pa.Table, sure: float
) -> tuple[Rows, Rows, NDArray[np.float64]]:
    inside = pairs.second < spool.rows
    score = 1 - pairs.distance.astype(np.float64)
    good = pairs.distance <= sure
    if kind == "image":
        tiny = _tiny(spool, pairs.first)
        bits = _bits(spool, pairs, earlier)
        good &= bits <= PHASH
        looked: Confirmed = confirm_pictures(spool, pairs.first[inside], pairs.second[inside], tiny[inside])
        good[inside] = np.where(looked.looked, looked.same, good[inside])
        score[inside] = np.where(looked.looked, looked.score, score[inside])
    elif kind == "text":
        likeness = text_likeness(spool, pairs.first[inside], pairs.second[inside])
        good[inside], score[inside] = likeness >= _TEXT_ALIKE, likeness
    return pairs.first[good], pairs.second[good], score[good]


def _tiny(spool: Spool, rows: Rows) -> NDArray[np.bool_]:
    sizes = spool.columns(["width", "height"])
    shorter = np.fmin(*(np.asarray(sizes.column(name).to_numpy(), dtype=np.float64) for name in ("width", "height")))
    result: NDArray[np.bool_] = ~(shorter[rows] >= TINY)
    return result


def _bits(spool: Spool, pairs: Pairs, earlier: pa.Table) -> NDArray[np.uint8]:
    """How many bits of the perceptual hashes differ; 64 where one has none."""
    hashes = pa.chunked_array(
        [*spool.column("_phash").chunks, *earlier.column("_phash").cast(pa.uint64()).chunks], pa.uint64()
    )
    known = np.asarray(hashes.is_valid().combine_chunks() if hashes.num_chunks else [], dtype=bool)
    values = hashes.fill_null(0).to_numpy().astype(np.uint64)
    bits = np.bitwise_count(values[pairs.first] ^ values[pairs.second])
    return np.where(known[pairs.first] & known[pairs.second], bits, np.uint8(64))


def _in_groups(
    keys: NDArray[np.uint64], ok: NDArray[np.bool_], splits: NDArray[np.int8]
) -> tuple[Rows, Rows, NDArray[np.float64]]:
    """Pairs of records with the same key; key 0 is none."""
    rows = np.flatnonzero(ok & (keys != 0))
    first, second = _group_pairs(np.unique(keys[rows], return_inverse=True)[1].reshape(-1), splits[rows], len(rows))
    return rows[first], rows[second], np.ones(len(first))


def _group_pairs(group: Rows, splits: NDArray[np.int8], fresh: int) -> tuple[Rows, Rows]:
    """Each member of a group with the first of its own side, and with the first of the other; once, first < second.

    Train is one side, validation and test the other. Pairs of two members from `fresh` on are left out.
    """
    held = (splits != 0).astype(np.int64)
    groups = int(group.max()) + 1 if len(group) else 0
    leaders = np.full(groups * 2, -1, dtype=np.int64)
    members = np.arange(len(group))
    leaders[(group * 2 + held)[::-1]] = members[::-1]  # the last one written is the first member
    firsts, seconds = [], []
    for other in (leaders[group * 2 + held], leaders[group * 2 + 1 - held]):
        real = (other >= 0) & (other != members)
        firsts.append(np.minimum(members, other)[real])
        seconds.append(np.maximum(members, other)[real])
    first, second = np.concatenate(firsts), np.concatenate(seconds)
    first, second = first[first < fresh], second[first < fresh]
    order = np.lexsort((second, first))
    first, second = first[order], second[order]
    new = np.ones(len(first), dtype=bool)
    new[1:] = (first[1:] != first[:-1]) | (second[1:] != second[:-1])
    return first[new], second[new]


def _joined(
    spool: Spool,
    earlier: pa.Table,
    parts: list[tuple[Rows, Rows, NDArray[np.float64]]],
    notes: tuple[Finding, ...],
) -> _Compared:
    """All pairs, the surest first, without exact copies."""
    if not sum(len(part[0]) for part in parts):
        return _Compared(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0), notes)
    first, second, score = (np.concatenate([part[place] for part in parts]) for place in range(3))
    needed = np.unique(np.concatenate([first, second]))
    inside = needed[needed < spool.rows]
    ids = np.concatenate(
        [
            id_bytes(spool.take(inside, ["_id"]).column("_id"))[0],
            id_bytes(earlier.column("_id").take(pa.array(needed[len(inside) :] - spool.rows)))[0],
        ]
    )
    other = (ids[np.searchsorted(needed, first)] != ids[np.searchsorted(needed, second)]).any(axis=1)
    first, second, score = first[other], second[other], score[other]
    order = np.lexsort((second, first, -score))
    return _Compared(first[order], second[order], score[order], notes)


def _splits_of(earlier: pa.Table) -> NDArray[np.int8]:
    return np.asarray(earlier.column("_side").fill_null(0).to_numpy(), dtype=np.int8)


def _judged(
    spool: Spool,
    splits: NDArray[np.int8],
    earlier: pa.Table,
    compared: _Compared,
    leak: NDArray[np.object_],
    near: NDArray[np.object_],
) -> Derived:
    needed = np.unique(np.concatenate([compared.first, compared.second]))
    inside = needed[needed < spool.rows]
    here = spool.take(inside, ["_file", "_label", "_group"])
    there = earlier.take(pa.array(needed[len(inside) :] - spool.rows))
    files = [*here.column("_file").to_pylist(), *there.column("_file").to_pylist()]
    labels = [*here.column("_label").to_pylist(), *there.column("_label").to_pylist()]
    groups = [*here.column("_group").to_pylist(), *[""] * len(there)]
    split = np.concatenate([splits, _splits_of(earlier)])
    place = {int(row): at for at, row in enumerate(needed)}
    findings: list[Finding] = []
    for first, second, score in zip(
        compared.first.tolist(), compared.second.tolist(), compared.score.tolist(), strict=True
    ):
        one, two = place[first], place[second]
        leaks = (split[first] == 0) != (split[second] == 0)
        if groups[one] and groups[one] == groups[two] and not leaks:
            continue  # readings of one unit are on one side, and said to be kin
        known = second >= spool.rows
        if known or (leaks and split[first] == 0):
            row, partner, at = first, second, two
        else:
            row, partner, at = second, first, one
        column = leak if leaks else near
        file = files[at] or ""
        if column[row] is None:
            column[row] = f"{file} of an earlier batch" if known else file
        if len(findings) < MAX_FINDINGS:
            where = ", accepted before" if known else ""
            detail = f"almost equal to a {SPLITS[split[partner]]} record{where} ({score:.0%} alike)"
            if labels[one] != labels[two]:
                detail += ", whose label is another one"
            kind = "leak" if leaks else "near_duplicate"
            findings.append(Finding(kind, row, file, -1 if known else partner, score, detail))
    findings.sort(key=lambda finding: finding.kind != "leak")  # stable: leaks first, each kind the surest first
    return Derived({"_leak": leak, "_near": near}, (*findings, *compared.notes))
