"""Anomalies, generated pictures, and functions of the user's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import sklearn.metrics as reference
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from assets.errors import EdgeError, RejectedError
from assets.line.training import TrainingPolicy
from assets.tasks.compare import compare
from assets.tasks.image_generation import loss as gan
from assets.tasks.image_generation.features import features
from assets.tasks.ranking import placements
from assets.tasks.task import load_task
from assets.tasks.user_metrics import user_metrics_on

ANOMALY, PICTURES = load_task("anomaly_detection"), load_task("image_generation")


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2)), min_size=2, max_size=50))
def test_anomaly_areas_are_scikit_learns(pairs: list[tuple[int, int]]) -> None:
    scores, y = np.array(pairs).T
    outputs, bad = scores[:, None].astype(np.float32), y != 0
    roc, area = (ANOMALY.score(name, outputs, y) for name in ("roc_auc", "pr_auc"))
    if bad.any() and not bad.all():
        assert roc == pytest.approx(reference.roc_auc_score(bad, scores))
        assert ANOMALY.metrics.merits(outputs, y).mean() == pytest.approx(roc)
        assert placements(scores.astype(float), bad)[bad].mean() == pytest.approx(roc)
        assert area == pytest.approx(reference.average_precision_score(bad, scores))
    else:
        assert roc == 0.5


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=2, max_size=40))
def test_the_threshold_has_the_largest_youden_index(pairs: list[tuple[int, bool]]) -> None:
    scores, bad = np.array([one for one, _ in pairs]), np.array([two for _, two in pairs])
    outputs = scores[:, None].astype(np.float32)
    threshold = ANOMALY.metrics.answer(outputs, bad.astype(np.int64)).threshold
    assert threshold is not None
    if not bad.any() or bad.all():
        return

    def youden(at: float) -> float:
        return float((scores[bad] > at).mean() - (scores[~bad] > at).mean())

    assert youden(threshold) == pytest.approx(max(youden(at) for at in scores + 0.5))


def test_without_anomalies_one_normal_record_in_a_hundred_is_an_alarm() -> None:
    outputs = np.arange(1000, dtype=np.float32)[:, None]
    y = np.zeros(1000, dtype=np.int64)
    threshold = ANOMALY.metrics.answer(outputs, y).threshold
    assert threshold is not None
    named = {one.name: one for one in ANOMALY.metrics.metrics("test", outputs, y, ("a", "b"), threshold=threshold)}
    assert named["false_alarms"].value == pytest.approx(0.01)
    assert named["accuracy"].value == pytest.approx(0.99)
    assert "recall" not in named  # a share of nothing


def test_hits_at_the_threshold() -> None:
    outputs = np.array([0.1, 0.2, 0.9, 0.8, 0.3], dtype=np.float32)[:, None]
    y = np.array([0, 0, 0, 1, 2])
    found = ANOMALY.metrics.metrics("test", outputs, y, ("a", "b", "c"), threshold=0.5)
    named = {one.name: (one.value, one.records) for one in found}
    assert named["recall"] == (0.5, 2)
    assert named["precision"] == (0.5, 2)
    assert named["false_alarms"] == (pytest.approx(1 / 3), 3)
    assert named["f1"] == (0.5, 5)


def test_anomaly_detection_learns_from_normal_records_only() -> None:
    assert ANOMALY.loss.learns_from(np.array([0, 1, 2, 0])).tolist() == [True, False, False, True]
    assert load_task("image_classification").loss.learns_from(np.array([0, 1, 2])).all()


def test_the_distance_tells_good_generators_from_bad_ones() -> None:
    digits = load_digits()
    pictures = (digits.images / 16).astype(np.float32)[:, None]
    made, real = pictures[::2], pictures[1::2]
    noise = np.random.default_rng(0).normal(0, 0.2, made.shape)
    distance = {
        "real": made,
        "noisy": np.clip(made + noise, 0, 1).astype(np.float32),
        "half": made[digits.target[::2] < 5],
        "one": made[digits.target[::2] == 5],
        "baseline": PICTURES.metrics.baseline(made, real, ()),
    }
    score = PICTURES.score
    frechet = {name: score("frechet", outputs, real) for name, outputs in distance.items()}
    assert frechet["real"] < 0.2 * min(value for name, value in frechet.items() if name != "real")
    assert frechet["half"] < frechet["one"]
    assert frechet["noisy"] < frechet["baseline"]
    recall = {name: score("nn_recall", distance[name], real) for name in ("real", "one", "baseline")}
    assert max(recall["baseline"], recall["one"]) < 0.5 * recall["real"]
    assert min(score("nn_precision", distance[name], real) for name in ("real", "one")) > 0.8
    better = compare(PICTURES, "frechet", distance["noisy"][:300], distance["real"][:300], real[:300])
    assert better.verdict == "better"


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 4, 5), (3, 33, 20), (3, 200, 100)])
def test_pictures_of_any_size_have_features(shape: tuple[int, int, int]) -> None:
    pictures = np.random.default_rng(0).random((3, *shape)).astype(np.float32)
    found = features(pictures)
    assert found.shape == (3, 64)
    assert np.isfinite(found).all()
    assert found[:1] == pytest.approx(features(pictures[:1]), abs=1e-5)


@pytest.mark.parametrize("name", ["adversarial", "hinge"])
def test_the_two_losses_of_a_gan_pull_apart(name: str) -> None:
    real, made = torch.tensor([[2.0], [0.5]]), torch.tensor([[-1.0], [0.2]])
    logits, targets = torch.cat([real, made]), torch.tensor([1, 1, 0, 0])
    whole = PICTURES.loss.objective(TrainingPolicy(loss=name), targets.numpy(), 0)(logits, targets, logits)
    assert float(whole) == pytest.approx(float(gan.discriminator_loss(name, real, made)))
    assert float(gan.discriminator_loss(name, real, made)) < float(gan.discriminator_loss(name, made, real))
    assert float(gan.generator_loss(name, real)) < float(gan.generator_loss(name, made))
    with pytest.raises(ValueError, match="no loss"):
        gan.generator_loss("love", made)


OWN = """
import torch

