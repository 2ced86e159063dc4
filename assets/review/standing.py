"""Which decision stands on each record of a batch: by its input and label, of older decisions by its input alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from assets.review.lookup import Lookup, whole

if TYPE_CHECKING:
    import pyarrow as pa

_ANY = 0
"""Stands for every label of an input."""


class Standing:
    """The last decision on each record, quick to ask for many records at once."""

    def __init__(self, members: pa.Table, gone: list[int]) -> None:
        """`members`: columns id, label (null: every one) and position; `gone`: positions that hold nothing any more."""
        self._lookup = Lookup(members["id"].unique())
        names = members["label"].unique().drop_null().to_pylist()
        self._labels = {name: number for number, name in enumerate(names, 1)}
        keys = self._keys(self._lookup.find(members["id"]), self._codes(members["label"]))
        positions = np.asarray(members["position"].to_numpy(), dtype=np.int64)
        order = np.lexsort((positions, keys))
        keys, positions = keys[order], positions[order]
        last = np.ones(len(keys), dtype=bool)
        last[:-1] = keys[1:] != keys[:-1]
        self._pairs, self._positions, self._gone = keys[last], positions[last], np.asarray(gone, dtype=np.int64)

    def of(self, ids: pa.Array | pa.ChunkedArray, labels: pa.Array | pa.ChunkedArray) -> NDArray[np.int64]:
        """(n,) the position of the decision that stands on each record, 0 for none."""
        found = np.zeros(len(ids), dtype=np.int64)
        if not len(self._pairs) or not len(ids):
            return found
        at = self._lookup.find(ids)
        rows = np.flatnonzero(at >= 0)
        named = self._codes(whole(labels).fill_null(""))[rows]
        any_label = self._last(self._keys(at[rows], np.zeros(len(rows), dtype=np.int64)))
        found[rows] = np.maximum(any_label, np.where(named == _ANY, 0, self._last(self._keys(at[rows], named))))
        found[np.isin(found, self._gone)] = 0
        return found

    def _last(self, keys: NDArray[np.int64]) -> NDArray[np.int64]:
        at = np.minimum(np.searchsorted(self._pairs, keys), len(self._pairs) - 1)
        return np.where(self._pairs[at] == keys, self._positions[at], 0)

    def _keys(self, ids: NDArray[np.int64], labels: NDArray[np.int64]) -> NDArray[np.int64]:
        return ids * (len(self._labels) + 1) + labels

    def _codes(self, labels: pa.Array | pa.ChunkedArray) -> NDArray[np.int64]:
        """(n,) number of each label; `_ANY` for null, and for a label that no decision names."""
        texts = whole(labels).dictionary_encode()
        numbers = [self._labels.get(name, _ANY) for name in texts.dictionary.to_pylist()]
        codes = texts.indices.fill_null(len(numbers)).to_numpy(zero_copy_only=False).astype(np.int64)
        found: NDArray[np.int64] = np.asarray([*numbers, _ANY], dtype=np.int64)[codes]
        return found
