"""A scan that warns where data looks personal: it finds what has a form, no names; its output never repeats a value.

Every pattern is first asked of whole columns by RE2 (through pyarrow), which takes time linear in the text; only cells
that match are looked at again, their first `MAX_CHARS` characters.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from assets.quality.checks.columns import MAX_FINDINGS
from assets.quality.checks.derived import Derived
from assets.quality.spool import Spool
from assets.records.verdict import Finding

MAX_CHARS = 20_000


def find_pii(spool: Spool, hidden: frozenset[str] = frozenset()) -> Derived:
    """Look for e-mail addresses, phone numbers, IBANs, cards, IP addresses and long digit ids in every text column.

    Texts, categories, file names and the notes of cells that are no number are read; numbers are not, except columns
    whose values pass the check digit of cards.

    Args:
        hidden: columns of which no example is given.

    Returns:
        `_pii`: the kinds found in the record, e.g. "email, phone", else None. Findings "pii", one for each column and
        kind: `row` the first record, `other` the column, `score` the share of records, `detail` counts and one masked
        example; then up to 1,000 single records of each.
    """
    marks = np.full(spool.rows, None, dtype=object)
    tallies: dict[tuple[str, str], _Tally] = {}
    names = [field.name for field in spool.schema if pa.types.is_string(field.type) and field.name not in _UNREAD]
    cards = [field.name for field in spool.schema if pa.types.is_floating(field.type) and field.name != "_time"]
    for start, table in spool.chunks([*names, *cards]) if names or cards else ():
        for name in names:
            _scan(start, name, table.column(name), marks, tallies)
        for name in cards:
            _scan_numbers(start, name, table.column(name), tallies)
    return Derived({"_pii": marks}, tuple(_findings(tallies, spool.rows, hidden))[:MAX_FINDINGS])


_UNREAD = frozenset({"_label", "_split", "mode", "format"})


@dataclass
class _Tally:
    """Where a kind was found in one column."""

    count: int
    example: str
    rows: list[int]


@dataclass(frozen=True)
class _Kind:
    """A form of personal data.

    Attributes:
        quick: RE2 pattern that every cell with such a value matches.
        exact: pattern of one value; it has no nested repetition, so it takes linear time.
        holds: whether a match is one, by its check digits or its form.
    """

    name: str
    quick: str
    exact: re.Pattern[str]
    holds: Callable[[str], bool]


def luhn(text: str) -> bool:
    """Whether the digits of a text pass the check of payment cards: 13 to 19 digits, known first ones, check digit."""
    digits = [int(char) for char in text if char.isdigit()]
    if not 13 <= len(digits) <= 19 or digits[0] not in {2, 3, 4, 5, 6} or len(set(digits)) < 2:
        return False
    doubled = [digit * 2 - 9 * (digit > 4) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def iban(text: str) -> bool:
    """Whether a text is an IBAN: 15 to 34 letters and digits whose value modulo 97 is 1."""
    packed = re.sub(r"[ -]", "", text).upper()
    if not 15 <= len(packed) <= 34 or not packed.isascii():
        return False
    return int("".join(str(int(char, 36)) for char in packed[4:] + packed[:4])) % 97 == 1


def _address(text: str) -> bool:
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return False
    if found.version == 6 and (len(text) < 7 or not any(char.isdigit() for char in text)):
        return False  # a::b is an address by the letter, and a word in a program
    return not (found.is_unspecified or found.is_loopback)  # 0.0.0.0 and ::1 are nobody's


def _phone(text: str) -> bool:
    digits = [char for char in text if char.isdigit()]
    if len(set(digits)) < 3 or _DATE.fullmatch(text):
        return False
    if re.match(r"(?:\+|00)[1-9(]", text):
        return 8 <= len(digits) <= 16
    return 9 <= len(digits) <= 11 and bool(re.search(r"[ ./()-]", text))


_KINDS = (
    _Kind(
        "email",
        r"[A-Za-z0-9]@[A-Za-z0-9]",
        re.compile(r"(?<![\w.+%-])[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}(?![\w@])"),
        lambda text: True,
    ),
    _Kind(
        "iban",
        r"(?i)\b[A-Z]{2}[0-9]{2}[ -]?[A-Z0-9]{4}",
        re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}[0-9]{2}(?:[ -]?[A-Za-z0-9]){11,30}(?![A-Za-z0-9])"),
        iban,
    ),
    _Kind(
        "card",
        r"[2-6][0-9]{3}[ -]?[0-9]{4}",
        re.compile(r"(?<![0-9.-])[2-6][0-9]{3}(?:[ -]?[0-9]){9,15}(?![0-9])"),
        luhn,
    ),
    _Kind(
        "ip address",
        r"[0-9]\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]|[0-9A-Fa-f]:[0-9A-Fa-f]{0,4}:",
        re.compile(
            r"(?<![\w.:])(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?!\w|\.\d)|"
            r"[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?![\w:]|\.\d))"
        ),
        _address,
    ),
    _Kind(
        "phone",
        r"(?:\+|\b00)[1-9][0-9 ()./-]{6}|[0-9][ ./()-]+[0-9]{2}",
        re.compile(r"(?<![\w.+/-])(?<![0-9] )(?:\+|00)?\(?[0-9](?:[ ./()-]{0,2}[0-9]){7,14}(?![\w/-]|\.\d)"),
        _phone,
    ),
    _Kind(
        "long number",
        r"[0-9]{9}",
        re.compile(r"(?<![\w.+-])[0-9]{9,20}(?![\w-]|\.\d)"),
        lambda text: len(set(text)) > 2,
    ),
)
_DATE = re.compile(r"(?:\d{4}[./-]\d{1,2}[./-]\d{1,2}|\d{1,2}[./-]\d{1,2}[./-]\d{4})(?:[ T./-]\d{1,2}){0,3}")


def found_in(text: str) -> Iterator[tuple[str, str]]:
    """Kind and value of all that looks personal in a text; each stretch counts for one kind only."""
    rest = text[:MAX_CHARS]
    for kind in _KINDS:
        spans = [match.span() for match in kind.exact.finditer(rest) if kind.holds(match.group())]
        for start, stop in spans:
            yield kind.name, rest[start:stop]
        for start, stop in reversed(spans):
            rest = f"{rest[:start]}{' ' * (stop - start)}{rest[stop:]}"


def masked(kind: str, value: str) -> str:
    """What may be shown of a value: its form, none of its letters and digits but the first."""
    if kind == "email":
        return f"{value[0]}***@***"
    return value[0] + "".join("*" if char.isalnum() else char for char in value[1:])[:40]


def _scan(
    start: int, name: str, column: pa.ChunkedArray, marks: np.ndarray, tallies: dict[tuple[str, str], _Tally]
) -> None:
    column = column.combine_chunks()
    quick = "|".join(f"(?:{kind.quick})" for kind in _KINDS)
    hits = np.flatnonzero(np.asarray(pc.fill_null(pc.match_substring_regex(column, quick), False), dtype=bool))
    for place, text in zip(hits.tolist(), column.take(pa.array(hits)).to_pylist(), strict=True):
        row = start + place
        kinds: dict[str, str] = {}
        for kind, value in found_in(_leaf(text) if name == "_file" else text):
            kinds.setdefault(kind, value)
        for kind, value in kinds.items():
            if name == "_file" and kind in {"long number", "phone"}:
                continue  # file names are full of counters and times
            tally = tallies.setdefault((name, kind), _Tally(0, masked(kind, value), []))
            tally.count += 1
            if len(tally.rows) < 1000:
                tally.rows.append(row)
            marks[row] = kind if marks[row] is None else marks[row] if kind in marks[row] else f"{marks[row]}, {kind}"


def _leaf(path: str) -> str:
    return path.split("#", maxsplit=1)[0]


def _scan_numbers(start: int, name: str, column: pa.ChunkedArray, tallies: dict[tuple[str, str], _Tally]) -> None:
    """A numeric column of which nine in ten of some values pass the check digit of cards (one in ten would by luck)."""
    values = column.cast(pa.float64()).to_numpy()
    with np.errstate(invalid="ignore"):
        large = np.flatnonzero((values >= 1e12) & (values < 2**53))
    if large.size < max(10, len(values) // 2):
        return
    some = large[:: max(1, large.size // 200)][:200]
    passed = [bool(luhn(str(int(values[place])))) for place in some.tolist()]
    if sum(passed) >= 0.9 * len(passed):
        tally = tallies.setdefault((name, "card"), _Tally(0, "*" * 16, []))
        tally.count += int(large.size)
        tally.rows.extend((start + some[:10]).tolist())


def _findings(tallies: Mapping[tuple[str, str], _Tally], rows: int, hidden: frozenset[str]) -> Iterator[Finding]:
    ranked = sorted(tallies.items(), key=lambda item: -item[1].count)
    for (name, kind), tally in ranked:
        where = _PLACES.get(name, f"column {name}")
        detail = f"{where}: {tally.count:,} of {rows:,} records hold what looks like {_ARTICLES[kind]}"
        if name not in hidden:
            detail += f", as {tally.example}"
        yield Finding("pii", tally.rows[0], name, -1, tally.count / max(rows, 1), detail)
    for (name, kind), tally in ranked:
        for row in tally.rows[1:]:
            yield Finding("pii", row, name, -1, 0.0, f"{_PLACES.get(name, f'column {name}')}: {_ARTICLES[kind]}")


_PLACES = {"_file": "file names", "_notes": "cells that are no number", "_group": "the group column", "text": "texts"}
_ARTICLES = {
    "email": "an e-mail address",
    "iban": "an IBAN",
    "card": "a payment card",
    "ip address": "an IP address",
    "phone": "a phone number",
    "long number": "a long number (an id or a phone number)",
}
