"""Ids are found exactly, also those that begin alike."""

from __future__ import annotations

import hashlib

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.review.lookup import Lookup

ALIKE = "00112233445566ff"
IDS = [hashlib.sha256(bytes([n])).hexdigest() for n in range(20)] + [ALIKE + f"{n:048x}" for n in range(5)]


@given(st.lists(st.sampled_from(IDS), unique=True), st.lists(st.sampled_from(IDS)), st.integers(0, 3))
def test_it_finds_what_a_dictionary_finds(known: list[str], asked: list[str], chunks: int) -> None:
    expected = {identity: at for at, identity in enumerate(known)}
    column = pa.chunked_array([pa.array(asked[:chunks], pa.string()), pa.array(asked[chunks:], pa.string())])
    lookup = Lookup(pa.array(known, pa.string()))
    assert lookup.find(column).tolist() == [expected.get(identity, -1) for identity in asked]
    assert lookup.find(column.slice(1)).tolist() == [expected.get(identity, -1) for identity in asked[1:]]


@pytest.mark.parametrize("text", ["", "zz" * 32, "AB" * 32, "ab" * 33])
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="64 hex digits"):
        Lookup(pa.array([text]))
