"""Which unit each reading of a batch is of, and the files that a unit which is out of order comes from."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from assets.quality.checks.columns import codes
from assets.quality.spool import Spool

Rows = NDArray[np.int64]

MOST_FILES = 2
"""So many files of a unit that is out of order are named."""
SEVERAL_FILES = (
    "sort the readings of each unit by time, or, if each file numbers its units anew, say `unit_ids: file` below "
    "`data.series`"
)


def coded_units(spool: Spool) -> tuple[Rows, list[str], NDArray[np.bool_]]:
    """Each reading's unit: (rows,) numbers, the name of each number, and (rows,) which readings returned.

    Readings that returned from two batches are of two units, even where both have one name.
    """
    groups, names = codes(spool.column("_group"))
    origins, batches = codes(spool.column("_origin"))
    returned = np.array([bool(batch) for batch in batches], dtype=bool)[origins]
    if len(batches) < 2:
        return groups, names, returned
    keys, units = np.unique(origins * len(names) + groups, return_inverse=True)
    return units.reshape(-1), [names[key] for key in (keys % len(names)).tolist()], returned


def tell_files(spool: Spool, units: Rows, order: NDArray[np.object_]) -> None:
    """Name the files of a unit that is out of order, where there are several: each may number its units anew.

    Args:
        units: as `coded_units` gives them.
        order: (rows,) why a reading is out of order, else None; changed in place.
    """
    wrong = np.flatnonzero(~np.equal(order, np.array(None, dtype=object)).astype(bool))
    if not len(wrong):
        return
    blamed = np.zeros(int(units.max()) + 1, dtype=bool)
    blamed[units[wrong]] = True
    files: dict[int, dict[str, None]] = {}
    for start, table in spool.chunks(["_file"]):
        rows = np.flatnonzero(blamed[units[start : start + table.num_rows]])
        places = table.column("_file").take(pa.array(rows)).combine_chunks()
        paths = pc.list_element(pc.split_pattern(places, "#", max_splits=1, reverse=True), 0).dictionary_encode()
        pairs = np.unique(np.column_stack([units[start + rows], paths.indices.to_numpy()]), axis=0)
        for unit, path in pairs.tolist():
            named = files.setdefault(unit, {})
            if len(named) < MOST_FILES:
                named[paths.dictionary[path].as_py()] = None
    for row in wrong.tolist():
        named = files[int(units[row])]
        if len(named) > 1:
            several = " and ".join(named)
            order[row] = f"{order[row]}, which is in {several}; {SEVERAL_FILES}"
