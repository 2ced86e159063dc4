"""Metrics and losses of classes: against scikit-learn and torch, in bounds, whatever the order of the records."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sklearn.metrics as reference
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch.nn import functional

from assets.errors import RejectedError
from assets.line.training import TrainingPolicy
from assets.tasks import class_losses, class_metrics
from assets.tasks.task import load_task

score = load_task("image_classification").score

CLASSES = tuple("abcdefgh")


@st.composite
def answered(draw: st.DrawFn, least: int = 2, most: int = 5) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Logits, often tied, and labels, some of which may be missing."""
    classes, records = draw(st.integers(least, most)), draw(st.integers(1, 60))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    outputs = np.round(rng.normal(size=(records, classes)), draw(st.integers(0, 3))).astype(np.float32)
    return outputs, rng.integers(0, classes, records)


def test_macro_f1_weighs_rare_classes_as_much_as_common_ones() -> None:
    outputs = np.zeros((10, 3), dtype=np.float32)
    outputs[:, 0] = 1  # always class 0; class 2 is neither true nor answered
    assert score("macro_f1", outputs, np.array([0] * 9 + [1])) == pytest.approx((18 / 19 + 0) / 2)


@given(answered())
@settings(max_examples=40)
def test_counted_metrics_are_scikit_learns(case: tuple[NDArray[np.float32], NDArray[np.int64]]) -> None:
    outputs, y = case
    answers, classes = outputs.argmax(axis=1), outputs.shape[1]
    average = {"average": "macro", "zero_division": 0.0}
    ours = {name: score(name, outputs, y) for name in ("accuracy", "macro_f1", "precision", "recall", "f1")}
    assert ours["accuracy"] == pytest.approx(reference.accuracy_score(y, answers))
    assert ours["macro_f1"] == pytest.approx(reference.f1_score(y, answers, **average))
    if classes == 2:
        average = {"average": "binary", "zero_division": 0.0, "pos_label": 1}
    assert ours["precision"] == pytest.approx(reference.precision_score(y, answers, **average))
    assert ours["f1"] == pytest.approx(reference.f1_score(y, answers, **average))
    if classes == 2:
        assert ours["recall"] == pytest.approx(reference.recall_score(y, answers, **average))
    else:
        true = np.unique(y)  # a class without records has no recall
        assert ours["recall"] == pytest.approx(reference.recall_score(y, answers, labels=true, **average))


@given(answered())
@settings(max_examples=40)
def test_areas_and_log_loss_are_scikit_learns(case: tuple[NDArray[np.float32], NDArray[np.int64]]) -> None:
    outputs, y = case
    shares = class_metrics.probabilities(outputs)
    one = np.arange(outputs.shape[1])[None, :] == y[:, None]
    columns = [1] if outputs.shape[1] == 2 else range(outputs.shape[1])
    rocs = [reference.roc_auc_score(one[:, at], shares[:, at]) for at in columns if 0 < one[:, at].sum() < len(y)]
    areas = [reference.average_precision_score(one[:, at], shares[:, at]) for at in columns if one[:, at].any()]
    assert score("roc_auc", outputs, y) == pytest.approx(np.mean(rocs) if rocs else 0.5)
    assert score("pr_auc", outputs, y) == pytest.approx(np.mean(areas) if areas else 0.0)
    expected = reference.log_loss(y, shares, labels=np.arange(outputs.shape[1]))
    assert score("log_loss", outputs, y) == pytest.approx(expected)


@given(answered(), st.integers(0, 1000))
def test_no_metric_depends_on_the_order_and_all_are_in_bounds(
    case: tuple[NDArray[np.float32], NDArray[np.int64]], seed: int
) -> None:
    outputs, y = case
    turned = np.random.default_rng(seed).permutation(len(y))
    for name in class_metrics.NAMES:
        value = score(name, outputs, y)
        assert score(name, outputs[turned], y[turned]) == pytest.approx(value)
        assert value >= 0
        assert value <= 1 or name == "log_loss"


@given(answered())
@settings(max_examples=40)
def test_intervals_hold_their_value(case: tuple[NDArray[np.float32], NDArray[np.int64]]) -> None:
    outputs, y = case
    for metric in class_metrics.metrics("validation", outputs, y, CLASSES[: outputs.shape[1]]):
        assert metric.low is not None
        assert metric.high is not None
        assert 0 <= metric.low <= metric.value + 1e-9
        assert metric.value <= metric.high + 1e-9


@given(answered())
def test_the_confusion_matrix_counts_every_record(case: tuple[NDArray[np.float32], NDArray[np.int64]]) -> None:
    outputs, y = case
    expected = reference.confusion_matrix(y, outputs.argmax(axis=1), labels=np.arange(outputs.shape[1]))
    assert class_metrics.confusion(outputs, y).tolist() == expected.tolist()
    sure, right = class_metrics.probabilities(outputs).max(axis=1), outputs.argmax(axis=1) == y
    at = np.minimum((sure * class_metrics.BINS).astype(int), class_metrics.BINS - 1)
    error = sum(abs((right[at == one] - sure[at == one]).sum()) for one in range(class_metrics.BINS)) / len(y)
    assert score("ece", outputs, y) == pytest.approx(error)


