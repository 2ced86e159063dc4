"""The scan for personal data: what it finds, what it leaves alone, and that it never repeats a value."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.quality.checks.pii import find_pii, found_in, iban, luhn


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("write to ann.lee+x@mail.example.com, please", "email"),
        ("call +44 20 7946 0958 now", "phone"),
        ("call 0049-171-1234567", "phone"),
        ("call (020) 7946 0958", "phone"),
        ("pay to DE89 3704 0044 0532 0130 00", "iban"),
        ("pay to gb82west12345698765432.", "iban"),
        ("card 4111 1111 1111 1111", "card"),
        ("card 5500005555555559;", "card"),
        ("from 192.168.17.4:8080", "ip address"),
        ("from 2001:db8::ff00:42:8329", "ip address"),
        ("customer 90210448812", "long number"),
    ],
)
def test_what_is_found(text: str, kind: str) -> None:
    assert [found for found, _ in found_in(text)] == [kind]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a@b",
        "me @ home",
        "12.5 kg and 3.14159265358979",
        "1.2.3",
        "999.999.999.999",
        "version 0.0.0.0",
        "2026-03-14 12:30:59",
        "14.03.2026",
        "at 12:30:59",
        "5500005555555550",
        "DE00 3704 0044 0532 0130 00",
        "1,000,000 rows",
        "aa::bb is C++",
        "123 45",
        "000000000000",
    ],
)
def test_what_is_left_alone(text: str) -> None:
    assert [kind for kind, _ in found_in(text) if kind != "long number"] == []


def test_check_digits() -> None:
    assert luhn("4242 4242 4242 4242")
    assert not luhn("4242 4242 4242 4241")
    assert not luhn("0000 0000 0000 0000")
    assert iban("FR14 2004 1010 0505 0001 3M02 606")
    assert not iban("FR14 2004 1010 0505 0001 3M02 607")


def test_columns_counts_and_masks(make_spool: Any) -> None:
    texts = ["hello", "ann@mail.example.com and +44 20 7946 0958", None, "bob@mail.example.com"]
    spool = make_spool(4, chunk=2, file=["a.txt#1", "ann.lee@x.org/b.txt#2", "c#3", "d#4"], facts={"text": texts})
    found = find_pii(spool)
    assert list(found.columns["_pii"]) == [None, "email, phone", None, "email"]
    summaries = [finding for finding in found.findings if finding.score > 0]
    assert {(finding.other, finding.row, finding.score) for finding in summaries} == {
        ("text", 1, 0.5),
        ("text", 1, 0.25),
        ("_file", 1, 0.25),
    }
    everything = repr(found.findings)
    for value in ("ann", "bob", "7946", "mail.example"):
        assert value not in everything


def test_numbers_that_are_cards_and_numbers_that_are_not(make_spool: Any) -> None:
    def card(stem: int) -> float:
        return next(float(f"{stem}{digit}") for digit in range(10) if luhn(f"{stem}{digit}"))

    cards = [card(411111111111010 + row * 37) for row in range(60)]
    times = [1.7e12 + row * 1013 for row in range(60)]
    found = find_pii(make_spool(60, facts={"n": cards, "ms": times, "small": [1.5] * 60}))
    assert [finding.other for finding in found.findings if finding.score > 0] == ["n"]


def test_nothing_and_nulls(make_spool: Any) -> None:
    for rows in (0, 1, 3):
        found = find_pii(make_spool(rows, file=["f"] * rows, label=["x@y.com"] * rows))
        assert not found.findings
        assert list(found.columns["_pii"]) == [None] * rows


@pytest.mark.parametrize(
    "unit", ["a@", "1.", "1:", "1 ", "+1-", "a.", "A1", "aa11 ", "1111 ", "(1)", "1-1.1/", "a@a.", "::", "0"]
)
def test_hostile_texts_take_no_time(unit: str) -> None:
    text = unit * (300_000 // len(unit))
    started = time.process_time()
    for _ in found_in(text):
        pass
    for _ in found_in("+" + text + "x"):
        pass
    assert time.process_time() - started < 20  # a hundredth; an expression that looks back takes minutes


@given(st.text(max_size=200))
def test_any_text_is_scanned(text: str) -> None:
    for kind, value in found_in(text):
        assert kind
        assert value in text
