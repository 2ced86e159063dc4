"""Cells to numbers and words, a column at a time. One rule for every form of table, whatever wrote it.

A number is a decimal number as CSV and JSON write it, spaces around it left out; minus zero is zero; what is larger
than a 32-bit float holds is infinite. Numbers and truth values of Parquet and Arrow count as the number they are (true
is 1), their texts are read like cells of CSV. Words are exact; of other types the word is the value as text, a whole
number without ".0", "true" or "false".
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from assets.errors import RejectedError
from assets.records.paths import shown

MAX_VALUE = 3.4028234663852886e38
"""The largest 32-bit float: models compute in them."""
EMPTY = "the cell is empty"
HIDDEN = "a private value"
"""Stands in notes for a cell of a column that the contract calls private."""

_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_PLAIN = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$"  # the same for Arrow's own matcher, without spaces
_MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "-", "?"})
_INFINITE = frozenset({"inf", "infinity"})

Notes = dict[int, str]
"""Position of a row to why its cell has no value."""


def number(cell: str) -> tuple[float, str | None]:
    """A cell's value, and why it is no finite number; NaN where it has no value."""
    text = cell.strip()
    if _NUMBER.fullmatch(text):
        value = float(text) + 0.0  # minus zero is zero: one row, one id
        if abs(value) > MAX_VALUE:
            return math.copysign(math.inf, value), f"{shown(cell)} is larger than a 32-bit number holds"
        return value, None
    if text.lower() in _MISSING:
        return math.nan, EMPTY if not text else f"the cell is missing ({shown(cell)})"
    if text.lstrip("+-").lower() in _INFINITE:
        return math.copysign(math.inf, -1 if text[0] == "-" else 1), f"{shown(cell)} is not finite"
    return math.nan, f"{shown(cell)} is not a number"


_cached_number = functools.lru_cache(4096)(number)


