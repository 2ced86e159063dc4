"""One record as a reader found it, and the columns it is stored in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Record:
    """One record as a reader found it, sound or not: the gate judges it.

    Attributes:
        id: SHA-256 (hex) of the input without the label: decoded pixels with their shape, a row's values (of a series
            with its unit and time), a text's characters, a sound's samples.
        label: as written in the source (aliases resolved); "" where it is missing. A number to predict as its text.
        split: "train", "validation" or "test" where the source declares it, else "".
        file: path in the batch, with `#line` for records that are part of a file.
        input: what is stored and trained on: a picture's or sound's file bytes, a text in UTF-8, or a row's values as
            little-endian float64 in the contract's order (a category as its position; NaN where a cell has no value).
        group: records of one group (unit, patient) are in the same split; "" where each is on its own.
        time: of a series: its position in time, a number as given, or seconds since 1970; None elsewhere.
        facts: what the gate's table shows of it, by the names of `assets.records.chunks.fact_fields`.
        notes: input column to why its cell has no value.
        origin: of a reading that returns, the batch whose unit it is of; "" for its own batch.
        embedding: (k,) float32, where pictures, sounds and texts lie near each other when they are alike.
        phash: 64 bits that hardly change when a picture is compressed, resized or blurred; None for other records.
    """

    id: str
    label: str
    split: str
    file: str
    input: bytes
    group: str = ""
    time: float | None = None
    facts: Mapping[str, float | str | None] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
    embedding: NDArray[np.float32] | None = None
    phash: int | None = None
    origin: str = ""


RECORD_COLUMNS = ("id", "label", "split", "file", "group", "time", "input", "origin", "drawn_by")
"""Columns of an accepted-records Parquet.

id: SHA-256 of the record's input without its label, 64 hex digits.
label: one of the line's classes; where a number is predicted, the number as text.
split: "train", "validation" or "test" where the source declared it, else "" (then `record_split` decides).
file: path in the batch (with `#line` for tables).
group: records of one group are in the same split; "" where each is on its own.
time: float64, of a series; null elsewhere.
input: bytes: the picture's or sound's file bytes, the text in UTF-8, or the row's values as little-endian float64.
origin: of a reading that returned, the batch whose unit it is of; "" for the batch that it is stored for.
drawn_by: what its split is drawn by instead of its group and id, since it was stored in another form before (see
    `assets.records.generation`): an id or a group of then; null for its own.
"""

RELEASE_NOTE = b"edgeloop.release"
"""Name of what a Parquet of records that return notes of itself, as JSON: of which release it is."""

LATER_COLUMNS = frozenset({"origin", "drawn_by"})
"""Those of them that Parquets of earlier versions do not have: there they are read as null."""


QUARANTINE_COLUMNS = (*RECORD_COLUMNS, "rule", "reason", "remedy")
"""Columns of a quarantined-records Parquet.

rule: name of the check that the record broke; "" where it is good, and only its batch was blocked.
reason, remedy: plain words.
"""
