"""Times of readings: numbers as given, or ISO 8601 as seconds since 1970; the day may come first.

A time without an offset is taken as UTC. The first time of a batch says which kind all of them are: numbers, times with
an offset, or times without; another kind has no value, because side by side nobody can say which came first.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from assets.line.cell_form import PLAIN, CellForm
from assets.readers.cells import BEYOND, EMPTY, HIDDEN, Notes, is_text, number, numbers
from assets.readers.day_first import is_day_or_month_first, to_iso_cells
from assets.readers.separators import hint
from assets.records.paths import shown

_KINDS = {"number": "a number", "naive": "a time without an offset", "aware": "a time with an offset"}


class Clock:
    """Reads the times of one batch; `private` times are not shown in notes, `form` is how text is written."""

    def __init__(self, private: bool = False, form: CellForm = PLAIN) -> None:
        self._kind = ""
        self._private = private
        self._form = form

    def seconds(self, cells: pa.Array) -> tuple[NDArray[np.float64], Notes]:
        """(rows,) float64, NaN and a note where a cell is no time of the batch's kind."""
        if pa.types.is_dictionary(cells.type):
            cells = cells.dictionary_decode()
        if pa.types.is_temporal(cells.type):
            return self._temporal(cells)
        if not is_text(cells.type):
            values, notes = numbers(cells, self._private)
            return self._of_kind("number", values, notes)
        cells = pc.fill_null(cells.cast(pa.string()), "")
        times = to_iso_cells(cells) if self._form.day_first else cells
        if not self._kind:
            self._kind = next((kind for cell in times.to_pylist() if (kind := _kind_of(cell, self._form))), "")
        if self._kind == "number":
            values, notes = numbers(cells, self._private, self._form)
            values[~np.isfinite(values)] = math.nan
            return values, notes
        if (fast := self._fast(times)) is not None:
            return fast, {}
        return self._one_by_one(cells, times)

    def _fast(self, cells: pa.Array) -> NDArray[np.float64] | None:
        """All times at once; None where one is not as Arrow knows it."""
        try:
            times = cells.cast(pa.timestamp("us", "UTC" if self._kind == "aware" else None))
        except pa.ArrowInvalid:
            return None
        return np.asarray(times.cast(pa.int64()).to_numpy(zero_copy_only=False) / 1e6, dtype=np.float64)

    def _one_by_one(self, cells: pa.Array, times: pa.Array) -> tuple[NDArray[np.float64], Notes]:
        """Each of `times`; notes show how `cells` has it."""
        values = np.full(len(cells), math.nan)
        notes: Notes = {}
        for row, (cell, time) in enumerate(zip(cells.to_pylist(), times.to_pylist(), strict=True)):
            if not cell.strip():
                notes[row] = EMPTY
                continue
            kind = _kind_of(time, self._form)
            if kind and kind == self._kind:
                values[row] = _iso(time)
            elif kind:
                notes[row] = f"{self._shown(cell)} is {_KINDS[kind]}, the batch began with {_KINDS[self._kind]}"
            else:
                notes[row] = f"{self._shown(cell)} is neither a number nor a time as ISO 8601 writes it"
                notes[row] += self._hint(cell)
        return values, notes

    def _temporal(self, cells: pa.Array) -> tuple[NDArray[np.float64], Notes]:
        kind = "aware" if pa.types.is_timestamp(cells.type) and cells.type.tz else "naive"
        if not (pa.types.is_timestamp(cells.type) or pa.types.is_date(cells.type)):
            values = np.full(len(cells), math.nan)
            return values, dict.fromkeys(range(len(cells)), f"the column holds {cells.type}, which is no point in time")
        micros = cells.cast(pa.timestamp("us", cells.type.tz if kind == "aware" else None), safe=False).cast(pa.int64())
        empty = np.asarray(micros.is_null().to_numpy(zero_copy_only=False), dtype=bool)
        values = np.asarray(pc.fill_null(micros, 0).to_numpy(zero_copy_only=False) / 1e6, dtype=np.float64)
        values[empty] = math.nan
        return self._of_kind(kind, values, dict.fromkeys(np.flatnonzero(empty).tolist(), EMPTY))

    def _of_kind(self, kind: str, values: NDArray[np.float64], notes: Notes) -> tuple[NDArray[np.float64], Notes]:
        """Typed values, which are all of one kind."""
        self._kind = self._kind or kind
        if self._kind != kind:
            text = f"it is {_KINDS[kind]}, the batch began with {_KINDS[self._kind]}"
            notes = {**dict.fromkeys(range(len(values)), text), **notes}
            return np.full(len(values), math.nan), notes
        values[~np.isfinite(values)] = math.nan
        return values, notes

    def _shown(self, cell: str) -> str:
        return HIDDEN if self._private else shown(cell)

    def _hint(self, cell: str) -> str:
        """What to write in the contract for a cell that is no time yet."""
        if not is_day_or_month_first(cell):
            return "" if self._private else hint(cell, self._form)
        if self._form.day_first:
            return ", not even with the day first"
        return "; if the day comes first, say `cells: {day_first: true}`, else write it as 2024-12-31"


def _kind_of(cell: str, form: CellForm) -> str:
    value, note = number(cell, form)
    if math.isfinite(value) or BEYOND in (note or ""):
        return "number"
    try:
        return "naive" if datetime.fromisoformat(cell.strip()).tzinfo is None else "aware"
    except ValueError:
        return ""


def _iso(cell: str) -> float:
    time = datetime.fromisoformat(cell.strip())
    since = (time if time.tzinfo is not None else time.replace(tzinfo=UTC)) - datetime(1970, 1, 1, tzinfo=UTC)
    return float(since // timedelta(microseconds=1)) / 1e6  # as Arrow's times are turned to seconds
