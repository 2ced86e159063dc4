"""Cells of text as the line's files write them: decimal sign, thousands, the day first, spaces around words.

The same rules as the platform's readers have, which a test holds side by side; written again because a device has no
pyarrow. A number or time that does not fit is never read as another one.
"""

from __future__ import annotations

import functools
import re

from edge.contracts import RowFiles

PLAIN = RowFiles()
_ALIKE = {" ": " \u00a0\u2007\u2009\u202f", "'": "'\u2019"}
_DATES = "|".join(rf"[0-9]{{1,2}}{mark}[0-9]{{1,2}}{mark}[0-9]{{4}}" for mark in ("/", r"\.", "-"))
_DAY_FIRST = re.compile(rf"(?:{_DATES})(?:[ T][0-9]{{1,2}}:[0-9]{{2}}(?::[0-9]{{2}}(?:\.[0-9]{{1,6}})?)?)?")


def plain_number(text: str, files: RowFiles) -> str:
    """A cell's number with a point and without separators; "" where it is none as the line's files write them."""
    text = text.strip()
    if files.decimal == "." and not files.thousands:
        return text
    if text.lstrip("+-").lower() in {"nan", "inf", "infinity"}:
        return text
    if not _number(files.decimal, files.thousands).fullmatch(text):
        return ""
    text = re.sub(_between(files.thousands), "", text) if files.thousands else text
    return text.replace(files.decimal, ".")


def word(text: str, files: RowFiles) -> str:
    """A cell's word."""
    return text.strip() if files.trim else text


def iso_time(text: str, files: RowFiles) -> str:
    """A time with the day first as ISO 8601, where the line's files write it so; any other text as it is."""
    text = text.strip()
    if not files.day_first or not _DAY_FIRST.fullmatch(text):
        return text
    date, *time = re.split("[ T]", text)
    day, month, year = re.split("[/.-]", date)
    hour, colon, rest = time[0].partition(":") if time else ("", "", "")
    return f"{year}-{month.zfill(2)}-{day.zfill(2)}" + (f"T{hour.zfill(2)}{colon}{rest}" if time else "")


@functools.cache
def _number(decimal: str, thousands: str) -> re.Pattern[str]:
    point = re.escape(decimal)
    plain = rf"(?:[0-9]+(?:{point}[0-9]*)?|{point}[0-9]+)(?:[eE][+-]?[0-9]+)?"
    grouped = rf"|[1-9][0-9]{{0,2}}(?:{_between(thousands)}[0-9]{{3}})+(?:{point}[0-9]*)?" if thousands else ""
    return re.compile(rf"[+-]?(?:{plain}{grouped})")


def _between(thousands: str) -> str:
    return f"[{_ALIKE.get(thousands, thousands)}]"
