"""Windows: never of two units, labelled by their last reading, and as many as said."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.line.model import FeaturePolicy
from assets.loading.windows import CUTS, cut_windows, ends_of, order_of
from assets.records.dataset import Split

SPLITS = st.sampled_from(["train", "validation", "test"])
POLICIES = st.builds(
    FeaturePolicy,
    steps=st.integers(1, 12),
    stride=st.integers(1, 9),
    judge=st.sampled_from(["all", "last"]),
)


@given(st.lists(st.integers(1, 40), max_size=6), SPLITS, POLICIES)
def test_no_window_crosses_units_and_all_are_in_order(lengths: list[int], split: Split, policy: FeaturePolicy) -> None:
    units = np.repeat(np.arange(len(lengths)), lengths).astype(np.int64)
    windows = cut_windows(units, split, policy)
    found = windows.readings(np.arange(len(windows)))
    assert found.shape == (len(windows), policy.steps)
    assert (units[found] == units[windows.last][:, None]).all()
    assert (found[:, -1] == windows.last).all()
    steps = np.diff(found, axis=1)
    begins = np.concatenate([[0], np.cumsum(lengths)])[units[windows.last]] if lengths else np.empty(0, np.int64)
    padded = found[:, :-1] == begins[:, None]
    assert ((steps == 1) | ((steps == 0) & padded)).all()  # consecutive, or the first one again
    assert set(units[windows.last]) == set(units)  # each unit has one at least
    assert len(set(windows.last)) == len(windows)


@given(st.integers(1, 300), SPLITS, POLICIES)
def test_ends_are_those_of_the_split(readings: int, split: Split, policy: FeaturePolicy) -> None:
    ends = ends_of(readings, split, policy)
    full = min(policy.steps, readings) - 1
    assert ends[-1] == readings - 1  # the newest reading is always seen
    assert ends[0] >= full
    assert (np.diff(ends) > 0).all()
    if split == "train":
        assert (np.diff(ends) == policy.stride).all()
        assert ends[0] - policy.stride < full
    elif policy.judge == "all":
        assert len(ends) == readings - full
    elif split == "test":
        assert len(ends) == 1
    else:
        assert len(ends) == min(CUTS, readings - full)
        assert ends[0] == full


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(-5, 5)), max_size=40))
def test_readings_are_put_in_order(readings: list[tuple[int, float]]) -> None:
    units = np.asarray([unit for unit, _ in readings], dtype=np.int64)
    times = np.asarray([time for _, time in readings])
    order = order_of(units, times)
    assert [readings[at] for at in order] == sorted(readings, key=lambda reading: reading)


def test_there_are_no_windows_of_no_readings() -> None:
    assert len(cut_windows(np.empty(0, dtype=np.int64), "train", FeaturePolicy())) == 0


@pytest.mark.parametrize(
    ("split", "features", "expected"),
    [
        ("train", {"steps": 3, "stride": 1}, [2, 3, 4, 5, 6]),
        ("train", {"steps": 3, "stride": 3}, [3, 6]),
        ("train", {"steps": 9}, [6]),
        ("test", {"steps": 3, "stride": 3}, [2, 3, 4, 5, 6]),
        ("test", {"steps": 3, "judge": "last"}, [6]),
        ("validation", {"steps": 3, "judge": "last"}, [2, 3, 4, 5, 6]),
    ],
)
def test_which_readings_end_a_window(split: Split, features: dict[str, Any], expected: list[int]) -> None:
    np.testing.assert_array_equal(ends_of(7, split, FeaturePolicy(**features)), expected)
