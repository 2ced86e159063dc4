"""Trainings that are small but real: what a line's settings do to them."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from assets.errors import RejectedError
from assets.fitting import progress
from assets.fitting.contract import Fitted
from assets.fitting.fit import fit
from assets.fitting.threads import set_up_torch
from assets.line.training import Augmentation
from assets.tasks.task import load_task
from tests.assets.fitting.toy_training import (
    CLASSES,
    TRAIN,
    VALIDATION,
    Seen,
    Slow,
    difference,
    network,
    policy,
    run,
    weights_difference,
)
from tests.memory_set import MemorySet


def _accuracy(net: nn.Module) -> float:
    with torch.no_grad():
        return float((net(VALIDATION.x).argmax(1).numpy() == VALIDATION.y).mean())


def test_it_learns_and_says_how_without_another_word(capfd: pytest.CaptureFixture[str]) -> None:
    net, seen = network(), Seen()
    fitted = run(net, epochs=8, watch=seen)
    assert capfd.readouterr() == ("", "")
    assert _accuracy(net) == pytest.approx(fitted.best_score)
    assert fitted.best_score > 0.8
    assert not net.training
    assert (fitted.steps, fitted.resumed_at, fitted.ended) == (80, 0, "epochs")
    assert [row["epoch"] for row in fitted.curve] == list(range(1, 9))
    assert list(fitted.curve[0]) == [
        *("epoch", "step", "train_loss", "validation_loss", "validation_accuracy", "learning_rate", "seconds")
    ]
    assert tuple(seen.rows) == fitted.curve
    assert fitted.records_per_second > 0
    assert 0 <= fitted.data_wait <= 1


def test_the_same_seed_gives_the_same_weights() -> None:
    nets = [network(dropout=0.3) for _ in range(3)]
    fitted = [run(net, seed=seed) for net, seed in zip(nets, (5, 5, 6), strict=True)]
    assert difference(fitted[0], fitted[1]) == 0
    assert weights_difference(nets[0], nets[1]) == 0
    assert weights_difference(nets[0], nets[2]) > 0


def test_the_best_epoch_is_kept() -> None:
    net = network()
    fitted = run(net, epochs=8, learning_rate=0.5, optimizer="sgd", schedule="constant")
    scores = [row["validation_accuracy"] for row in fitted.curve]
    assert fitted.best_score == max(scores) == scores[fitted.best_epoch - 1]
    assert _accuracy(net) == pytest.approx(max(scores))


def test_another_metric_chooses_and_less_may_be_better() -> None:
    fitted = run(network(), epochs=6, metric="log_loss", learning_rate=0.3, schedule="constant")
    losses = [row["validation_log_loss"] for row in fitted.curve]
    assert fitted.best_score == min(losses) == losses[fitted.best_epoch - 1]


@pytest.mark.parametrize("settings", [{"accumulate": 3}, {"accumulate": 5, "clip": 0.05, "optimizer": "sgd"}])
def test_a_batch_in_parts_is_the_batch(settings: dict[str, Any]) -> None:
    whole, parts = network(), network()
    one, other = run(whole, **(settings | {"accumulate": 1})), run(parts, **settings)
    assert difference(one, other) < 1e-6
    assert weights_difference(whole, parts) < 1e-6


def _deviation(**settings: Any) -> float:
    """How far these settings lead from the usual training."""
    net = network()
    fitted = run(net, **settings)
    assert np.isfinite([row["train_loss"] for row in fitted.curve]).all()
    usual = network()
    run(usual)
    return weights_difference(net, usual)


@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": "adam", "weight_decay": 0.1},
        {"optimizer": "sgd", "momentum": 0.0},
        {"precision": "bf16", "clip": 1.0},
        {"clip": 0.01, "optimizer": "sgd"},
        {"ema": 0.9},
        {"label_smoothing": 0.2},
        {"loss": "focal"},
        {"imbalance": "resample"},
        {"imbalance": "weights"},
        {"augment": Augmentation(mixup=0.4)},
        {"schedule": "cosine", "warmup_epochs": 1},
    ],
    ids=str,
)
def test_every_setting_changes_the_training(settings: dict[str, Any]) -> None:
    assert _deviation(**settings) > 1e-6


def test_l1_makes_weights_small() -> None:
    sizes = []
    for l1 in (0.0, 0.05):
        net = network()
        run(net, l1=l1, epochs=6)
        sizes.append(sum(float(weight.detach().abs().sum()) for weight in net.parameters() if weight.dim() > 1))
    assert sizes[1] < 0.7 * sizes[0]


def test_averaged_weights_are_judged_and_kept() -> None:
    net = network(batch_norm=True)
    fitted = run(net, ema=0.9, epochs=6)
    assert _accuracy(net) == pytest.approx(fitted.best_score)


def test_patience_ends_it() -> None:
    fitted = run(network(), epochs=200, patience=2, learning_rate=0.2, schedule="constant")
    assert fitted.ended == "patience"
    assert len(fitted.curve) == fitted.best_epoch + 2


def test_a_plateau_lowers_the_rate() -> None:
    fitted = run(network(), epochs=30, schedule="plateau", learning_rate=0.2, patience=12)
    rates = [row["learning_rate"] for row in fitted.curve]
    assert rates[0] == 0.2
    assert min(rates) == pytest.approx(0.2 / 3, rel=0.7)
    assert sorted(rates, reverse=True) == rates


def test_a_time_limit_keeps_the_best_so_far() -> None:
    net = network()
    fitted = run(net, Slow(TRAIN, 0.01), epochs=10_000, minutes=0.002)
    assert fitted.ended == "time limit"
    assert 1 <= len(fitted.curve) < 100
    assert _accuracy(net) == pytest.approx(fitted.best_score)


def test_slow_records_are_made_ready_beside_the_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PROGRESS_SECONDS", 0.0)
    usual, slow, seen = network(), network(), Seen()
    one, other = run(usual), run(slow, Slow(TRAIN, 0.003), watch=seen)
    assert difference(one, other) == 0
    assert weights_difference(usual, slow) == 0
    assert other.data_wait > one.data_wait
    assert len(seen.losses) == 30
    assert not [thread.name for thread in threading.enumerate() if thread.name == "edgeloop-feed"]


def test_an_error_of_the_records_comes_out() -> None:
    class Broken(Slow):
        def batch(self, rows: Any) -> Tensor:
            if 17 in rows:
                raise RejectedError("record 17 cannot be decoded; correct it")
            return super().batch(rows)

    with pytest.raises(RejectedError, match="record 17"):
        run(network(), Broken(TRAIN, 0.003))
    assert not [thread.name for thread in threading.enumerate() if thread.name == "edgeloop-feed"]


class _Distillation(nn.Module):
    """A student's objective, which holds its teacher."""

    def __init__(self, teacher: nn.Module) -> None:
        super().__init__()
        self.teacher = teacher

    def forward(self, inputs: Tensor, _labels: Tensor, outputs: Tensor) -> Tensor:
        return functional.mse_loss(outputs, self.teacher(inputs))


