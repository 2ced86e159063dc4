"""How readers say what they could not read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


def refusal(path: str, place: str, text: str) -> Reason:
    """A refusal from an error's text, "reason; remedy"."""
    reason, _, remedy = text.rpartition("; ")
    otherwise = "look at the file, and land a sound one in a new batch"
    return Reason(path, place, "refused", reason or remedy, remedy if reason else otherwise)


@dataclass(frozen=True)
class Reason:
    """Why one record or file did not get through.

    Attributes:
        file: path in the batch.
        place: where in it, e.g. "row 17, column radius_mean" or "whole file".
        outcome: "refused" (never read as a record; its bytes are not kept), "quarantined" (kept, may come back) or
            "ignored" (no data at all, e.g. `.DS_Store`; counted nowhere).
        reason: what is wrong, in plain words.
        remedy: what to do.
    """

    file: str
    place: str
    outcome: Literal["refused", "quarantined", "ignored"]
    reason: str
    remedy: str
