"""Which labels are offered as spellings of one another, and which never."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.ingest.inspection.spellings import is_slip, spellings


def offered(*labels: str) -> set[tuple[str, str]]:
    counts = {label: 100 - at for at, label in enumerate(labels)}
    return {(spelling.written, spelling.meant) for spelling in spellings(counts)}


@pytest.mark.parametrize(
    "labels",
    [
        ("-1", "0", "1"),
        ("A+", "A", "A-", "B-", "B+"),
        ("<=50K", ">50K"),
        ("C", "C++", "C#"),
        ("class1", "class2"),
        ("type-1", "type1", "type 1"),
        ("1.0", "10"),
        ("m²", "m2"),
        ("no", "no!"),
        ("positive(+)", "positive(-)"),
        ("male", "female"),
        ("week1", "week2"),
        ("week one", "week two"),
        ("normal", "abnormal"),
        ("typical", "atypical"),
        ("left", "lefty"),
        ("class a", "class b"),
        ("grade i", "grade ii", "grade iii"),
        ("nitrate", "nitrite"),
        ("increase", "decrease"),
        ("red", "red dark"),
    ],
)
def test_signs_digits_and_punctuation_make_another_label(labels: tuple[str, ...]) -> None:
    assert offered(*labels) == set()
    rare = {label: 1000 if not at else 1 for at, label in enumerate(labels)}
    assert spellings(rare) == []


def test_case_and_spaces_are_offered() -> None:
    assert offered("ham", "HAM", " ham", "spam") == {("HAM", "ham"), (" ham", "ham")}
    assert offered("Co", "CO") == {("CO", "Co")}
    assert offered("dark  blue", "dark blue") == {("dark blue", "dark  blue")}


def test_what_is_meant_has_no_spaces_around_it() -> None:
    found = spellings({"cat ": 20, " cat": 9, "Cat": 3})
    assert {spelling.meant for spelling in found} == {"Cat"}


def test_a_rare_typo_is_offered() -> None:
    assert {(one.written, one.meant) for one in spellings({"setosa": 200, "setosaa": 1, "other": 80})} == {
        ("setosaa", "setosa")
    }


@given(st.from_regex(r"[a-z]{5,12}", fullmatch=True), st.data())
def test_slips_of_the_hand_are_told(word: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(1, len(word) - 2))
    doubled = word[:at] + word[at] + word[at:]
    missing = f"{word}x"[:at] + f"{word}x"[at + 1 :]
    assert is_slip(doubled, word) and is_slip(word, doubled)
    assert is_slip(missing, f"{word}x")
    other = chr(97 + (ord(word[at]) - 96) % 26)
    assert not is_slip(word[:at] + other + word[at + 1 :], word)
    assert not is_slip(f"un{word}", word)


@given(st.dictionaries(st.text(min_size=1, max_size=6), st.integers(1, 1000), max_size=12))
def test_whatever_is_offered_has_the_same_signs_and_digits(counts: dict[str, int]) -> None:
    for one in spellings(counts):
        assert [s for s in one.written if not s.isalpha() and not s.isspace()] == [
            s for s in one.meant if not s.isalpha() and not s.isspace()
        ]
