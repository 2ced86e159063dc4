"""Metrics, losses and golden records of numbers: against scikit-learn, whatever the order of the records."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics as reference
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from assets.errors import RejectedError
from assets.line.training import TrainingPolicy
from assets.tasks import number_golden, number_losses, number_metrics
from assets.tasks.task import load_task

score = load_task("tabular_regression").score


@st.composite
def answered(draw: st.DrawFn) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    records = draw(st.integers(2, 60))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    y = rng.normal(draw(st.sampled_from([0.0, 1e4])), 10, records)
    return (y + rng.normal(0, draw(st.sampled_from([0.1, 30.0])), records)).astype(np.float32)[:, None], y


@given(answered(), st.integers(0, 1000))
def test_metrics_are_scikit_learns_in_any_order(
    case: tuple[NDArray[np.float32], NDArray[np.float64]], seed: int
) -> None:
    outputs, y = case
    flat = outputs[:, 0].astype(np.float64)
    turned = np.random.default_rng(seed).permutation(len(y))
    expected = {
        "rmse": reference.root_mean_squared_error(y, flat),
        "mae": reference.mean_absolute_error(y, flat),
        "r2": reference.r2_score(y, flat),
        "bias": float(np.mean(flat - y)),
    }
    for name, value in expected.items():
        assert score(name, outputs, y) == pytest.approx(value, rel=1e-6, abs=1e-9)
        assert score(name, outputs[turned], y[turned]) == pytest.approx(value, rel=1e-6, abs=1e-9)
    for metric in number_metrics.metrics("test", outputs, y, ()):
        assert metric.low is not None
        assert metric.high is not None
        assert metric.low <= metric.value <= metric.high


def test_labels_without_spread_have_a_finite_r2() -> None:
    y = np.full(4, 0.1)
    assert score("r2", np.full((4, 1), 0.2, dtype=np.float32), y) == 0
    assert score("r2", np.full((4, 1), 3, dtype=np.float32), np.full(4, 3.0)) == 1


def test_the_interval_of_the_error_covers_the_true_one() -> None:
    rng, covered = np.random.default_rng(1), 0
    for _ in range(40):
        y = rng.normal(size=300)
        outputs = (y + rng.normal(0, 2, 300)).astype(np.float32)[:, None]
        rmse = number_metrics.metrics("test", outputs, y, ())[0]
        assert rmse.low is not None
        assert rmse.high is not None
        covered += rmse.low <= 2 <= rmse.high
    assert covered >= 34


def test_the_baseline_is_the_mean_of_what_was_learned_from() -> None:
    y = np.array([1.0, 3.0])
    naive = number_metrics.baseline(np.array([1.0, 2.0, 3.0]), y, ())
    assert score("r2", naive, y) == pytest.approx(0)
    with pytest.raises(RejectedError, match="2 of 2 records"):
        score("rmse", naive * np.float32("nan"), y)


def test_losses_are_in_the_spread_of_the_labels() -> None:
    y = np.array([100.0, 300.0])  # spread 100
    targets = torch.tensor([100.0, 300.0])
    outputs = torch.tensor([[150.0], [600.0]])  # 0.5 and 3 off
    expected = {"mse": (0.25 + 9) / 2, "mae": 3.5 / 2, "huber": (0.125 + 2.5) / 2}
    for name, value in expected.items():
        objective = number_losses.objective(TrainingPolicy(loss=name), y, 0)
        assert float(objective(outputs, targets, outputs)) == pytest.approx(value)
    even = number_losses.objective(TrainingPolicy(), np.array([2.0, 2.0]), 0)
    assert float(even(outputs, targets, outputs)) == pytest.approx((50**2 + 300**2) / 2)


def test_golden_records_span_the_numbers() -> None:
    y = np.arange(100.0)
    picked = number_golden.pick([f"{at:03d}" for at in range(100)], [1] * 100, y, (), 5)
    assert picked == [0, 20, 40, 60, 80]


def test_agreement_is_a_share_of_the_range() -> None:
    expected = np.array([[0.0], [100.0]], dtype=np.float32)
    moved = np.array([[4.9], [105.1]], dtype=np.float32)
    assert number_golden.agrees(expected, moved).tolist() == [True, False]
    assert number_golden.agrees(expected[1:], np.array([[104.0]], dtype=np.float32)).tolist() == [True]
    assert number_golden.agrees(expected[:1], np.array([[0.01]], dtype=np.float32)).tolist() == [True]
