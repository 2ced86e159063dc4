"""Header lines that come again further down, as where files were put together: they name columns and are no records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from assets.errors import RejectedError
from assets.readers.cells import number
from assets.readers.csvblocks import Block
from assets.records.limits import MAX_REFUSED_ROWS
from assets.records.reason import Reason, refusal

LEAST_COLUMNS = 2
"""With one column alone, its name may be a word of it."""


def without_headers(path: str, items: Iterable[Block | Reason]) -> Iterator[Block | Reason]:
    """A text's blocks of rows without those whose every read cell is its column's name; each of these is refused.

    Raises:
        RejectedError: there are too many of them; what was read before stands.
    """
    refused = 0
    for item in items:
        again = _headers(item) if isinstance(item, Block) else ()
        if isinstance(item, Reason) or not len(again):
            yield item
            continue
        refused += len(again)
        for row in again[:MAX_REFUSED_ROWS]:
            yield refusal(path, f"line {item.places[row]}", "the row names the columns again; take it out")
        if refused > MAX_REFUSED_ROWS:
            raise RejectedError(f"more than {MAX_REFUSED_ROWS:,} of its lines name the columns again; take them out")
        kept = np.delete(np.arange(len(item.places)), again)
        if len(kept):
            places = pa.array(kept)
            yield Block(item.places[kept], {name: column.take(places) for name, column in item.columns.items()})


def _headers(block: Block) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    numeric = {name: number(name) for name, column in block.columns.items() if pa.types.is_floating(column.type)}
    if len(block.columns) < LEAST_COLUMNS or any(problem is not None for _, problem in numeric.values()):
        return np.arange(0)  # a column all of whose cells are numbers is nowhere named by a word
    rows = np.arange(len(block.places))
    for name, column in sorted(block.columns.items(), key=lambda item: item[0] in numeric):
        if not len(rows):
            break
        found = column if len(rows) == len(column) else column.take(pa.array(rows))
        same = pc.equal(found, numeric[name][0] if name in numeric else name)
        rows = rows[np.asarray(same.to_numpy(zero_copy_only=False), dtype=bool)]
    return rows