def test_a_student_learns_what_its_teacher_says() -> None:
    teacher = network()
    run(teacher, epochs=8)
    kept = {name: value.clone() for name, value in teacher.state_dict().items()}
    student = nn.Sequential(nn.Linear(10, 8), nn.ReLU(), nn.Linear(8, 3))
    run(student, epochs=20, objective=_Distillation(teacher))
    with torch.no_grad():
        agreement = (student(VALIDATION.x).argmax(1) == teacher(VALIDATION.x).argmax(1)).double().mean()
    assert agreement > 0.8
    assert all(torch.equal(kept[name], value) for name, value in teacher.state_dict().items())


def test_frozen_layers_stay_and_all_frozen_is_refused() -> None:
    net = network()
    first = net[0].weight.clone()
    net[0].requires_grad_(False)
    run(net)
    assert torch.equal(net[0].weight, first)
    with pytest.raises(RejectedError, match="every weight of this network is frozen"):
        run(net.requires_grad_(False))


@pytest.mark.parametrize(("channels", "kept"), [(16, True), (8, False)])
def test_channels_last_is_a_matter_of_memory_only(channels: int, kept: bool) -> None:
    """And it is left out where a convolution is too narrow for it: torch's backward pass ended the process."""
    pictures = MemorySet(torch.randn(120, 3, 8, 8, generator=torch.Generator().manual_seed(0)), TRAIN.y[:120])
    nets, fitted = [], []
    for channels_last in (False, True):
        torch.manual_seed(2)
        convolution = nn.Conv2d(3, channels, 3)
        flat = (nn.BatchNorm2d(channels), nn.ReLU(), nn.Flatten(), nn.Linear(36 * channels, 3))
        net, orders = nn.Sequential(convolution, *flat), []
        convolution.register_forward_pre_hook(
            lambda _, given, orders=orders: orders.append(given[0].is_contiguous(memory_format=torch.channels_last))
        )
        task = load_task("image_classification")
        settings = policy(channels_last=channels_last, optimizer="sgd")
        fitted.append(fit(net, task, pictures, pictures, settings, classes=CLASSES))
        nets.append(net)
        assert any(orders) == (channels_last and kept)
    assert weights_difference(*nets) < 1e-4
    assert difference(*fitted) < 1e-2
    assert nets[1][0].weight.is_contiguous()


