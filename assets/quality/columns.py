"""Which columns the gate looks at, and what they are called."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.line.data import DataContract
from assets.records.chunks import chunk_schema, fact_fields

ASPECT = "_aspect"
"""Longer side over shorter side of a picture."""


@dataclass(frozen=True)
class Sparse:
    """A derived column that has a value in few records only.

    Attributes:
        rows: positions of those records, ascending.
        values: theirs.
    """

    rows: NDArray[np.int64]
    values: NDArray[Any]

    @classmethod
    def of(cls, column: NDArray[Any]) -> Sparse:
        """From a dense column, in which None and NaN stand for no value."""
        missing = column != column  # noqa: PLR0124 -- NaN
        if column.dtype == object:
            missing |= np.equal(column, np.array(None, dtype=object))
        rows = np.flatnonzero(~missing.astype(bool))
        return cls(rows, column[rows])

    def dense(self, start: int, stop: int) -> NDArray[Any]:
        """The part from `start` up to `stop`, None where there is no value; numbers stay float64 with NaN."""
        low, high = np.searchsorted(self.rows, (start, stop))
        numeric = self.values.dtype.kind in "if"
        part = np.full(stop - start, np.nan if numeric else None, dtype=np.float64 if numeric else object)
        part[self.rows[low:high] - start] = self.values[low:high]
        return part

    def at(self, row: int) -> Any:
        """The value of one record, or None."""
        place = int(np.searchsorted(self.rows, row))
        return self.values[place] if place < len(self.rows) and self.rows[place] == row else None


def visible_columns(data: DataContract) -> dict[str, str]:
    """The names that a user's expectations may use, each with the column of the record table behind it.

    The facts under their own names; the label under the target's name (and as `label`), and split, file, group and
    time, unless a column of the data has that name.
    """
    names = {field.name: field.name for field in fact_fields(data)}
    if (target := target_column(data)) is not None:
        names.setdefault(target, "_label")
    if data.series is not None:
        names.setdefault(data.series.unit, "_group")
        names.setdefault(data.series.time, "_time")
    for own in ("label", "split", "file", "group", "time"):
        names.setdefault(own, f"_{own}")
    return names


def target_column(data: DataContract) -> str | None:
    """The source's name of the label, where it has one."""
    section = data.table or data.series or data.text
    return section.target if section is not None else None


def stored_columns(names: Iterable[str], derived: Iterable[str], data: DataContract) -> list[str]:
    """The columns of the record table that `frame_of` reads to build `names`."""
    visible, found, known = visible_columns(data), list[str](), set(derived)
    for name in names:
        if name in known:
            continue
        found += ["width", "height"] if name == ASPECT else [visible.get(name, name)]
    stored = set(chunk_schema(data).names)
    return [name for name in dict.fromkeys(found) if name in stored]
