"""How a batch's units stand to those of earlier batches: readings that come too late, names that come again."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from assets.line.data import DataContract
from assets.quality.checks.columns import codes, numbers
from assets.quality.checks.derived import Derived
from assets.quality.earlier_units import EarlierUnits
from assets.quality.redaction import hidden_columns
from assets.quality.spool import Spool

MOST_NAMED = 3
_LONGEST = 40
_NEW = "No unit with new readings was in an earlier batch."
NEW_NAMES = "no unit has the name of an earlier batch's"
_LATE = (
    "land only what is later, correct what is in quarantine with `edgeloop quarantine fix`, or, if each batch numbers "
    "its units anew, say `unit_ids: batch` below `data.series`"
)
_TAKEN = "reject it, or correct the unit or the time in its source"


def find_late(spool: Spool, data: DataContract, earlier: EarlierUnits, known: NDArray[np.bool_]) -> Derived:
    """Readings at times that their unit is past, or has a reading of.

    Args:
        known: (rows,) which records were accepted before, just as they are: these are never late.

    Returns:
        `_earlier`: "reason; remedy", else None. With `unit_ids: global`, a reading not behind the last accepted one of
        its unit; a reading that returned only where its unit has another one of the same time.
    """
    assert data.series is not None
    late = np.full(spool.rows, None, dtype=object)
    whole = data.series.unit_ids == "global"
    origins, batches = codes(spool.column("_origin"))
    if not whole and not any(batches):
        return Derived({"_earlier": late})
    times = numbers(spool.column("_time"))
    units, names = codes(spool.column("_group"))
    hidden = not {"_group", "_time"}.isdisjoint(hidden_columns(data))
    last = np.array([earlier.last.get(name, -np.inf) for name in names] or [-np.inf])
    own = np.array([not batch for batch in batches] or [True])[origins]
    asked = np.isfinite(times) & ~known
    if whole:
        for row in np.flatnonzero(asked & own & (times <= last[units])).tolist():
            upto = "" if hidden else f" up to {last[units[row]]:.15g}"
            late[row] = f"its unit already has readings{upto} from earlier batches; {_LATE}"
    for row in np.flatnonzero(asked & ~own).tolist():
        unit = ("" if whole else batches[origins[row]], names[units[row]])
        if (unit, float(times[row])) in earlier.taken:
            late[row] = f"its unit already has another reading of the same time; {_TAKEN}"
    return Derived({"_earlier": late})


def seen_before(spool: Spool, earlier: pa.Table) -> NDArray[np.bool_]:
    """(rows,) which records an earlier batch had accepted: with this id and this label."""
    if not earlier.num_rows:
        return np.zeros(spool.rows, dtype=bool)
    found = pc.is_in(_identities(spool.columns(["_id", "_label"])), value_set=_identities(earlier).combine_chunks())
    return np.asarray(found.to_numpy(), dtype=bool)


def _identities(records: pa.Table) -> pa.ChunkedArray:
    """Id and label of each record as one value; an id has always 32 bytes."""
    parts = (records.column(name).cast(pa.large_binary()) for name in ("_id", "_label"))
    return pc.binary_join_element_wise(*parts, pa.scalar(b"", pa.large_binary()), null_handling="replace")


def names_again(spool: Spool, data: DataContract, earlier: EarlierUnits, known: NDArray[np.bool_]) -> tuple[bool, str]:
    """Whether no unit with new readings has the name of an earlier batch's unit, and what to say of those that have."""
    assert data.series is not None
    if not earlier.last:
        return True, _NEW
    units, names = codes(spool.column("_group"))
    own = np.asarray(pc.equal(spool.column("_origin"), "").to_numpy(), dtype=bool)
    again = [unit for unit in np.unique(units[own & ~known]).tolist() if names[unit] in earlier.last]
    if not again:
        return True, _NEW
    text = (
        f"{_counted(again, names, hidden='_group' in hidden_columns(data))} in earlier batches; each counts as another "
    )
    text += "unit here."
    if not data.series.remaining:
        text += " If they are the same, say `unit_ids: global` below `data.series`."
    if partly := int(np.isin(again, units[own & known]).sum()):
        text += (
            f" {partly:,} of them {'has' if partly == 1 else 'have'} readings too that an earlier batch had: those do "
            "not count again, so windows of the new unit go on without them."
        )
    return False, text


def _counted(again: list[int], names: list[str], hidden: bool) -> str:
    """2 units ('1', '2') had their names."""
    some = ", ".join(repr(names[unit][:_LONGEST]) for unit in again[:MOST_NAMED]) + ", …" * (len(again) > MOST_NAMED)
    shown = "" if hidden else f" ({some})"
    return f"1 unit{shown} had its name" if len(again) == 1 else f"{len(again):,} units{shown} had their names"
