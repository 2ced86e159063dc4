"""How readers say what they could not read."""

from __future__ import annotations

from assets.quality.contract import Reason


def refusal(path: str, place: str, text: str) -> Reason:
    """A refusal from an error's text, "reason; remedy"."""
    reason, _, remedy = text.rpartition("; ")
    otherwise = "look at the file, and land a sound one in a new batch"
    return Reason(path, place, "refused", reason or remedy, remedy if reason else otherwise)
