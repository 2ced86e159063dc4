"""How the cells of a text of rows are written: decimal sign, separators of thousands, order of a date, spaces around.

One section, shared by tables, series and texts, so that one setting is told once, and its absence leaves digests alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

LIKE_SPACE = "\u00a0\u2007\u2009\u202f"
"""Spaces that keep a number together in print; as a separator they are what a space is."""
LIKE_APOSTROPHE = "\u2019"


def _as_typed(value: Any) -> Any:
    """A separator as keyboards have it: a no-break space is a space, a curly apostrophe a straight one."""
    if isinstance(value, str) and len(value) == 1:
        return " " if value in LIKE_SPACE else "'" if value in LIKE_APOSTROPHE else value
    return value


class CellForm(BaseModel):
    """How cells of text are written, in files of text and in columns of text of Parquet and Arrow; typed ones are as
    they are.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    decimal: Literal[".", ","] = Field(default=".", description="The decimal sign of numbers.")
    thousands: Annotated[Literal["", ",", ".", " ", "'", "_"], BeforeValidator(_as_typed)] = Field(
        default="",
        description="What stands between groups of three digits, as in 1.234.567; a space stands for every no-break "
        "space too. Numbers without it are read as well.",
    )
    day_first: bool = Field(
        default=False,
        description="Times of a series may be 31/12/2024, 31.12.2024 or 31-12-2024, with 23:59 or 23:59:59.9 behind; "
        "ISO 8601 is read as well.",
    )
    trim: bool = Field(
        default=False,
        description="Spaces around words, labels, units, texts and names of columns do not count; without it words are "
        "exact.",
    )

    @model_validator(mode="after")
    def _one_sign_one_meaning(self) -> Self:
        if self.decimal == self.thousands:
            say = "say `decimal` too" if self.thousands == "." else "change one of them"
            raise ValueError(
                f"thousands is {self.thousands!r}, and so is the decimal sign: nobody can tell them apart; {say}"
            )
        return self

    @property
    def plain_numbers(self) -> bool:
        """Whether numbers are written with a point, and without separators."""
        return self.decimal == "." and not self.thousands

    @property
    def settings(self) -> dict[str, Any]:
        """What is not as it is without the section."""
        return self.model_dump(exclude_defaults=True)

    def refuse_spaces(self, what: str, names: Iterable[str]) -> None:
        """Raise ValueError where a name or word has spaces around it, though `trim` takes them off the data's."""
        odd = next((name for name in names if name != name.strip()), None) if self.trim else None
        if odd is not None:
            raise ValueError(
                f"`{what}` has {odd!r}, but with `cells.trim` no word keeps spaces around it; take them off"
            )


PLAIN = CellForm()
"""Cells as they are read where a contract says nothing of them."""


def none_if_plain(value: CellForm | None) -> CellForm | None:
    """A section that says nothing new is none."""
    return None if value == PLAIN else value
