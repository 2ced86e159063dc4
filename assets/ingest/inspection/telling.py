"""Columns that say the answer: the target again, marks that are set only where it is one class, and reasons for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from assets.readers.cells import number

_LEAST = 5
_CHANCE = 1e-6
"""How likely it may at most be that rows of one class come together by luck."""
_MOST_VALUES = 50
_LEAST_NUMBERS = 20
_SAME = 1 - 1e-6
"""Correlation with the target from which on a column of numbers is the target, scaled."""


@dataclass
class Telling:
    """Columns, each with a sentence that says why: those that say the answer, and those that people must know of."""

    answers: dict[str, str] = field(default_factory=dict)
    asked: dict[str, str] = field(default_factory=dict)


def telling_columns(
    names: Sequence[str], rows: Sequence[Sequence[str]], asked: Sequence[str], target: str, regression: bool = False
) -> Telling:
    """What of the columns `asked` says the answer.

    A column does that is the target again under other names (0 for a, 1 for b), that has two values one of which comes
    with one class only, or whose words each come with one class only. A column is asked about where some of its words
    do, or all of many numbers: strong inputs look so, too. All of it is said only where so many rows drawn by chance
    would be of these classes with a probability of at most `_CHANCE`.

    Args:
        regression: whether the target is a number: then a column tells that is the same number, scaled.
    """
    at = {name: place for place, name in enumerate(names)}
    found = Telling()
    if target not in at:
        return found
    labels = [row[at[target]].strip() for row in rows]
    for name in asked:
        cells = [row[at[name]].strip() for row in rows]
        if regression:
            if why := _scaled(cells, labels):
                found.answers[name] = why
        else:
            _look(name, cells, labels, found)
    return found


def _look(name: str, cells: Sequence[str], labels: Sequence[str], found: Telling) -> None:
    values = Counter(cells)
    if not 2 <= len(values) <= min(_MOST_VALUES, len(cells) / 2):
        return
    share = {label: count / len(labels) for label, count in Counter(labels).items()}
    classes_of: dict[str, set[str]] = {}
    for cell, label in zip(cells, labels, strict=True):
        classes_of.setdefault(cell, set()).add(label)
    only = {value: next(iter(classes)) for value, classes in classes_of.items() if len(classes) == 1}
    surely = [v for v in values if v in only and values[v] >= _LEAST and share[only[v]] ** values[v] <= _CHANCE]
    if not surely or len(share) < 2:
        return
    numeric = all(number(value)[1] is None for value in values)
    whole = len(only) == len(values)
    first = surely[0]
    one = f"it is {first!r} in {values[first]:,} rows, all of them {only[first]!r}"
    if whole and len(values) == len(share) == len(set(only.values())):
        pairs = ", ".join(f"{value!r} where it is {only[value]!r}" for value in sorted(values)[:3])
        found.answers[name] = f"it is the target again ({pairs}): it says the answer"
    elif len(values) == 2:
        found.answers[name] = f"{one}: it says the answer"
    elif whole and not numeric:
        found.answers[name] = (
            f"each of its {len(values)} values comes with one class only ({one}): it says the answer; if it is known "
            "before the answer is, add it to `columns`"
        )
    elif whole or not numeric:
        found.asked[name] = one


def _scaled(cells: Sequence[str], target: Sequence[str]) -> str:
    """Why a column of numbers is the target again; "" where it is not."""
    pairs = [(number(cell), number(wanted)) for cell, wanted in zip(cells, target, strict=True)]
    sound = [(cell[0], wanted[0]) for cell, wanted in pairs if cell[1] is None and wanted[1] is None]
    if len(sound) < _LEAST_NUMBERS:
        return ""
    own, wanted = np.array(sound).T
    own, wanted = own - own.mean(), wanted - wanted.mean()
    size = float(np.sqrt((own @ own) * (wanted @ wanted)))
    if not np.isfinite(size) or not size or abs(float(own @ wanted)) < _SAME * size:
        return ""
    return "it is the target again, at most scaled and shifted: it says the answer"