def test_a_model_without_errors_is_not_certain() -> None:
    y = np.arange(60) % 2
    outputs = (np.eye(2)[y] * 20).astype(np.float32)
    found = {metric.name: metric for metric in class_metrics.metrics("test", outputs, y, ("a", "b"))}
    for name in ("accuracy", "macro_f1", "roc_auc", "pr_auc", "recall[a]"):
        low = found[name].low
        assert found[name].value == pytest.approx(1.0)
        assert low is not None
        assert 0.85 < low < 1


def test_a_bootstrap_interval_covers_as_often_as_it_says() -> None:
    rng, covered = np.random.default_rng(0), 0
    for _ in range(60):
        y = (rng.random(150) < 0.4).astype(np.int64)
        outputs = np.zeros((150, 2), dtype=np.float32)
        outputs[:, 1] = rng.normal(size=150) + 1.5 * y
        (one,) = (m for m in class_metrics.metrics("test", outputs, y, ("a", "b")) if m.name == "roc_auc")
        assert one.low is not None
        assert one.high is not None
        covered += one.low <= 0.85557 <= one.high  # Phi(1.5 / sqrt 2)
    assert covered >= 52


def test_many_records_and_many_classes_are_judged_in_bounded_work() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 110, 8_000)
    outputs = rng.normal(size=(8_000, 110)).astype(np.float32)
    found = {m.name: m for m in class_metrics.metrics("test", outputs, y, [str(at) for at in range(110)])}
    assert found["roc_auc"].low is None
    assert found["macro_f1"].low is not None
    assert not any(name.startswith("recall[") for name in found)


def test_outputs_that_are_not_finite_are_refused() -> None:
    outputs = np.zeros((5, 2), dtype=np.float32)
    outputs[1, 0] = np.nan
    with pytest.raises(
        RejectedError, match=r"answers 1 of 5 records with NaN or infinity; lower `training.learning_rate`"
    ):
        class_metrics.metrics("test", outputs, np.zeros(5, dtype=np.int64), ("a", "b"))


def test_the_baseline_answers_the_most_common_class() -> None:
    naive = class_metrics.baseline(np.array([0, 1, 1]), np.array([0, 1, 1, 1]), ("a", "b", "c"))
    assert score("accuracy", naive, np.array([0, 1, 1, 1])) == pytest.approx(0.75)
    assert np.isfinite(score("log_loss", naive, np.array([2, 2, 2, 2])))


def _loss(policy: dict[str, Any], targets: torch.Tensor, outputs: torch.Tensor, y: list[int]) -> float:
    objective = class_losses.objective(TrainingPolicy(**policy), np.array(y), outputs.shape[1])
    return float(objective(outputs, targets, outputs))


def test_losses_are_torchs_where_torch_has_them() -> None:
    torch.manual_seed(0)
    outputs, targets = torch.randn(16, 3), torch.randint(0, 3, (16,))
    shares = functional.one_hot(targets, 3).float() * 0.7 + 0.1
    y = [0] * 8 + [1] * 4 + [2] * 4
    plain = functional.cross_entropy(outputs, targets)
    assert _loss({}, targets, outputs, y) == pytest.approx(float(plain))
    smooth = functional.cross_entropy(outputs, targets, label_smoothing=0.2)
    assert _loss({"label_smoothing": 0.2}, targets, outputs, y) == pytest.approx(float(smooth))
    mixed = functional.cross_entropy(outputs, shares)
    assert _loss({}, shares, outputs, y) == pytest.approx(float(mixed))
    weights = torch.tensor([16 / 24, 16 / 12, 16 / 12])
    each = functional.cross_entropy(outputs, targets, weight=weights, reduction="none")
    assert _loss({"imbalance": "weights"}, targets, outputs, y) == pytest.approx(float(each.mean()))
    assert _loss({"imbalance": "weights", "label_smoothing": 0.2}, targets, outputs, [0, 1, 2]) == pytest.approx(
        float(smooth)
    )
    right = outputs.softmax(1)[torch.arange(16), targets]
    focal = (-((1 - right) ** 2) * right.log()).mean()
    assert _loss({"loss": "focal"}, targets, outputs, y) == pytest.approx(float(focal))
    whole = functional.one_hot(targets, 3).float()
    assert _loss({"loss": "focal"}, whole, outputs, y) == pytest.approx(float(focal))


def test_class_weights_are_one_on_average_and_even_out_the_classes() -> None:
    y = np.array([0] * 90 + [2] * 10)
    weights = class_losses.class_weights(y, 4)
    assert weights[y].mean() == pytest.approx(1)
    assert weights[0] * 90 == pytest.approx(weights[2] * 10)
    assert weights[1] == 1
    with pytest.raises(ValueError, match="no label"):
        class_losses.class_weights(y[:0], 4)


def test_half_precision_logits_lose_nothing_in_the_loss() -> None:
    outputs, targets = torch.randn(8, 3).bfloat16(), torch.randint(0, 3, (8,))
    assert _loss({}, targets, outputs, [0, 1, 2]) == pytest.approx(
        float(functional.cross_entropy(outputs.float(), targets))
    )
