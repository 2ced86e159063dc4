"""A stored input in a later form: by the names of columns, by words, or refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.errors import RejectedError
from assets.records.carry_over import carry_over


def form(*columns: str, **more: Any) -> dict[str, Any]:
    return {"section": "table", "target": "kind", "columns": list(columns), "classes": ["yes", "no"], **more}


def row(*values: float) -> bytes:
    return np.asarray(values, dtype="<f8").tobytes()


COLORS = ["red", "green", "blue"]
NAMES = [f"column {number}" for number in range(6)]


@given(st.permutations(NAMES), st.data())
def test_columns_are_carried_by_their_names(old: list[str], data: st.DataObject) -> None:
    new = data.draw(st.lists(st.sampled_from(old), min_size=1, unique=True))
    values = dict(zip(old, data.draw(st.lists(st.floats(), min_size=6, max_size=6)), strict=True))
    carried = carry_over(form(*old), form(*new))(row(*values.values()))
    assert carried == row(*(values[name] for name in new))


@given(
    st.permutations(["red", "green", "blue"]), st.sets(st.sampled_from(["red", "green", "blue", "grey"]), min_size=2)
)
def test_words_are_carried_as_words(old: list[str], kept: set[str]) -> None:
    new = sorted(kept)
    carry = carry_over(form("a", "b", categories={"b": old}), form("b", categories={"b": new}))
    for place, word in enumerate(old):
        (value,) = np.frombuffer(carry(row(0.5, place)), dtype="<f8")
        assert (math.isnan(value) and word not in new) or new[int(value)] == word
    assert math.isnan(np.frombuffer(carry(row(0.5, math.nan)), dtype="<f8")[0])


def test_a_word_that_went_is_the_word_for_all_others() -> None:
    before = form("b", categories={"b": ["red", "green"]})
    now = form("b", categories={"b": ["red", "rest"]}, other={"b": "rest"})
    assert carry_over(before, now)(row(1)) == row(1)
    assert carry_over(before, now)(row(0)) == row(0)


@pytest.mark.parametrize(
    ("now", "why"),
    [
        (form("a", "b"), "column 'b' was added"),
        (form("a", categories={"a": ["x", "y"]}), "column 'a' holds something else"),
        (form("a", target="sort"), "`target` was 'kind' and is 'sort'"),
        (form("a", group="g"), "`group` was not set and is 'g'"),
    ],
)
def test_what_nothing_stored_says_is_refused(now: dict[str, Any], why: str) -> None:
    with pytest.raises(RejectedError, match=f"before .*{why}.*; correct it again where it is held"):
        carry_over(form("a"), now)


def test_an_input_of_another_width_is_refused() -> None:
    with pytest.raises(RejectedError, match="it has 8 bytes, 2 columns are 16; make it anew"):
        carry_over(form("a", "b"), form("a"))(row(1))


def test_an_input_that_is_no_row_stays() -> None:
    pictures = {"section": "image", "classes": ["cat", "dog"], "aliases": {}}
    assert carry_over(pictures, {**pictures, "classes": ["cat"]})(b"\x89PNG") == b"\x89PNG"
