"""Sensor cursors: positions in journals, as the text Dagster keeps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from assets.storage.journal import Journal

MOST_DIGITS = 12


def write_cursor(*positions: int) -> str:
    """Positions as a cursor."""
    return ",".join(map(str, positions))


def read_cursor(cursor: str | None, journals: Sequence[Journal[Any]]) -> tuple[int, ...]:
    """One position per journal.

    A cursor that is no such text (a person may edit it), or points behind its journal's end (the store was replaced),
    starts over. That repeats no work: run keys are remembered, and judged batches are passed over.
    """
    parts = (cursor or "").split(",")
    positions = [int(part) if _is_position(part) else 0 for part in parts]
    positions += [0] * len(journals)
    return tuple(
        position if position and journal.at(position) is not None else 0
        for position, journal in zip(positions, journals, strict=False)
    )


def read_watched(cursor: str | None, count: int, upto: int, most: int) -> tuple[int, ...]:
    """The positions that a cursor names behind its first `count`: at most `most`, each once, in order, up to `upto`."""
    parts = (cursor or "").split(",")[count : count + most]
    return tuple(sorted({int(part) for part in parts if _is_position(part) and 0 < int(part) <= upto}))


def _is_position(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= MOST_DIGITS
