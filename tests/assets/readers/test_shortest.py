"""Floats of 32 and 16 bits as they are written."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from assets.readers.shortest import shortest_decimals


@given(arrays(np.float32, st.integers(0, 20), elements=st.floats(width=32, allow_nan=False, allow_infinity=False)))
def test_a_float32_is_the_number_that_its_text_says(floats: np.ndarray[tuple[int], np.dtype[np.float32]]) -> None:
    assert shortest_decimals(floats).tolist() == [float(str(value)) for value in floats]


@given(st.lists(st.decimals(-10_000, 10_000, places=2, allow_nan=False), max_size=20))
def test_decimals_of_seven_digits_come_back(written: list[object]) -> None:
    given_ = [float(str(value)) for value in written]
    assert shortest_decimals(np.asarray(given_, dtype=np.float32)).tolist() == given_


def test_every_float16() -> None:
    floats = np.arange(2**16, dtype=np.uint16).view(np.float16)
    floats = floats[np.isfinite(floats)]
    assert shortest_decimals(floats).tolist() == [float(str(value)) for value in floats]


def test_what_is_no_number_stays() -> None:
    found = shortest_decimals(np.asarray([np.nan, np.inf, -np.inf], dtype=np.float32))
    np.testing.assert_array_equal(found, [np.nan, np.inf, -np.inf])
