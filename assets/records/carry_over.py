"""Inputs that were stored in an earlier generation's form, as a later form has them. Rules alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from assets.errors import RejectedError
from assets.line.stored_form import form_changes

AGAIN = "correct it again where it is held: in the quarantine of the batch that it landed in, judged anew"
_CARRIED = {"columns", "categories", "other", "header", "skip_lines", "classes", "aliases"}
"""Settings that may differ: inputs are carried over by their columns' names, labels are words and read as such."""

Carry = Callable[[bytes], bytes]
Forms = Mapping[int, Mapping[str, Any]]
"""Generation of a line to how its inputs are stored (see `assets.line.stored_form`)."""


def carry_over(before: Mapping[str, Any], now: Mapping[str, Any]) -> Carry:
    """What makes a stored input of form `before` (see `assets.line.stored_form`) one of form `now`.

    A column that was taken out goes, a word that stands elsewhere moves, and one that is not known any more has no
    value (NaN), or is the word for all others.

    Raises:
        RejectedError: nothing stored says what a column is now; "reason; remedy".
    """
    changed = form_changes(before, now)
    if not changed:
        return lambda stored: stored
    differing = {name for name in before.keys() | now.keys() if before.get(name) != now.get(name)}
    if not differing <= _CARRIED:
        raise RejectedError(f"it returned before the contract changed: {'; '.join(changed)}; {AGAIN}")
    old, new = list(before.get("columns", ())), list(now.get("columns", ()))
    moved = [_column(name, old, before, now) for name in new]

    def carried(stored: bytes) -> bytes:
        values = np.frombuffer(stored, dtype="<f8") if len(stored) == 8 * len(old) else None
        if values is None:
            raise RejectedError(f"it has {len(stored):,} bytes, {len(old)} columns are {8 * len(old)}; make it anew")
        return np.asarray([place(values) for place in moved], dtype="<f8").tobytes()

    return carried if old else lambda stored: stored


def _column(
    name: str, old: Sequence[str], before: Mapping[str, Any], now: Mapping[str, Any]
) -> Callable[[np.ndarray[Any, np.dtype[np.float64]]], float]:
    """What gives a column's value out of an old row."""
    words, wanted = before.get("categories", {}).get(name), now.get("categories", {}).get(name)
    if name not in old or bool(words) != bool(wanted):
        what = f"column {name!r} was added" if name not in old else f"column {name!r} holds something else"
        raise RejectedError(f"it returned before {what}; {AGAIN}")
    at = old.index(name)
    if not words or not wanted:
        return lambda values: float(values[at])
    other = now.get("other", {}).get(name)
    places = [wanted.index(word) if word in wanted else wanted.index(other) if other else math.nan for word in words]

    def word(values: np.ndarray[Any, np.dtype[np.float64]]) -> float:
        place = values[at]
        return places[int(place)] if place in range(len(places)) else math.nan

    return word
