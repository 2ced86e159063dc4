"""Curves agree with scikit-learn's, and slices are guarded against chance and smallness."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import auc, average_precision_score, roc_auc_score

from assets.training.card.figures import class_figures, number_figures, precision_recall, roc, score_figures
from assets.training.card.slices import LEAST_RECORDS, Answers, by_class, by_columns, by_name
from edge.contracts import InputSpec

DRAW = np.random.default_rng(4)


@pytest.mark.parametrize("digits", [8, 1])
def test_curves_have_the_areas_of_scikit_learn(digits: int) -> None:
    positive = DRAW.uniform(size=400) < 0.3
    scores = np.round(DRAW.normal(size=400) + positive, digits)  # ties share a point
    assert auc(*roc(scores, positive)) == pytest.approx(roc_auc_score(positive, scores))
    recall, precision = precision_recall(scores, positive)
    area = float(np.sum(np.diff(np.r_[0, recall]) * precision))
    assert area == pytest.approx(average_precision_score(positive, scores))


def test_figures_of_a_class_that_was_never_met() -> None:
    y = np.zeros(30, np.int64)
    shares = np.tile([0.6, 0.3, 0.1], (30, 1))
    assert [plot.title for plot in class_figures(shares, y, ("a", "b", "c"))] == ["Calibration"]
    assert len(class_figures(shares, np.arange(30) % 2, ("a", "b", "c"))) == 3
    assert [plot.title for plot in score_figures(np.arange(5.0), np.zeros(5, bool), 2.0)] == ["Scores"]


def test_equal_numbers_can_be_drawn() -> None:
    plots = number_figures(np.full(3, 7.0), np.full(3, 7.0), "price")
    assert len(plots) == 3
    assert all(math.isfinite(tick.at) for plot in plots for tick in (*plot.x_ticks, *plot.y_ticks))


def test_a_slice_is_weak_only_beyond_chance() -> None:
    good = np.ones(400, bool)
    good[:100:2] = False  # one name is right in half of its records
    names = ["bad"] * 100 + ["fine"] * 250 + [f"small {number // 10}" for number in range(50)]
    group = by_name("By batch", Answers(good, None), names)
    assert group is not None
    assert [(one.name, one.weak) for one in group.slices] == [("bad", True), ("fine", False)]
    assert group.small == 5
    assert min(one.records for one in group.slices) >= LEAST_RECORDS
    assert by_name("By batch", Answers(good, None), ["same"] * 400) is None


def test_rare_classes_are_shown_too() -> None:
    y = np.r_[np.zeros(95, np.int64), np.ones(5, np.int64)]
    group = by_class(Answers(y == 0, None), y, ("common", "rare", "never"))
    assert group is not None
    assert [(one.name, one.records, one.values[0]) for one in group.slices] == [("rare", 5, 0.0), ("common", 95, 1.0)]


def test_columns_by_quarters_and_words() -> None:
    spec = InputSpec("table", "x", (3,), (0.0,) * 3, (1.0,) * 3, ("size", "kind", "secret"), {"kind": ("S", "L")})
    values = np.c_[np.arange(200.0), np.arange(200) % 2, np.arange(200.0)]
    errors = np.where(np.arange(200) >= 150, 9.0, 1.0)
    groups = by_columns(Answers(None, errors), spec, values, frozenset({"secret"}), lambda value: f"{value:.0f}")
    assert [group.title for group in groups] == ["By size", "By kind"]
    worst = groups[0].slices[0]
    assert (worst.name, worst.weak, worst.values) == ("149 to 199", True, pytest.approx((9.0, 9.0, 9.0), abs=0.4))
    assert {one.name for one in groups[1].slices} == {"S", "L"}
