"""Learning rates: torch's own one-cycle numbers, warm-up, decay."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from assets.fitting.schedules import Schedule, plateau_cuts
from assets.line.training import TrainingPolicy


def _schedule(steps_per_epoch: int = 10, **settings: Any) -> Schedule:
    return Schedule(TrainingPolicy(**({"epochs": 8, "learning_rate": 0.5} | settings)), steps_per_epoch)


@pytest.mark.parametrize("steps_per_epoch", [1, 5, 13])
@pytest.mark.parametrize("epochs", [1, 2, 7])
def test_one_cycle_is_torchs(epochs: int, steps_per_epoch: int) -> None:
    schedule = _schedule(steps_per_epoch, epochs=epochs)
    optimizer = torch.optim.AdamW(torch.nn.Linear(1, 1).parameters(), 0.5)
    theirs = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.5, total_steps=schedule.steps)
    for step in range(schedule.steps):
        assert schedule.rate(step) == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-12)
        assert schedule.beta(step) == pytest.approx(optimizer.param_groups[0]["betas"][0], abs=1e-12)
        optimizer.step()
        if step + 1 < schedule.steps:
            theirs.step()


@pytest.mark.parametrize("name", ["constant", "step", "cosine", "plateau"])
def test_warm_up_rises_to_the_largest_rate(name: str) -> None:
    schedule = _schedule(schedule=name, warmup_epochs=2)
    rates = [schedule.rate(step) for step in range(20)]
    assert rates == pytest.approx([0.5 * (step + 1) / 20 for step in range(20)])
    assert schedule.rate(20) == 0.5


def test_warm_up_is_the_rise_of_one_cycle() -> None:
    rates = [_schedule(warmup_epochs=2).rate(step) for step in range(80)]
    assert rates.index(max(rates)) == 19
    assert max(rates) == pytest.approx(0.5)


def test_how_each_schedule_falls() -> None:
    assert [_schedule(schedule="constant").rate(step) for step in (0, 79)] == [0.5, 0.5]
    steps = _schedule(schedule="step")
    assert [steps.rate(step) for step in (39, 40, 59, 60, 79)] == pytest.approx([0.5, 0.05, 0.05, 0.005, 0.005])
    cosine = _schedule(schedule="cosine")
    assert [cosine.rate(step) for step in (0, 40)] == pytest.approx([0.5, 0.25])
    assert 0 < cosine.rate(79) < 0.001
    plateau = _schedule(schedule="plateau")
    assert [plateau.rate(50, cuts) for cuts in (0, 1, 2)] == pytest.approx([0.5, 0.5 / 3, 0.5 / 9])


def test_a_plateau_cuts_after_each_three_epochs_without_gain() -> None:
    assert [epochs for epochs in range(10) if plateau_cuts(epochs)] == [3, 6, 9]


def test_sgd_keeps_its_momentum() -> None:
    assert _schedule(optimizer="sgd").beta(3) is None
    assert _schedule(schedule="cosine").beta(3) is None
