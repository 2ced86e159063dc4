"""Intervals against published numbers, and the bootstrap against what theory says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.evaluation import intervals
from assets.evaluation.intervals import Interval, Numbers, Weighted


def test_wilson_matches_the_textbook() -> None:
    # Newcombe 1998 (Statistics in Medicine 17:857-872), table I: 81 of 263 and 0 of 20.
    share = intervals.wilson(81, 263)
    assert (round(share.low, 4), round(share.high, 4)) == (0.2553, 0.3662)
    none = intervals.wilson(0, 20)
    assert (none.low, round(none.high, 4)) == (0.0, 0.1611)


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_its_share(counts: tuple[int, int]) -> None:
    interval = intervals.wilson(*counts)
    assert 0 <= interval.low <= interval.value <= interval.high <= 1
    assert interval.high - interval.low > 0


@pytest.mark.parametrize(("good", "records"), [(1, 0), (-1, 5), (6, 5)])
def test_wilson_refuses_what_is_no_share(good: int, records: int) -> None:
    with pytest.raises(ValueError, match="not a share"):
        intervals.wilson(good, records)


def test_paired_difference_matches_newcombe() -> None:
    # Newcombe 1998 (Statistics in Medicine 17:2635-2650), the 50 pairs with cells 20, 12, 2, 16, method 10.
    first = np.repeat([True, True, False, False], [20, 12, 2, 16])
    second = np.repeat([True, False, True, False], [20, 12, 2, 16])
    interval = intervals.paired_difference(first, second)
    assert interval.value == pytest.approx(0.2)
    assert (round(interval.low, 4), round(interval.high, 4)) == (0.0562, 0.3292)


def test_paired_difference_of_equal_models_is_not_certain() -> None:
    answers = np.ones(300, dtype=bool)
    interval = intervals.paired_difference(answers, answers)
    assert interval.value == 0
    assert interval.low < 0 < interval.high


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=200))
def test_paired_difference_is_antisymmetric(pairs: list[tuple[bool, bool]]) -> None:
    first, second = np.array(pairs).T
    there, back = intervals.paired_difference(first, second), intervals.paired_difference(second, first)
    assert there.low <= there.value <= there.high
    assert (there.value, there.low, there.high) == pytest.approx((-back.value, -back.high, -back.low))


def test_paired_difference_refuses_other_records() -> None:
    with pytest.raises(ValueError, match="same records"):
        intervals.paired_difference(np.ones(3, dtype=bool), np.ones(4, dtype=bool))


def _mean_of(values: Numbers) -> list[Interval]:
    def prepare(rows: np.ndarray) -> Weighted:
        return lambda weights: (values[rows] @ weights / weights.sum(axis=0))[None]

    return list(intervals.bootstrap(prepare, len(values)))


@pytest.mark.parametrize("records", [400, 40_000])
def test_the_bootstrap_of_a_mean_is_its_standard_error(records: int) -> None:
    values = np.random.default_rng(0).normal(3, 2, records)
    (one,) = _mean_of(values)
    expected = intervals.Z95 * 2 / records**0.5
    assert one.value == pytest.approx(values.mean())
    assert one.high - one.value == pytest.approx(expected, rel=0.15)
    assert one.value - one.low == pytest.approx(expected, rel=0.15)
    assert _mean_of(values) == [one]


def test_records_of_one_group_are_drawn_together() -> None:
    values = np.repeat(np.random.default_rng(0).normal(size=50), 20)
    groups = np.repeat(np.arange(50), 20)

    def prepare(rows: np.ndarray) -> Weighted:
        return lambda weights: (values[rows] @ weights / weights.sum(axis=0))[None]

    (alone,), (together,) = intervals.bootstrap(prepare, 1000), intervals.bootstrap(prepare, 1000, groups=groups)
    ratio = (together.high - together.low) / (alone.high - alone.low)
    assert ratio == pytest.approx(20**0.5, rel=0.2)


def test_nothing_has_no_interval() -> None:
    with pytest.raises(ValueError, match="no record"):
        intervals.bootstrap(lambda rows: lambda weights: weights, 0)
