"""Cells to numbers and words, a column at a time. One rule for every form of table, whatever wrote it.

A number is a decimal number as CSV and JSON write it, or as the contract's `cells` says that text writes it, spaces
around it left out; minus zero is zero; what is larger than a 32-bit float holds is infinite. Numbers of Parquet and
Arrow count as the text that a CSV of them holds: decimals by their digits, 32-bit and 16-bit floats by their shortest
text, truth values as 1 and 0. A number written out in full beyond 2^53 has no value: float64 holds no longer every
whole number there. Words are exact; of other types the word is the value as text, a whole number without ".0", a time
without zeros at the end of its fraction, "true" or "false".
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Mapping
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from assets.errors import RejectedError
from assets.line.cell_form import PLAIN, CellForm
from assets.readers.separators import hint, said, to_plain, to_plain_cells
from assets.readers.shortest import shortest_decimals
from assets.records.paths import shown

MAX_VALUE = 3.4028234663852886e38
"""The largest 32-bit float: models compute in them."""
MAX_WHOLE = 2**53
"""The largest whole number up to which float64 holds every whole number."""
EMPTY = "the cell is empty"
HIDDEN = "a private value"
"""Stands in notes for a cell of a column that the contract calls private."""

BEYOND = "is beyond 2^53, where float64 does not hold every whole number"
"""In the note of a number that may be another one once it is read."""
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_PLAIN = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$"  # the same for Arrow's own matcher, without spaces
_NO_FRACTION = r"(?:\.|(\.[0-9]*[1-9]))0+([^0-9.][0-9]*)?$"  # zeros at the end of a time's fraction, before its offset
_MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "-", "?"})
_INFINITE = frozenset({"inf", "infinity"})

Notes = dict[int, str]
"""Position of a row to why its cell has no value."""


def number(cell: str, form: CellForm = PLAIN) -> tuple[float, str | None]:
    """A cell's value, and why it is no finite number of this form; NaN where it has no value."""
    text = cell.strip()
    plain = text if form.plain_numbers else to_plain(text, form)
    if plain is not None and _NUMBER.fullmatch(plain):
        value = float(plain) + 0.0  # minus zero is zero: one row, one id
        if abs(value) > MAX_VALUE:
            return math.copysign(math.inf, value), f"{shown(cell)} is larger than a 32-bit number holds"
        if abs(value) >= MAX_WHOLE and _runs_together(plain, value):
            return math.nan, f"{shown(cell)} {BEYOND}"
        return value, None
    if text.lower() in _MISSING:
        return math.nan, EMPTY if not text else f"the cell is missing ({shown(cell)})"
    if text.lstrip("+-").lower() in _INFINITE:
        return math.copysign(math.inf, -1 if text[0] == "-" else 1), f"{shown(cell)} is not finite"
    as_set = "" if form.plain_numbers else f" as {said(form)} has it"
    return math.nan, f"{shown(cell)} is not a number{as_set}{hint(cell, form)}"


def _runs_together(text: str, value: float) -> bool:
    """Whether float64 may not tell a number of this size, written out in full, from the next whole one."""
    if "e" in text.lower():
        return False
    written = Decimal(text)
    return abs(written) > MAX_WHOLE and ("." not in text or written != Decimal(value))


def is_missing(cell: str) -> bool:
    """Whether a cell is empty, or a word that usually stands for a missing number."""
    return cell.strip().lower() in _MISSING


_cached_number = functools.lru_cache(4096)(number)


