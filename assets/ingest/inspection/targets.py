"""Which column of a table is to be predicted, by its name, and by what it holds where no name says so."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol, TypeVar

SURE = (
    ("target", "targets"),
    ("label", "labels", "class", "classes"),
    ("outcome", "diagnosis", "species", "survived", "churn", "failure", "failed", "fault", "rul"),
)
"""Words that name a target, alone or within a longer name, those first that leave least doubt."""
MAYBE = (("category", "quality", "grade", "status", "result"), ("y",))
"""Words that name one only where they are the whole name, and no other column's name says more."""
_SURE = {word: rank for rank, words in enumerate(SURE) for word in words}
_MAYBE = {word: rank for rank, words in enumerate(MAYBE) for word in words}
_NAMING = frozenset({"id", "uid", "uuid", "guid", "nr", "no", "number"})
_THINGS = re.compile(r"(customer|client|user|patient|subject|person|order|invoice|account|ticket|part|lot)(id|nr|no)?")
_CODES = frozenset({"code", "id", "idx", "index", "nr", "no", "num", "encoded", "enc", "numeric", "int"})


class Named(Protocol):
    """A column, as far as it matters here."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def kind(self) -> str:
        """What it holds, see `columns.Kind`."""


AnyColumn = TypeVar("AnyColumn", bound=Named)


def target_of(columns: Sequence[AnyColumn]) -> AnyColumn:
    """The column to predict: the one whose name says so with least doubt, else the last one of words, else the last.

    `y` beside `x` is a place, not a target. Of names that say as much, the last stands, as targets usually do.
    """
    fit = [column for column in columns if column.kind in ("category", "number", "constant") and column.name.strip()]
    if not fit:
        return columns[-1]
    named = named_targets(fit)
    if named:
        return named[0]
    words = [column for column in fit if column.kind == "category"]
    return (words or fit)[-1]


def named_targets(columns: Sequence[AnyColumn]) -> list[AnyColumn]:
    """Columns whose names say that they are targets, those first that leave least doubt."""
    names = {column.name.strip().lower() for column in columns}
    ranked = []
    for at, column in enumerate(columns):
        if column.name.strip().lower() == "y" and "x" in names:
            continue
        if (rank := _rank(column.name)) is not None:
            ranked.append((rank, -at, column))
    return [column for _, _, column in sorted(ranked, key=lambda item: item[:2])]


def _rank(name: str) -> tuple[int, int, int] | None:
    """How much doubt a name leaves, least first: the whole name, then a part of it, then a code of something."""
    parts = _parts(name)
    sure = [_SURE[part] for part in parts if part in _SURE]
    if sure:
        return int(len(parts) > 1), min(sure), int(not _CODES.isdisjoint(parts))
    return (2, _MAYBE[parts[0]], 0) if len(parts) == 1 and parts[0] in _MAYBE else None


def names_things(name: str) -> bool:
    """Whether a column's name says that it names things: `id`, `customer_id`, `orderNo`, `patient`."""
    parts = _parts(name)
    return bool(parts) and (
        (parts[-1] in _NAMING and parts not in (["no"], ["number"]))
        or (len(parts) == 1 and _THINGS.fullmatch(parts[0]) is not None)
    )


def _parts(name: str) -> list[str]:
    """The words of a name, parted by signs or as in `orderNo`."""
    return re.findall(r"[^\W_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower())
