"""Times with the day first, 31/12/2024 or 31.12.2024 23:59, as ISO 8601; the year has four digits."""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc

_DATE = "|".join(rf"[0-9]{{1,2}}{mark}[0-9]{{1,2}}{mark}[0-9]{{4}}" for mark in ("/", r"\.", "-"))
PATTERN = rf"(?:{_DATE})(?:[ T][0-9]{{1,2}}:[0-9]{{2}}(?::[0-9]{{2}}(?:\.[0-9]{{1,6}})?)?)?"
"""Of a whole cell, spaces around it left out, for Python and Arrow."""
_WHOLE = re.compile(PATTERN)
_STEPS = (
    (r"^([0-9])([/.-])", r"0\1\2"),
    (r"^([0-9]{2}[/.-])([0-9])([/.-])", r"\g<1>0\2\3"),
    (r"([ T])([0-9]):([0-9]{2})", r"\g<1>0\2:\3"),
    (r"^([0-9]{2})[/.-]([0-9]{2})[/.-]([0-9]{4})", r"\3-\2-\1"),
)


def is_day_or_month_first(text: str) -> bool:
    """Whether a cell is a date of which the day or the month comes first."""
    return _WHOLE.fullmatch(text.strip()) is not None


def first_and_second(text: str) -> tuple[int, int]:
    """The first two numbers of such a date."""
    first, second = re.findall("[0-9]+", text)[:2]
    return int(first), int(second)


def to_iso(text: str) -> str:
    """A time with the day first as ISO 8601; any other text as it is."""
    stripped = text.strip()
    if not _WHOLE.fullmatch(stripped):
        return text
    for find, put in _STEPS:
        stripped = re.sub(find, put, stripped)
    return stripped


def to_iso_cells(cells: pa.Array) -> pa.Array:
    """As `to_iso`, for each cell of an array of text without nulls."""
    sound = pc.match_substring_regex(cells, rf"^\s*{PATTERN}\s*$")
    made = pc.utf8_trim_whitespace(cells)
    for find, put in _STEPS:
        made = pc.replace_substring_regex(made, find, put.replace(r"\g<1>", r"\1"))
    return pc.if_else(sound, made, cells)
