"""What makes two records the same one: equal inputs (the id) under equal targets (the label).

The id alone draws the split, so every record of one input is on one side. How often a pair counts follows the line's
`quality.copies`: of a pair that a batch holds three times, the third is known only where an earlier accepted batch held
it three times too. Gate and dataset ask here, so both count alike.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.records.dataset import Counting

Keys = NDArray[np.bytes_]
"""(n,) 16 bytes each, in place of ids of 32 bytes and labels of any length; equal exactly where those are."""
WIDTH = 16


def id_keys(ids: NDArray[np.uint8]) -> Keys:
    """Keys of inputs.

    Args:
        ids: (n, 32) uint8, SHA-256 each.
    """
    return _packed(ids[:, :WIDTH] ^ ids[:, WIDTH:])


def pair_keys(ids: NDArray[np.uint8], labels: NDArray[np.int64], names: Sequence[str | None]) -> Keys:
    """Keys of pairs of an input and its target.

    Args:
        ids: (n, 32) uint8, SHA-256 each.
        labels: (n,) positions in `names`.
        names: distinct labels; None is as "".
    """
    if not len(ids):
        return _packed(np.zeros((0, WIDTH), dtype=np.uint8))
    words = b"".join(hashlib.sha256((name or "").encode()).digest()[:WIDTH] for name in names)
    digests = np.frombuffer(words, dtype=np.uint8).reshape(-1, WIDTH)
    return _packed(ids[:, :WIDTH] ^ ids[:, WIDTH:] ^ digests[labels])


def keys_of_texts(ids: Sequence[str], labels: Sequence[str | None] | None) -> Keys:
    """Keys of pairs (of inputs without `labels`), where ids are 64 hex digits. Raises ValueError where one is not."""
    packed = np.frombuffer(bytes.fromhex("".join(ids)), dtype=np.uint8).reshape(-1, 2 * WIDTH)
    if len(packed) != len(ids):
        raise ValueError("an id is 64 hex digits")
    if labels is None:
        return id_keys(packed)
    place: dict[str | None, int] = {}
    codes = np.fromiter((place.setdefault(label, len(place)) for label in labels), dtype=np.int64, count=len(ids))
    return pair_keys(packed, codes, list(place))


def among(keys: Keys, known: Keys) -> NDArray[np.bool_]:
    """(n,) which keys are among `known`, which is sorted."""
    if not len(known):
        return np.zeros(len(keys), dtype=bool)
    at = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    found: NDArray[np.bool_] = known[at] == keys
    return found


class Occurrences:
    """How often each key came: in the batch that is being read, and most often in one batch before it.

    Takes 20 bytes for each distinct key of either.
    """

    def __init__(self) -> None:
        self._before, self._here = _Tally(), _Tally()

    def take(self, keys: Keys) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Read on in the batch.

        Returns:
            (n,) as which occurrence in its batch each key comes, from 1; (n,) how often an earlier batch had it.
        """
        order = np.argsort(keys, kind="stable")
        ranked = keys[order]
        first = np.ones(len(keys), dtype=bool)
        first[1:] = ranked[1:] != ranked[:-1]
        starts = np.flatnonzero(first)
        counts = np.diff(np.append(starts, len(keys)))
        nth = np.empty(len(keys), dtype=np.int64)
        nth[order] = np.arange(len(keys)) - np.repeat(starts, counts) + 1
        nth += self._here.of(keys)
        distinct = ranked[starts]
        self._here.put(distinct, self._here.of(distinct) + counts)
        return nth, self._before.of(keys)

    def end_batch(self) -> None:
        """What was read is an earlier batch from now on."""
        here = self._here
        self._before.put(here.keys, np.maximum(self._before.of(here.keys), here.counts))
        self._here = _Tally()


def is_known(counting: Counting, nth: NDArray[np.int64], before: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(n,) which records were accepted before, and do not count again.

    Args:
        nth, before: what `Occurrences.take` gave.
    """
    if counting == "all":
        return np.zeros(len(nth), dtype=bool)
    known: NDArray[np.bool_] = nth <= before if counting == "per_batch" else before > 0
    return known


def is_counted(counting: Counting, nth: NDArray[np.int64], before: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(n,) which records are records of the dataset: neither known nor a copy. Arguments as `is_known`."""
    counted = ~is_known(counting, nth, before)
    return counted & (nth == 1) if counting in ("once", "by_id") else counted


def replaced_keys(corrections: Iterable[tuple[Keys, NDArray[np.bool_]]]) -> Keys:
    """Sorted keys of the pairs that corrections took the place of; the last word on a pair holds.

    Args:
        corrections: of each correcting batch in order: keys of pairs, and which of them were replaced (the others
            stand again).
    """
    dead = _packed(np.zeros((0, WIDTH), dtype=np.uint8))
    for keys, gone in corrections:
        dead = np.union1d(np.setdiff1d(dead, keys[~gone]), keys[gone])
    return dead


class _Tally:
    """Sorted distinct keys, and a count of each."""

    def __init__(self) -> None:
        self.keys: Keys = _packed(np.zeros((0, WIDTH), dtype=np.uint8))
        self.counts = np.zeros(0, dtype=np.int32)

    def of(self, keys: Keys) -> NDArray[np.int64]:
        """(n,) the count of each key, 0 for others."""
        found = np.zeros(len(keys), dtype=np.int64)
        if len(self.keys):
            at = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
            same = self.keys[at] == keys
            found[same] = self.counts[at[same]]
        return found

    def put(self, keys: Keys, counts: NDArray[Any]) -> None:
        """Set the counts of these keys, which are sorted and distinct."""
        at = np.searchsorted(self.keys, keys)
        there = among(keys, self.keys)
        self.counts[at[there]] = counts[there]
        self.keys = np.insert(self.keys, at[~there], keys[~there])
        self.counts = np.insert(self.counts, at[~there], counts[~there].astype(np.int32))


def _packed(raw: NDArray[np.uint8]) -> Keys:
    keys: Keys = np.ascontiguousarray(raw).view(f"S{WIDTH}").reshape(-1)
    return keys
