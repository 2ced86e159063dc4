"""Numbers with a decimal comma or separators of thousands: to plain text where they fit a form, never a guess.

A whole part is grouped throughout or not at all: one to three digits that do not begin with zero, then groups of three.
A grouped number has no exponent: who writes `1.234e5` means a point.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from assets.line.cell_form import LIKE_APOSTROPHE, LIKE_SPACE, CellForm

FORMS = (
    CellForm(decimal=","),
    CellForm(thousands=","),
    CellForm(decimal=",", thousands="."),
    CellForm(thousands=" "),
    CellForm(decimal=",", thousands=" "),
    CellForm(thousands="'"),
    CellForm(decimal=",", thousands="'"),
    CellForm(thousands="_"),
)
"""Forms that are told from a cell."""
_ALIKE = {" ": " " + LIKE_SPACE, "'": "'" + LIKE_APOSTROPHE}


@functools.cache
def pattern(form: CellForm) -> str:
    """A regular expression, of Python and of Arrow, for a whole cell with a number of this form, spaces left out."""
    point = re.escape(form.decimal)
    exponent = r"(?:[eE][+-]?[0-9]+)?"
    plain = rf"(?:[0-9]+(?:{point}[0-9]*)?|{point}[0-9]+){exponent}"
    if not form.thousands:
        return rf"[+-]?{plain}"
    grouped = rf"[1-9][0-9]{{0,2}}(?:{_between(form)}[0-9]{{3}})+(?:{point}[0-9]*)?"
    return rf"[+-]?(?:{plain}|{grouped})"


def to_plain(text: str, form: CellForm) -> str | None:
    """A number as it is written with a point and without separators; None where it is none of this form."""
    if not _compiled(form).fullmatch(text):
        return None
    return (re.sub(_between(form), "", text) if form.thousands else text).replace(form.decimal, ".")


def to_plain_cells(cells: pa.Array, form: CellForm) -> pa.Array:
    """As `to_plain`, for each cell of an array of text without nulls; "" where it is none of this form."""
    sound = pc.match_substring_regex(cells, f"^{pattern(form)}$")
    if form.thousands:
        cells = pc.replace_substring_regex(cells, _between(form), "")
    if form.decimal != ".":
        cells = pc.replace_substring(cells, form.decimal, ".")
    return pc.if_else(sound, cells, "")


def readings(text: str) -> Iterator[tuple[CellForm, str]]:
    """The forms of which a text is a number, with the plain number, each number once."""
    seen = set()
    for form in FORMS:
        plain = to_plain(text, form)
        if plain is not None and plain not in seen:
            seen.add(plain)
            yield form, plain


def said(form: CellForm) -> str:
    """A form's settings as a contract has them."""
    parts = [
        f'{name}: "{value}"' if isinstance(value, str) else f"{name}: true" for name, value in form.settings.items()
    ]
    return f"`cells: {{{', '.join(parts)}}}`"


def hint(text: str, form: CellForm) -> str:
    """What to write for a cell that is no number of a form; "" where no other form makes it one."""
    found = [f"{said(other)} reads it as {plain}" for other, plain in readings(text.strip()) if other != form]
    return f"; {', '.join(found)}" if found else ""


@functools.cache
def _compiled(form: CellForm) -> re.Pattern[str]:
    return re.compile(pattern(form))


def _between(form: CellForm) -> str:
    return f"[{_ALIKE.get(form.thousands, form.thousands)}]"
