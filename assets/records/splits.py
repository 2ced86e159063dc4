"""The rule that gives a record its split: train, validation or test."""

from __future__ import annotations

import hashlib
from typing import cast

from assets.records.dataset import Shares, Split

GROUP_DRAW = "group\0"
"""Stands before the name of a group that draws its records' split."""


def drawn_split(record_id: str, validation_share: float, test_share: float) -> Split:
    """The split of a record without a declared one: decided by its id alone, so it never changes.

    Args:
        record_id: 64 hex digits, or a group's name; the first 8 bytes of its SHA-256 give a uniform number in [0, 1).
    """
    draw = int.from_bytes(hashlib.sha256(b"split\0" + record_id.encode()).digest()[:8], "big") / 2**64
    if draw < test_share:
        return "test"
    return "validation" if draw < test_share + validation_share else "train"


def record_split(record_id: str, group: str, declared: str, data: Shares) -> Split:
    """The split of any record.

    A declared split wins, but train records give those that the source does not declare (`data.carve`). Records of one
    group are in one split: the group's name is drawn with, not the record's id.

    Args:
        record_id: of the record, or what it is drawn by instead of its own id and group (`drawn_by`).
        declared: "train", "validation", "test", or "" where the source declares none.
        data: `validation_share`, `test_share` and `carve` of the line's contract, or of a dataset version.
    """
    if declared and (declared != "train" or not data.carve):
        return cast(Split, declared)
    carve = data.carve if declared else ("validation", "test")
    return drawn_split(
        f"{GROUP_DRAW}{group}" if group else record_id,
        data.validation_share if "validation" in carve else 0.0,
        data.test_share if "test" in carve else 0.0,
    )
