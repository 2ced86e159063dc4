"""Sensor cursors: positions in journals, as the text Dagster keeps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from assets.journal import Journal


def write_cursor(*positions: int) -> str:
    """Positions as a cursor."""
    return ",".join(map(str, positions))


def read_cursor(cursor: str | None, journals: Sequence[Journal[Any]]) -> tuple[int, ...]:
    """One position per journal.

    A cursor that is no such text (a person may edit it), or points behind its journal's end (the store was replaced),
    starts over. That repeats no work: run keys are remembered, and judged batches are passed over.
    """
    parts = (cursor or "").split(",")
    positions = [int(part) if part.isascii() and part.isdecimal() and len(part) <= 12 else 0 for part in parts]
    positions += [0] * len(journals)
    return tuple(
        position if position and journal.at(position) is not None else 0
        for position, journal in zip(positions, journals, strict=False)
    )
