"""Columns that say the answer: a mark that is set only where the target is one class, as failure modes are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

_LEAST = 5
_CHANCE = 1e-6
"""How likely it may at most be that rows of one class come together by luck."""


def telling_columns(
    names: Sequence[str], rows: Sequence[Sequence[str]], asked: Sequence[str], target: str
) -> dict[str, str]:
    """Of the columns `asked` those of two values, one of which comes with one class only: to a sentence that says so.

    A value in at least `_LEAST` rows, all of one class, is taken for telling where so many rows drawn by chance would
    be of that class with a probability of at most `_CHANCE`.
    """
    at = {name: place for place, name in enumerate(names)}
    if target not in at:
        return {}
    labels = [row[at[target]].strip() for row in rows]
    share = {label: count / max(1, len(labels)) for label, count in Counter(labels).items()}
    found = {}
    for name in asked:
        cells = [row[at[name]].strip() for row in rows]
        if len(set(cells)) != 2:
            continue
        for value in sorted(set(cells)):
            with_it = Counter(label for cell, label in zip(cells, labels, strict=True) if cell == value)
            (label, count), *others = with_it.most_common(2)
            if not others and count >= _LEAST and share[label] ** count <= _CHANCE:
                found[name] = f"it is {value!r} in {count:,} rows, all of them {label!r}: it says the answer"
    return found
