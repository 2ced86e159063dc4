"""Whether two texts say the same, and whether two rows of a table are the same but for rounding."""

from __future__ import annotations

import hashlib
import re
import unicodedata
import zlib

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from assets.line.data import DataContract
from assets.quality.checks.columns import numbers
from assets.quality.spool import Spool

Rows = NDArray[np.int64]

DIGITS = 6
LEAST_FRACTIONS = 4
"""Rows are compared by rounding only where so many columns hold fractions: few columns agree by chance."""
_RUN = 4
_MOST_CHARS = 4_000
_WORD = re.compile(r"\w+")
_MIX = np.uint64(0x9E3779B97F4A7C15)


def plain(text: str) -> str:
    """A text without case, accents of form (NFKC), punctuation and extra spaces."""
    return " ".join(_WORD.findall(unicodedata.normalize("NFKC", text).casefold()))


def same_texts(spool: Spool) -> NDArray[np.uint64]:
    """(rows,) a key that is equal for texts that are equal in `plain` form; 0 for texts without a word."""
    keys = np.zeros(spool.rows, dtype=np.uint64)
    for start, table in spool.chunks(["text"]):
        for place, text in enumerate(table.column("text").to_pylist()):
            if text and (words := plain(text)):
                keys[start + place] = int.from_bytes(hashlib.blake2b(words.encode(), digest_size=8).digest()) or 1
    return keys


def text_likeness(spool: Spool, first: Rows, second: Rows) -> NDArray[np.float64]:
    """(pairs,) share of runs of 4 characters that two texts have in common (Jaccard, first 4,000 characters)."""
    result = np.zeros(len(first))
    rows = np.unique(np.concatenate([first, second]))
    if not rows.size:
        return result
    texts = spool.take(rows, ["text"]).column("text").to_pylist()
    runs: dict[int, frozenset[str]] = {}

    def of(row: int) -> frozenset[str]:
        if row not in runs:
            if len(runs) > 20_000:
                runs.clear()
            runs[row] = _runs(texts[int(np.searchsorted(rows, row))] or "")
        return runs[row]

    for place in np.lexsort((second, first)).tolist():
        one, two = of(int(first[place])), of(int(second[place]))
        union = len(one | two)
        result[place] = len(one & two) / union if union else 0.0
    return result


def _runs(text: str) -> frozenset[str]:
    words = f" {plain(text[:_MOST_CHARS])} "
    return (
        frozenset(words[at : at + _RUN] for at in range(max(1, len(words) - _RUN + 1)))
        if words.strip()
        else frozenset()
    )


def same_rows(spool: Spool, data: DataContract) -> NDArray[np.uint64]:
    """(rows,) a key that is equal for rows whose numbers are equal in 6 digits and whose words are equal.

    0 for all rows where fewer than `LEAST_FRACTIONS` columns hold fractions: such rows are either exact copies, which
    their ids tell, or equal by chance.
    """
    keys = np.zeros(spool.rows, dtype=np.uint64)
    names = data.inputs.columns if data.inputs is not None else ()
    fractions: set[str] = set()
    for start, table in spool.chunks(names):
        key = np.zeros(len(table), dtype=np.uint64)
        for place, name in enumerate(names):
            column = table.column(name)
            if pa.types.is_string(column.type):
                part = np.array([zlib.crc32((word or "").encode()) for word in column.to_pylist()], dtype=np.uint64)
            else:
                values = numbers(column)
                known = values[np.isfinite(values)]
                if known.size and (known != np.round(known)).mean() > 0.1:
                    fractions.add(name)
                part = rounded(values)
            with np.errstate(over="ignore"):
                key = _mixed(key ^ _mixed(part + np.uint64(place + 1) * _MIX))
        keys[start : start + len(table)] = np.maximum(key, np.uint64(1))
    if len(fractions) < LEAST_FRACTIONS:
        keys[:] = 0
    return keys


def rounded(values: NDArray[np.float64]) -> NDArray[np.uint64]:
    """(n,) a number that is equal for values that are equal in 6 digits; NaN has one, too."""
    size = np.abs(values)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        power = np.where(size > 0, np.floor(np.log10(size)), 0)
        digits = np.rint(values / 10.0 ** np.clip(power - DIGITS + 1, -300, 300))
    carried = np.abs(digits) >= 10**DIGITS  # 9.999999 is 1.00000e1
    digits, power = np.where(carried, digits / 10, digits), np.where(carried, power + 1, power)
    code = np.where(np.isfinite(digits), digits * 1000 + power, 10.0**15)
    return code.astype(np.int64).view(np.uint64)


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    with np.errstate(over="ignore"):
        values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
