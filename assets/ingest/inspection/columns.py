"""What each column of a file's first rows seems to hold, by its cells and its name."""

from __future__ import annotations

import datetime
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from assets.ingest.inspection.first_rows import Rows
from assets.ingest.inspection.targets import names_things
from assets.readers.cells import number

Kind = Literal["number", "category", "text", "time", "identifier", "measure", "constant", "empty"]
"""`measure`: numbers with a sign, `45%`, `12 mm` or `$ 3`, which no column of numbers may have."""
MAX_WORDS = 50
_MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "-", "?"})
_NUMBERINGS = re.compile(r"^(unnamed: \d+|index|idx|row|no|nr|#|uid|udi|id)$|[\W_](id|idx|index|nr|no)$", re.I)
_UNNAMED = re.compile(r"unnamed: \d+|", re.I)
_FEW = 20
"""Columns with no more values than this name nothing."""
_SIZES = 5
_MEASURE = re.compile(
    r"(?P<before>[$€£¥]|EUR|USD|GBP|CHF|JPY|)\s*[+-]?\d+([., '\u00a0]?\d+)*([eE][+-]?\d+)?\s*"
    r"(?P<after>[%‰$€£¥]|[°µμ]?[A-Za-zΩ]{1,8}[²³23]?(/[A-Za-z]{1,4}[²³23]?)?|°|)"
)


@dataclass(frozen=True)
class Column:
    """A column of the rows that were looked at.

    Attributes:
        words: value to how often it occurs, of the first ones.
        missing: share of cells without a value.
        marks: of a category: words that usually say that there is no value (?, NA), as they are written. The reader
            takes them for words, so they are not missing.
    """

    name: str
    kind: Kind
    words: dict[str, int] = field(default_factory=dict)
    missing: float = 0.0
    example: str = ""
    marks: dict[str, int] = field(default_factory=dict)


def columns_of(rows: Rows) -> list[Column]:
    """What each column seems to hold."""
    return [_column(name, [row[index] for row in rows.cells]) for index, name in enumerate(rows.names)]


def _column(name: str, written: list[str]) -> Column:
    cells = [cell.strip() for cell in written]
    values = [cell for cell in cells if cell.lower() not in _MISSING]
    common = Counter(cell for cell in cells if cell).most_common(1)
    if common and common[0][0].lower() in _MISSING and not all(number(cell)[1] is None for cell in values):
        values = [cell for cell in cells if cell]  # the commonest word of a column is a word: NA may be a country
    missing = 1 - len(values) / max(1, len(cells))
    if not values:
        return Column(name, "empty", {}, missing)
    words = Counter(values)
    top = dict(words.most_common(MAX_WORDS + 1))
    numeric = sum(number(value)[1] is None for value in words) / len(words)
    example = values[0][:60]
    kind = _kind(name, values, words, numeric)
    if kind != "category":
        return Column(name, kind, top, missing, example)
    kept, exact = (
        set(values),
        Counter(cell for cell in written if cell.strip()),
    )  # what is proposed reads the very cells
    top = dict(Counter({cell: n for cell, n in exact.items() if cell.strip() in kept}).most_common(MAX_WORDS + 1))
    marks = {cell: times for cell, times in exact.items() if cell.strip() not in kept}
    return Column(name, kind, top, sum(not cell for cell in cells) / len(cells), example, marks)


def _kind(name: str, values: list[str], words: Counter[str], numeric: float) -> Kind:
    count = len(values)
    if len(words) == 1 and count > 1:
        return "constant"
    if numeric >= 0.95:
        return "identifier" if _numbers_rows(name, values, words) else "number"
    if is_measure(words):
        return "measure"
    return "identifier" if repeats_by_name(name, words) else _kind_of_words(values, words)


def is_measure(words: Mapping[str, int]) -> bool:
    """Whether words are numbers that have one and the same sign, a unit or a currency: 45%, 12 mm, $ 3.

    A few of them (10mm, 20mm) are sizes to choose from: words like others.
    """
    found = [_MEASURE.fullmatch(word) for word in words]
    signs = {(match["before"], match["after"]) for match in found if match is not None}
    return len(words) > _SIZES and None not in found and len(signs) == 1 and signs != {("", "")}


def _kind_of_words(values: list[str], words: Counter[str]) -> Kind:
    count = len(values)
    if sum(_is_time(value) for value in values[:200]) >= 0.95 * min(count, 200):
        return "time"
    length = sum(map(len, values)) / count
    spaces = sum(" " in value for value in values) / count
    if len(words) <= MAX_WORDS and (len(words) <= 0.5 * count or count < 20) and length < 40:
        return "category"
    if length >= 15 and spaces > 0.5:
        return "text"
    return "identifier" if len(words) > 0.9 * count else "text" if spaces > 0.5 else "category"


def _numbers_rows(name: str, values: list[str], words: Counter[str]) -> bool:
    """Whether whole numbers number or name the rows: each comes once and hardly one is left out, or a name says so."""
    if len(values) <= _FEW or not all(re.fullmatch(r"\d+(\.0*)?", value) for value in words):
        return False
    if _UNNAMED.fullmatch(name) or repeats_by_name(name, words):
        return True
    numbers = {int(value.partition(".")[0][:18]) for value in words}
    once = len(numbers) == len(values)
    return once and (max(numbers) - min(numbers) < 1.05 * len(numbers) or _NUMBERINGS.search(name) is not None)


def repeats_by_name(name: str, words: Mapping[str, int]) -> bool:
    """Whether a column names things that come more than once, as `customer_id` does: by its name, and many words."""
    return len(words) > _FEW and names_things(name)


def _is_time(value: str) -> bool:
    if len(value) < 8 or len(value) > 40:
        return False
    try:
        datetime.datetime.fromisoformat(value)
    except ValueError:
        return False
    return True
