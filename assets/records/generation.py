"""Generations of a line: periods in which its records are stored in one form.

    store/<line>/generations/   a journal: what form records are stored in since when

Columns, categories or units that change in the contract begin a new one: what was accepted before no longer fits, and
is judged anew. Accepted batches, datasets and models are of one generation each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from assets.line.stored_form import form_changes
from edge.contracts import document


@document("edgeloop.generation")
@dataclass(frozen=True)
class Generation:
    """From now on records are stored in this form. Several entries may be of one generation: the last one counts.

    Attributes:
        number: 1, 2, 3, …
        form: what `assets.line.stored_form.stored_form` gave.
        why: what changed against the generation before, each in a few words; none in an entry that began no new one.
        read: when the contract that says so was read, in seconds since 1970: one that was read before is out of date.
    """

    number: int
    form: Mapping[str, Any]
    why: tuple[str, ...]
    read: float

    def __post_init__(self) -> None:
        if self.number < 1:
            raise ValueError(f"generation {self.number} is none; they count from 1")


def next_generation(last: Generation | None, form: Mapping[str, Any], read: float) -> Generation | None:
    """The entry that the journal of generations needs before a record of `form` is stored; None where it has it.

    Args:
        last: the journal's last entry; None for an empty one.
        form: that of the line's contract.
        read: when that was read, in seconds since 1970.
    """
    if last is None:
        return Generation(1, form, (), read)
    why = form_changes(last.form, form)
    if why:
        return Generation(last.number + 1, form, why, read)
    return None if dict(last.form) == dict(form) else Generation(last.number, form, (), read)
