"""Finds ids among many, again and again; asked of Arrow, a hash table would be built anew for each row group."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

_DIGITS = np.full(256, 255, dtype=np.uint8)
_DIGITS[np.frombuffer(b"0123456789abcdef", dtype=np.uint8)] = np.arange(16, dtype=np.uint8)


class Lookup:
    """Ids (64 hex digits each, all different) to their positions, by binary search over their first 64 bits.

    Ids that share these bits by chance or by somebody's work are still told apart: what is found is compared in full.
    """

    def __init__(self, ids: pa.Array | pa.ChunkedArray) -> None:
        keys = _keys(whole(ids))
        order = np.argsort(keys, kind="stable")
        self._keys = keys[order]
        self._order = order
        self._ids = whole(ids)

    def find(self, ids: pa.Array | pa.ChunkedArray) -> NDArray[np.int64]:
        """The position of each id, -1 for those that are not there; (n,) int64."""
        import pyarrow as pa
        import pyarrow.compute as pc

        asked = whole(ids)
        found = np.full(len(asked), -1, dtype=np.int64)
        if not len(self._keys) or not len(asked):
            return found
        keys = _keys(asked)
        at = np.searchsorted(self._keys, keys)
        hit = np.flatnonzero(self._keys[np.minimum(at, len(self._keys) - 1)] == keys)
        if not len(hit):
            return found
        candidates = self._order[at[hit]]
        same = pc.equal(self._ids.take(pa.array(candidates)), asked.take(pa.array(hit)))
        sure = np.asarray(same.to_numpy(zero_copy_only=False), dtype=bool)
        found[hit[sure]] = candidates[sure]
        if not sure.all():  # two ids that begin alike: asked the slow way
            doubtful = hit[~sure]
            slow = pc.fill_null(pc.index_in(asked.take(pa.array(doubtful)), value_set=self._ids), -1)
            found[doubtful] = slow.to_numpy(zero_copy_only=False)
        return found

    def holds(self, ids: pa.Array | pa.ChunkedArray) -> NDArray[np.bool_]:
        """Whether each id is there; (n,) bool."""
        return self.find(ids) >= 0


def whole(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """A column as one array of texts."""
    import pyarrow as pa

    if isinstance(column, pa.ChunkedArray):
        column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    return column.cast(pa.string())


def _keys(ids: pa.Array) -> NDArray[np.uint64]:
    """The first 64 bits of each id. Raises ValueError for texts that are no ids."""
    if not len(ids):
        return np.zeros(0, dtype=np.uint64)
    data = ids.buffers()[2]
    offsets = np.frombuffer(ids.buffers()[1], dtype=np.int32)[ids.offset : ids.offset + len(ids) + 1]
    if ids.null_count or data is None or (np.diff(offsets) != 64).any():
        raise ValueError("an id is 64 hex digits")
    text = np.frombuffer(data, dtype=np.uint8)[offsets[0] : offsets[-1]].reshape(-1, 64)[:, :16]
    digits = _DIGITS[text]
    if (digits == 255).any():
        raise ValueError("an id is 64 hex digits")
    packed = (digits[:, 0::2] << 4) | digits[:, 1::2]
    return np.ascontiguousarray(packed).view(">u8").reshape(-1).astype(np.uint64)
