"""Rows of named columns to the model's input: one row of a table, or the last rows of one unit of a series."""

from __future__ import annotations

import json
import math
import re
import reprlib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.contracts import InputSpec, RowFiles
from edge.errors import RejectedError
from edge.runtime.inputs.written import PLAIN, plain_number, word

MAX_DEVIATIONS = 1e6
MAX_ROWS = 100_000
"""Rows of a unit that are read; the model sees the last few."""

MAX_VALUE = 3.4028234663852886e38
"""The largest 32-bit float: models compute in them."""
MAX_WHOLE = 2**53
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")


def table_tensor(spec: InputSpec, values: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float32]:
    """A row's values in the order of `spec.columns` to the model's (columns,) float32, normalized.

    A value further than `MAX_DEVIATIONS` from the mean is set to that distance: one absurd cell must not overflow
    float32 and turn the whole answer into NaN.
    """
    row = np.asarray(values, dtype=np.float64)
    if row.shape != spec.shape or not np.isfinite(row).all():
        raise RejectedError(f"a row has {spec.shape[0]} finite numbers ({', '.join(spec.columns[:4])}, …)")
    return scaled_rows(spec, row)


def series_tensor(spec: InputSpec, rows: NDArray[np.float64]) -> NDArray[np.float32]:
    """A unit's rows, oldest first, to the model's (steps, columns) float32, normalized as a table's are.

    Of more rows than steps the last count; of fewer, the first is repeated before them, as training does it.

    Args:
        rows: (any number from 1, columns) float64, in the order of `spec.columns`.

    Raises:
        RejectedError: no row, more than `MAX_ROWS`, other columns, or a value that is no finite number.
    """
    steps, columns = spec.shape
    if rows.ndim != 2 or rows.shape[1] != columns or not 1 <= len(rows) <= MAX_ROWS:
        raise RejectedError(f"a series has 1 to {MAX_ROWS:,} rows of {columns} numbers, found {rows.shape}")
    window = rows[-steps:]
    if not np.isfinite(window).all():
        at, column = (int(place[0]) for place in np.nonzero(~np.isfinite(window)))
        place = len(rows) - len(window) + at + 1
        raise RejectedError(f"row {place}: column {spec.columns[column]!r}: not a finite number")
    if len(window) < steps:
        window = np.concatenate([np.repeat(window[:1], steps - len(window), axis=0), window])
    return scaled_rows(spec, window)


def scaled_rows(spec: InputSpec, rows: NDArray[np.float64]) -> NDArray[np.float32]:
    """Finite float64 (…, columns) to normalized float32 of the same shape, clipped at `MAX_DEVIATIONS`."""
    with np.errstate(over="ignore"):
        scaled = (rows - np.asarray(spec.mean)) / np.asarray(spec.std)
    clipped: NDArray[np.float32] = np.clip(scaled, -MAX_DEVIATIONS, MAX_DEVIATIONS).astype(np.float32)
    return clipped


def stored_rows(spec: InputSpec, data: bytes) -> NDArray[np.float64]:
    """A series' stored bytes, little-endian float64, as (rows, columns). Raises RejectedError."""
    width = 8 * len(spec.columns)
    if not data or len(data) % width or len(data) > MAX_ROWS * width:
        raise RejectedError(f"a stored series has rows of {width} bytes, at most {MAX_ROWS:,}; found {len(data)} bytes")
    return np.frombuffer(data, dtype="<f8").reshape(-1, len(spec.columns))


def row_values(spec: InputSpec, row: Mapping[str, Any], files: RowFiles = PLAIN) -> list[float]:
    """A row's values in the order of `spec.columns`, a word of a category as its position. Raises RejectedError.

    Args:
        files: how cells of text are written.
    """
    values = []
    for column in spec.columns:
        if column not in row:
            raise RejectedError(f"column {column!r} is missing; the model reads {len(spec.columns)} columns")
        cell, words = row[column], spec.categories.get(column)
        try:
            if words is None:
                value = _number(plain_number(cell, files) if isinstance(cell, str) else cell)
            else:
                value = float(_position(word(_word(cell), files), words, spec.other.get(column)))
        except (TypeError, ValueError, OverflowError):
            more = ", …" if len(words or ()) > 8 else ""
            what = f"a number{_as_set(files)}" if words is None else f"one of {', '.join(words[:8])}{more}"
            raise RejectedError(f"column {column!r}: {reprlib.repr(cell)} is not {what}") from None
        if not math.isfinite(value):
            raise RejectedError(f"column {column!r}: {value} is not a finite number")
        values.append(value)
    return values


