"""What the gate says of a proposed section, before anything lands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from assets.ingest.sources.collecting import Collected
from assets.line.data import DataContract


@dataclass(frozen=True)
class Problem:
    """Something that does not hold, and what to do.

    Attributes:
        count: records that it is about; 0 where it is about the batch as a whole.
        example: a file and a place in it; "" for the batch as a whole.
    """

    what: str
    remedy: str
    count: int = 0
    example: str = ""


@dataclass(frozen=True)
class Checked:
    """The gate's answer on a section and on what it reads of the source.

    Attributes:
        state: "unchecked" where the gate could not be asked; `why` says why.
        why: one plain sentence.
        seen, accepted, quarantined, refused: records, as in a verdict.
        complete: whether these are all records of the source; else a sample of them was judged.
        blocking: checks that would block the batch.
        warnings: checks that do not hold, and do not block.
        reasons: why records would be quarantined or refused, the most frequent first.
        seconds: what judging took.
    """

    state: Literal["accepted", "blocked", "unchecked"]
    why: str
    seen: int = 0
    accepted: int = 0
    quarantined: int = 0
    refused: int = 0
    complete: bool = False
    blocking: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    reasons: tuple[Problem, ...] = ()
    seconds: float = 0.0


Check = Callable[[DataContract, Collected, int], Checked]
"""Asks the gate about a section, what would land, and how many records were seen in that (refused ones too)."""