def is_text(kind: pa.DataType) -> bool:
    """Whether cells of this type are text."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def is_numeric(kind: pa.DataType) -> bool:
    """Whether cells of this type are numbers as they are."""
    types = pa.types
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind) or types.is_boolean(kind))


def numbers(cells: pa.Array, private: bool = False) -> tuple[NDArray[np.float64], Notes]:
    """A column's values as float64, NaN or infinite where a note says why.

    Args:
        cells: text, numbers, truth values, nulls, or a dictionary of these.
        private: whether notes may not show a cell.

    Raises:
        RejectedError: cells of another type; "reason; remedy".
    """
    kind = cells.type
    if pa.types.is_dictionary(kind):
        values, notes = _by_dictionary(cells, private)
    elif is_text(kind):
        values, notes = _from_text(cells.cast(pa.string()) if kind != pa.string() else cells, private)
    elif is_numeric(kind) or pa.types.is_null(kind):
        values, notes = _from_numbers(cells)
    else:
        raise RejectedError(f"it holds {kind}, not numbers; write it as numbers")
    return values, notes


def words(cells: pa.Array) -> pa.Array:
    """A column's words as text, "" where there is none.

    Raises:
        RejectedError: cells that are neither text, numbers, truth values nor times; "reason; remedy".
    """
    kind = cells.type
    if pa.types.is_dictionary(kind):
        inner = words(cells.dictionary)
        return pc.fill_null(inner.take(cells.indices), "") if len(inner) else pa.array([""] * len(cells), pa.string())
    if is_text(kind):
        text = cells.cast(pa.string())
    elif pa.types.is_floating(kind):
        text = pa.array([_float_word(value) for value in cells.to_pylist()], pa.string())
    elif is_numeric(kind) or pa.types.is_null(kind) or pa.types.is_temporal(kind):
        text = cells.cast(pa.string())
    else:
        raise RejectedError(f"it holds {kind}, not words; write it as text")
    return pc.fill_null(text, "")


def positions(cells: pa.Array, known: tuple[str, ...], private: bool = False) -> tuple[NDArray[np.float64], Notes]:
    """Position of each word in `known` as float64; NaN and a note where it is none of them."""
    found = pc.index_in(cells, value_set=pa.array(known, pa.string()))
    values = np.asarray(found.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)
    bad = np.flatnonzero(np.isnan(values))
    notes = {
        row: f"{HIDDEN if private else shown(word)} is none of the column's words" if word else EMPTY
        for row, word in zip(bad.tolist(), cells.take(pa.array(bad)).to_pylist(), strict=True)
    }
    return values, notes


def missing(cells: pa.Array) -> Notes:
    """A note for each word that is not there."""
    lengths = pc.utf8_length(cells)
    if (pc.min(lengths).as_py() or 0) > 0 or not len(cells):
        return {}
    return dict.fromkeys(np.flatnonzero(np.asarray(lengths.to_numpy(zero_copy_only=False)) == 0).tolist(), EMPTY)


def renamed(cells: pa.Array, aliases: Mapping[str, str]) -> pa.Array:
    """Words with other spellings replaced by the name they stand for."""
    if not aliases:
        return cells
    encoded = cells.dictionary_encode()
    names = pa.array([aliases.get(word, word) for word in encoded.dictionary.to_pylist()], pa.string())
    return names.take(encoded.indices)


def _by_dictionary(cells: pa.DictionaryArray, private: bool) -> tuple[NDArray[np.float64], Notes]:
    inner, inner_notes = numbers(cells.dictionary, private)
    codes = np.asarray(pc.fill_null(cells.indices.cast(pa.int64()), len(inner)).to_numpy(zero_copy_only=False))
    values = np.append(inner, np.nan)[codes]
    bad = np.flatnonzero(~np.isfinite(values)).tolist()
    return values, {row: inner_notes.get(int(codes[row]), EMPTY) for row in bad}


def _from_numbers(cells: pa.Array) -> tuple[NDArray[np.float64], Notes]:
    floats = cells.cast(pa.float64(), safe=False)
    given = np.asarray(pc.fill_null(floats, math.nan).to_numpy(zero_copy_only=False), dtype=np.float64)
    values = given + 0.0
    if bool((np.abs(values) <= MAX_VALUE).all()):
        return values, {}
    notes: Notes = {}
    empty = np.asarray(cells.is_null().to_numpy(zero_copy_only=False))
    for row in np.flatnonzero(~(np.abs(values) <= MAX_VALUE)).tolist():
        value = float(values[row])
        if math.isnan(value):
            values[row] = math.nan  # one bit pattern, so that one row has one id
            notes[row] = EMPTY if empty[row] else "the cell is missing (NaN)"
        elif math.isinf(value):
            notes[row] = "the value is not finite"
        else:
            values[row] = math.copysign(math.inf, value)
            notes[row] = "the value is larger than a 32-bit number holds"
    return values, notes


def _from_text(cells: pa.Array, private: bool) -> tuple[NDArray[np.float64], Notes]:
    cells = pc.fill_null(cells, "")
    sound = pc.match_substring_regex(cells, _PLAIN)
    floats = pc.if_else(sound, cells, "nan").cast(pa.float64())
    values = np.array(floats.to_numpy(zero_copy_only=False), dtype=np.float64) + 0.0
    rest = np.flatnonzero(~(np.abs(values) <= MAX_VALUE))
    notes: Notes = {}
    for row, cell in zip(rest.tolist(), cells.take(pa.array(rest)).to_pylist(), strict=True):
        values[row], note = _cached_number(cell)
        if note is not None:
            notes[row] = _hidden(note) if private else note
    return values, notes


def _hidden(note: str) -> str:
    return note if note == EMPTY else f"{HIDDEN} is not a finite number"


def _float_word(value: float | None) -> str | None:
    if value is None or math.isnan(value):
        return None
    return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