def test_anomalies_are_not_learned_from() -> None:
    class Rebuild(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(nn.Linear(10, 4), nn.Linear(4, 10))
            self.seen = 0.0

        def forward(self, x: Tensor) -> Tensor:
            if self.training:
                self.seen = max(self.seen, float(x.max()))
            return (self.layers(x) - x).square().mean(1, keepdim=True)

    anomalous = np.arange(300) % 3 == 0
    x = torch.randn(300, 10)
    x[anomalous] += 100
    both = MemorySet(x, anomalous.astype(np.int64))
    net = Rebuild()
    fitted = fit(net, load_task("anomaly_detection"), both, both, policy(), classes=("normal", "odd"))
    assert net.seen < 50
    assert fitted.best_score == 1.0
    assert fitted.curve[-1]["validation_loss"] < 50


def test_what_cannot_be_done_is_refused_with_a_reason() -> None:
    with pytest.raises(RejectedError, match="fp16 needs a GPU"):
        run(network(), precision="fp16")
    with pytest.raises(RejectedError, match=r"the loss is .* in epoch \d; lower `training.learning_rate`"):
        run(network(), MemorySet(torch.full((60, 10), float("inf")), TRAIN.y[:60]))
    with pytest.raises(RejectedError, match="at least 2 records"):
        run(network(), MemorySet(TRAIN.x[:1], TRAIN.y[:1]))
    with pytest.raises(RejectedError, match="validation split is empty"):
        nothing = MemorySet(TRAIN.x[:0], TRAIN.y[:0])
        fit(network(), load_task("tabular_classification"), TRAIN, nothing, policy(), classes=CLASSES)


@pytest.mark.parametrize("records", [2, 29, 30, 31, 59])
def test_no_batch_is_left_with_one_record(records: int) -> None:
    fitted: Fitted = run(network(batch_norm=True), MemorySet(TRAIN.x[:records], TRAIN.y[:records]), epochs=1)
    assert fitted.steps == max(1, records // 30)


def test_small_steps_take_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    try:
        set_up_torch(policy(), (10,))
        assert torch.get_num_threads() == 1
        set_up_torch(policy(threads=2), (10,))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
        torch.use_deterministic_algorithms(False)


@pytest.mark.nightly
def test_a_compiled_network_trains_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    usual, compiled = network(), network()
    one, other = run(usual), run(compiled, compile=True)
    assert difference(one, other) < 0.02
    assert weights_difference(usual, compiled) < 1e-3
