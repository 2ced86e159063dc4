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
    rows = np.arange(len(block.places) if len(block.columns) >= LEAST_COLUMNS else 0)
    words_first = sorted(block.columns.items(), key=lambda item: pa.types.is_floating(item[1].type))
    for name, column in words_first:
        if not len(rows):
            break
        if pa.types.is_floating(column.type):
            value, problem = number(name)
            same = column.to_numpy(zero_copy_only=False)[rows] == (np.nan if problem else value)
        else:
            found = column if len(rows) == len(column) else column.take(pa.array(rows))
            same = np.asarray(pc.equal(found, name).to_numpy(zero_copy_only=False), dtype=bool)
        rows = rows[same]
    return rows