def is_text(kind: pa.DataType) -> bool:
    """Whether cells of this type are text."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def is_numeric(kind: pa.DataType) -> bool:
    """Whether cells of this type are numbers as they are."""
    types = pa.types
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind) or types.is_boolean(kind))


def numbers(cells: pa.Array, private: bool = False, form: CellForm = PLAIN) -> tuple[NDArray[np.float64], Notes]:
    """A column's values as float64, NaN or infinite where a note says why.

    Args:
        cells: text, numbers, truth values, nulls, or a dictionary of these.
        private: whether notes may not show a cell.
        form: how numbers in text are written.

    Raises:
        RejectedError: cells of another type; "reason; remedy".
    """
    kind = cells.type
    if pa.types.is_dictionary(kind):
        values, notes = _by_dictionary(cells, private, form)
    elif is_text(kind):
        values, notes = _from_text(cells.cast(pa.string()) if kind != pa.string() else cells, private, form)
    elif pa.types.is_decimal(kind):
        values, notes = _from_text(cells.cast(pa.string()), private)
    elif is_numeric(kind) or pa.types.is_null(kind):
        values, notes = _from_numbers(cells, private)
    else:
        raise RejectedError(f"it holds {kind}, not numbers; write it as numbers")
    return values, notes


def words(cells: pa.Array, form: CellForm = PLAIN) -> pa.Array:
    """A column's words as text, "" where there is none; without spaces around them where the form says so.

    Raises:
        RejectedError: cells that are neither text, numbers, truth values nor times; "reason; remedy".
    """
    kind = cells.type
    if pa.types.is_dictionary(kind):
        inner = words(cells.dictionary, form)
        return pc.fill_null(inner.take(cells.indices), "") if len(inner) else pa.array([""] * len(cells), pa.string())
    if is_text(kind):
        text = _trimmed(cells.cast(pa.string())) if form.trim else cells.cast(pa.string())
    elif pa.types.is_floating(kind):
        text = pa.array([_float_word(value) for value in _floats(cells).tolist()], pa.string())
    elif pa.types.is_timestamp(kind) or pa.types.is_time(kind):
        text = pc.replace_substring_regex(cells.cast(pa.string()), _NO_FRACTION, r"\1\2")
    elif is_numeric(kind) or pa.types.is_null(kind) or pa.types.is_temporal(kind):
        text = cells.cast(pa.string())
    else:
        raise RejectedError(f"it holds {kind}, not words; write it as text")
    return pc.fill_null(text, "")


def _trimmed(cells: pa.Array) -> pa.Array:
    encoded = cells.dictionary_encode()
    return pa.array([word.strip() for word in encoded.dictionary.to_pylist()], pa.string()).take(encoded.indices)


def positions(
    cells: pa.Array, known: tuple[str, ...], private: bool = False, other: str | None = None
) -> tuple[NDArray[np.float64], Notes]:
    """Position of each word in `known` as float64; NaN and a note where it is none of them.

    Args:
        other: one of `known`, which stands for every word that is none of them; an empty cell is no word.
    """
    found = pc.index_in(cells, value_set=pa.array(known, pa.string()))
    if other is not None:
        found = pc.if_else(
            pc.or_(pc.is_valid(found), pc.equal(cells, "")), found, pa.scalar(known.index(other), pa.int32())
        )
    values = np.asarray(found.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)
    bad = np.flatnonzero(np.isnan(values))
    notes = {
        row: unknown_word(word, known, private) if word else EMPTY
        for row, word in zip(bad.tolist(), cells.take(pa.array(bad)).to_pylist(), strict=True)
    }
    return values, notes


UNKNOWN_WORD = "is none of the column's words"
"""In the note of a cell of a category."""


def unknown_word(word: str, known: tuple[str, ...], private: bool = False) -> str:
    """Why a word has no position, with the word that differs from it by case and spaces alone, where there is one."""
    near = next((one for one in known if one.strip().casefold() == word.strip().casefold()), None)
    if near is None or private:
        return f"{HIDDEN if private else shown(word)} {UNKNOWN_WORD}"
    trim = ", or say `cells: {trim: true}`" if near == word.strip() else ""
    return f"{shown(word)} {UNKNOWN_WORD}; if {shown(near)} is meant, write it so{trim}"


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


def _by_dictionary(cells: pa.DictionaryArray, private: bool, form: CellForm) -> tuple[NDArray[np.float64], Notes]:
    inner, inner_notes = numbers(cells.dictionary, private, form)
    codes = np.asarray(pc.fill_null(cells.indices.cast(pa.int64()), len(inner)).to_numpy(zero_copy_only=False))
    values = np.append(inner, np.nan)[codes]
    bad = np.flatnonzero(~np.isfinite(values)).tolist()
    return values, {row: inner_notes.get(int(codes[row]), EMPTY) for row in bad}


def _floats(cells: pa.Array) -> NDArray[np.float64]:
    """Floats of any width, truth values, nulls or integers as float64, NaN where there is none."""
    if pa.types.is_float16(cells.type) or pa.types.is_float32(cells.type):
        return shortest_decimals(np.asarray(cells.to_numpy(zero_copy_only=False)))
    floats = cells.cast(pa.float64(), safe=False)
    return np.asarray(pc.fill_null(floats, math.nan).to_numpy(zero_copy_only=False), dtype=np.float64)


def _from_numbers(cells: pa.Array, private: bool) -> tuple[NDArray[np.float64], Notes]:
    values = _floats(cells) + 0.0
    notes: Notes = {}
    if pa.types.is_integer(cells.type) and bool((np.abs(values) >= MAX_WHOLE).any()):
        for row in np.flatnonzero(np.abs(values) >= MAX_WHOLE).tolist():
            if abs(whole := cells[row].as_py()) > MAX_WHOLE:
                values[row], notes[row] = math.nan, f"{HIDDEN if private else whole} {BEYOND}"
    if bool((np.abs(values) <= MAX_VALUE).all()):
        return values, notes
    empty = np.asarray(cells.is_null().to_numpy(zero_copy_only=False))
    for row in np.flatnonzero(~(np.abs(values) <= MAX_VALUE)).tolist():
        value = float(values[row])
        if row in notes:
            continue
        if math.isnan(value):
            values[row] = math.nan  # one bit pattern, so that one row has one id
            notes[row] = EMPTY if empty[row] else "the cell is missing (NaN)"
        elif math.isinf(value):
            notes[row] = "the value is not finite"
        else:
            values[row] = math.copysign(math.inf, value)
            notes[row] = "the value is larger than a 32-bit number holds"
    return values, notes


def _from_text(cells: pa.Array, private: bool, form: CellForm = PLAIN) -> tuple[NDArray[np.float64], Notes]:
    cells = pc.fill_null(cells, "")
    plain = cells if form.plain_numbers else to_plain_cells(cells, form)
    sound = pc.match_substring_regex(plain, _PLAIN)
    floats = pc.if_else(sound, plain, "nan").cast(pa.float64())
    values = np.array(floats.to_numpy(zero_copy_only=False), dtype=np.float64) + 0.0
    rest = np.flatnonzero(~(np.abs(values) < MAX_WHOLE))
    notes: Notes = {}
    for row, cell in zip(rest.tolist(), cells.take(pa.array(rest)).to_pylist(), strict=True):
        values[row], note = _cached_number(cell, form)
        if note is not None:
            notes[row] = _hidden(note) if private else note
    return values, notes


def _hidden(note: str) -> str:
    if note == EMPTY:
        return note
    return f"{HIDDEN} {BEYOND}" if note.endswith(BEYOND) else f"{HIDDEN} is not a finite number"


def _float_word(value: float | None) -> str | None:
    if value is None or math.isnan(value):
        return None
    return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