def loss(outputs, targets):
    return ((outputs - targets) ** 2).mean()

def wrong(outputs, targets):
    return 3.0

def metric(outputs, y):
    return (outputs[:, 0] > y).mean()

def broken(outputs, y):
    raise KeyError("colour")

def endless(outputs, y):
    return float("nan")
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "own_parts_of_tasks.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    return "own_parts_of_tasks"


def test_a_loss_of_the_users_own_is_called_in_the_targets_unit(own: str) -> None:
    task = load_task("tabular_regression")
    objective = task.loss.objective(TrainingPolicy(loss=f"{own}:loss"), np.array([0.0, 100.0]), 0)
    outputs = torch.tensor([[1.0], [3.0]], requires_grad=True)
    assert objective(outputs, torch.tensor([0.0, 0.0]), outputs).item() == pytest.approx(5)
    wrong = task.loss.objective(TrainingPolicy(loss=f"{own}:wrong"), np.array([0.0]), 0)
    with pytest.raises(RejectedError, match=r"training\.loss: own_parts_of_tasks:wrong has to give a scalar tensor"):
        wrong(outputs, torch.tensor([0.0, 0.0]), outputs)
    classes = load_task("text_classification").loss.objective(TrainingPolicy(loss=f"{own}:loss"), np.array([0]), 2)
    with pytest.raises(RejectedError, match=r"fails on outputs \(3, 2\) and targets \(4,\) \(RuntimeError"):
        classes(torch.zeros(3, 2), torch.zeros(4, dtype=torch.int64), torch.zeros(3, 2))
    with pytest.raises(EdgeError, match="there is no module"):
        task.loss.objective(TrainingPolicy(loss="nowhere_to_be_found:loss"), np.array([0.0]), 0)


def test_a_metric_of_the_users_own_scores_and_compares(own: str) -> None:
    task = load_task("tabular_regression")
    y = np.arange(40.0)
    high, low = (np.where(np.arange(40) < n, y + 1, y - 1).astype(np.float32)[:, None] for n in (30, 10))
    assert task.score(f"{own}:metric", high, y) == pytest.approx(0.75)
    (one,) = user_metrics_on((f"{own}:metric",), "test", high, y)
    assert (one.name, one.value, one.records) == (f"{own}:metric", 0.75, 40)
    found = compare(task, f"{own}:metric", low, high, y)
    assert (found.verdict, found.gain.value) == ("better", 0.5)
    assert found.gain.low < 0.5 < found.gain.high
    with pytest.raises(RejectedError, match=r"broken fails on outputs \(40, 1\) .*KeyError: 'colour'"):
        task.score(f"{own}:broken", high, y)
    with pytest.raises(RejectedError, match="endless gives nan"):
        task.score(f"{own}:endless", high, y)
