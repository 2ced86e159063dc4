"""Labels that look like spellings of one another: `HAM`, `ham ` and `ham`, or a slip, a rare `hamm` beside many `ham`.

They are offered and never taken for granted: only who knows the data knows that Co and CO are one. Signs, digits and
punctuation make another label: -1 and 1, A+ and A-, <=50K and >50K, C and C++ are never offered.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MAX_LABELS = 2_000
"""More labels than this are not compared with one another."""
_LEAST_LETTERS = 5
_LEAST_DOUBLED = 3
_RARE = 0.05


@dataclass(frozen=True)
class Spelling:
    """`written` may be another spelling of the label `meant`: by case and spaces, or by a slip and rare."""

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
        meant_of[key] = (
            ours[0] if ours else min(group, key=lambda label: (label != label.strip(), -counts.get(label, 0), label))
        )
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
        for near in (other for other in keys if other != key and is_slip(key, other)):
            meant = meant_of[near]
            if meant in classes or counts[label] <= _RARE * counts.get(meant, 0):
                found.append(Spelling(label, meant, counts[label]))
                break
    return sorted(found, key=lambda spelling: (-spelling.count, spelling.written))


def is_slip(written: str, meant: str) -> bool:
    """Whether two labels differ as a slip of the hand does, in one word.

    A letter is doubled or not, two neighbours change places, or a letter inside a longer word is missing or too many.
    What begins otherwise, ends otherwise or has another letter is another word: female and male, left and lefty, class
    A and class B, nitrate and nitrite.
    """
    if signs_of(written) != signs_of(meant):
        return False
    ours, theirs = written.split(), meant.split()
    pairs = [(one, other) for one, other in zip(ours, theirs, strict=False) if one != other]
    if len(ours) != len(theirs) or len(pairs) != 1:
        return False
    short, long = sorted(pairs[0], key=len)
    at = next((at for at, (one, other) in enumerate(zip(short, long, strict=False)) if one != other), len(short))
    if len(short) == len(long):
        swapped = long[:at] + long[at : at + 2][::-1] + long[at + 2 :]
        return len(short) >= _LEAST_LETTERS and at > 0 and at + 2 < len(long) and swapped == short
    if short != long[:at] + long[at + 1 :]:
        return False
    doubled = len(short) >= _LEAST_DOUBLED and at > 0 and long[at] == long[at - 1]
    return doubled or (len(short) >= _LEAST_LETTERS and 0 < at < len(short))


def _plain(label: str) -> str:
    """A label without its case, and with single spaces inside only."""
    return " ".join(label.split()).casefold()


def signs_of(label: str) -> str:
    """What of a label is neither letter nor space."""
    return "".join(sign for sign in label if not sign.isalpha() and not sign.isspace())
