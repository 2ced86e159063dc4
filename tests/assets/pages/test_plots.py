"""Axes have round numbers that are told apart, and paths stay within their box."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.pages.plots import (
    HEIGHT,
    LEFT,
    POLYGONS,
    RIGHT,
    WIDTH,
    LogScale,
    line,
    round_numbers,
    shapes,
    tick_texts,
    x_scale,
    y_scale,
)


@given(low=st.floats(-1e6, 1e6), size=st.floats(1e-6, 1e7), most=st.integers(2, 8))
def test_ticks_are_round_inside_and_told_apart(low: float, size: float, most: int) -> None:
    if low + size == low:
        return
    found = round_numbers(low, low + size, most)
    assert len(found) <= 2 * most + 2
    assert all(low - 1e-6 * size <= value <= low + size * (1 + 1e-6) for value in found)
    texts = tick_texts(found)
    if size > 1e-3 * abs(low):
        assert len(set(texts)) == len(texts)


@given(values=st.lists(st.floats(allow_nan=True, allow_infinity=True, width=32), min_size=1, max_size=60))
def test_paths_hold_numbers_of_the_box_only(values: list[float]) -> None:
    ys = np.asarray(values, dtype=np.float64)
    x, y = x_scale(0, max(len(ys) - 1, 1)), y_scale(-1, 1)
    path = line(x, y, np.arange(len(ys), dtype=np.float64), ys)
    numbers = [float(part) for part in path.replace("M", " ").replace("L", " ").replace("h", " ").split()]
    assert all(math.isfinite(number) and 0 <= number <= max(WIDTH, HEIGHT) for number in numbers)


def test_ticks_of_a_narrow_range_far_from_zero_differ() -> None:
    assert tick_texts([400.0, 400.2, 400.4]) == ["400.0", "400.2", "400.4"]


@given(low=st.floats(1e-6, 1e6), ratio=st.floats(1.5, 1e9))
def test_logarithmic_axes_have_few_ticks_in_order(low: float, ratio: float) -> None:
    scale = LogScale(low, low * ratio, LEFT, WIDTH - RIGHT)
    ticks = scale.ticks()
    assert len(ticks) <= 6
    assert [tick.at for tick in ticks] == sorted(tick.at for tick in ticks)
    assert len({tick.text for tick in ticks}) == len(ticks)
    assert all(LEFT <= tick.at <= WIDTH - RIGHT for tick in ticks)
    assert ticks or ratio < 10
    assert float(scale.at(low * math.sqrt(ratio))) == pytest.approx((LEFT + WIDTH - RIGHT) / 2)
    assert float(scale.at(0.0)) == pytest.approx(LEFT)
    assert float(scale.at(math.inf)) == pytest.approx(WIDTH - RIGHT)


@pytest.mark.parametrize("kind", [*POLYGONS, "circle", "cross"])
def test_shapes_stand_around_their_places(kind: str) -> None:
    path = shapes(kind, [(50.0, 60.0), (70.0, 80.0)], 4.0)
    starts = re.findall(r"M([\d.]+) ([\d.]+)", path)
    assert len(starts) == 2
    for (x, y), (across, up) in zip(starts, [(50, 60), (70, 80)], strict=True):
        assert abs(float(x) - across) <= 8
        assert abs(float(y) - up) <= 8
    assert shapes(kind, []) == ""