def _as_set(files: RowFiles) -> str:
    """How numbers are written, where that is not as usual."""
    if files.decimal == "." and not files.thousands:
        return ""
    return f" with decimal sign {files.decimal!r}" + (f" and thousands {files.thousands!r}" if files.thousands else "")


def _position(word: str, words: Sequence[str], other: str | None) -> int:
    """Position of a word, or of the one that stands for others. Raises ValueError; an empty text is no word."""
    known = word in words or other is None or not word
    return words.index(word if known else other)


def series_values(spec: InputSpec, rows: Sequence[Any], files: RowFiles = PLAIN) -> NDArray[np.float64]:
    """Rows of a unit, oldest first, as (rows, columns) float64; only those that the model sees are read.

    Args:
        rows: each an object of named columns, or a list of numbers and words in the order of `spec.columns`.
        files: how cells of text are written.

    Raises:
        RejectedError: names the row, counted from 1, and the column.
    """
    if not 1 <= len(rows) <= MAX_ROWS:
        raise RejectedError(f"a series has 1 to {MAX_ROWS:,} rows, found {len(rows):,}")
    seen = rows[-spec.shape[0] :]
    values = []
    for place, row in enumerate(seen, start=len(rows) - len(seen) + 1):
        if isinstance(row, list) and len(row) == len(spec.columns):
            named: Mapping[str, Any] = dict(zip(spec.columns, row, strict=True))
        elif isinstance(row, Mapping):
            named = row
        else:
            what = f"{len(row)} values" if isinstance(row, list) else reprlib.repr(row)
            raise RejectedError(f"row {place}: {what}, not {len(spec.columns)} values or an object of columns")
        try:
            values.append(row_values(spec, named, files))
        except RejectedError as error:
            raise RejectedError(f"row {place}: {error}") from error
    return np.asarray(values, dtype=np.float64)


def parse_row(text: str) -> Mapping[str, Any]:
    """A JSON object of columns and numbers or words. Raises RejectedError."""
    row = _parsed(text, "object of columns and numbers")
    if not isinstance(row, dict):
        raise RejectedError(f"not a JSON object of columns and numbers, but a {type(row).__name__}")
    return row


def parse_list(text: str, what: str) -> list[Any]:
    """A JSON list; `what` it is of is for the error's text. Raises RejectedError."""
    found = _parsed(text, f"list of {what}")
    if not isinstance(found, list):
        raise RejectedError(f"not a JSON list of {what}, but a {type(found).__name__}")
    return found


def _parsed(text: str, what: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RejectedError(f"not a JSON {what} ({error})") from error


def _number(value: Any) -> float:
    """As the platform's readers read JSON and CSV; Python's own `1_000` and True are no numbers there.

    Whole numbers beyond 2^53 have no value, since float64 does not hold every one of them; what is larger than a 32-bit
    float holds is infinite.
    """
    if isinstance(value, bool):
        raise TypeError(value)
    text = str(value).strip()
    if not _NUMBER.fullmatch(text):
        if text.lstrip("+-").lower() in {"nan", "inf", "infinity"}:
            return math.nan
        raise ValueError(value)
    number = float(text)
    if abs(number) >= MAX_WHOLE and not isinstance(value, float) and _runs_together(text, number):
        raise ValueError(value)
    return number + 0.0 if abs(number) <= MAX_VALUE else math.copysign(math.inf, number)


def _runs_together(text: str, number: float) -> bool:
    """Whether float64 may not tell a number of this size, written out in full, from the next whole one."""
    if "e" in text.lower():
        return False
    written = Decimal(text)
    return abs(written) > MAX_WHOLE and ("." not in text or written != Decimal(number))


def _word(value: Any) -> str:
    """As readers of tables write it: true and false, and whole numbers as their digits."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if isinstance(value, (str, int, float, Decimal)) else ""
