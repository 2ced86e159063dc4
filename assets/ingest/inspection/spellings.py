"""Labels that look like spellings of one another: `HAM`, `ham ` and `ham`, or a rare `hamm` beside many `ham`.

They are offered and never taken for granted: only who knows the data knows that Co and CO are one. Signs, digits and
punctuation make another label: -1 and 1, A+ and A-, <=50K and >50K, C and C++ are never offered.
"""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MAX_LABELS = 2_000
"""More labels than this are not compared with one another."""
_NEAR = 0.8
_RARE = 0.05


@dataclass(frozen=True)
class Spelling:
    """`written` may be another spelling of the label `meant`: by case and spaces, or by a letter or two and rare."""

    written: str
    meant: str
    count: int


def spellings(counts: Mapping[str, int], classes: Sequence[str] = ()) -> list[Spelling]:
    """What may be aliases, those that differ by case and spaces alone first.

    Args:
        counts: label to how often it occurs.
        classes: of the line, where there is one: they are meant, and are never other spellings themselves.
    """
    labels = [label for label in counts if label.strip()]
    if len(labels) > MAX_LABELS:
        return []
    alike: dict[str, list[str]] = defaultdict(list)
    for label in {*labels, *classes}:
        alike[_plain(label)].append(label)
    found = []
    meant_of: dict[str, str] = {}
    for key, group in alike.items():
        ours = [label for label in group if label in classes]
        if len(ours) > 1:
            continue
        meant_of[key] = ours[0] if ours else min(group, key=lambda label: (-counts.get(label, 0), label))
        found += [
            Spelling(label, meant_of[key], counts[label])
            for label in group
            if label != meant_of[key] and label not in classes
        ]
    found.sort(key=lambda spelling: (-spelling.count, spelling.written))
    return found + _near(counts, meant_of, classes)


def label_order(label: str) -> tuple[bool, int, str]:
    """Sorts labels as people do: whole numbers by their value, then words."""
    whole = label.isascii() and label.isdigit() and len(label) < 18
    return not whole, int(label) if whole else 0, label


def _near(counts: Mapping[str, int], meant_of: Mapping[str, str], classes: Sequence[str]) -> list[Spelling]:
    found = []
    keys = [key for key in meant_of if len(key) >= 3 and any(map(str.isalpha, key))]
    for key in keys:
        label = meant_of[key]
        if label in classes or label not in counts:
            continue
        others = [other for other in keys if other != key and signs_of(other) == signs_of(key)]
        for near in difflib.get_close_matches(key, others, 1, _NEAR):
            meant = meant_of[near]
            if meant in classes or counts[label] <= _RARE * counts.get(meant, 0):
                found.append(Spelling(label, meant, counts[label]))
    return sorted(found, key=lambda spelling: (-spelling.count, spelling.written))


def _plain(label: str) -> str:
    """A label without its case, and with single spaces inside only."""
    return " ".join(label.split()).casefold()


def signs_of(label: str) -> str:
    """What of a label is neither letter nor space."""
    return "".join(sign for sign in label if not sign.isalpha() and not sign.isspace())
