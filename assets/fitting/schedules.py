"""The learning rate of each step: a function of the step alone, so that a resumed training goes on where it was."""

from __future__ import annotations

import math
from dataclasses import dataclass

from assets.line.training import TrainingPolicy

ONE_CYCLE_RISE = 0.3
"""Share of all steps in which the rate rises."""
FIRST, LAST = 1 / 25, 1 / 25 / 1e4
"""The first and the last rate of one cycle, as shares of the largest."""
BETA = (0.95, 0.85)
"""Adam's first beta while the rate is low and while it is at its largest."""
STEPS = ((0.75, 0.01), (0.5, 0.1))
PLATEAU_PATIENCE, PLATEAU_FACTOR = 3, 1 / 3


@dataclass(frozen=True)
class Schedule:
    """The rates of a training of `epochs` with so many optimizer steps each."""

    policy: TrainingPolicy
    steps_per_epoch: int

    @property
    def steps(self) -> int:
        """Of the whole training."""
        return max(2, self.policy.epochs * self.steps_per_epoch)

    def rate(self, step: int, cuts: int = 0) -> float:
        """The learning rate of a step.

        Args:
            step: from 0.
            cuts: how often a plateau has cut the rate so far.
        """
        return self.policy.learning_rate * self._share(step, cuts)

    def beta(self, step: int) -> float | None:
        """Adam's first beta at a step, which one cycle moves against the rate; None where it stays as it is."""
        if self.policy.schedule != "one-cycle" or self.policy.optimizer == "sgd":
            return None
        return self._cycle(step, BETA[0], BETA[1], BETA[0])

    def _share(self, step: int, cuts: int) -> float:
        policy = self.policy
        if policy.schedule == "one-cycle":
            return self._cycle(step, FIRST, 1.0, LAST)
        warm = round(policy.warmup_epochs * self.steps_per_epoch)
        if step < warm:
            return (step + 1) / warm
        if policy.schedule == "cosine":  # Loshchilov & Hutter 2017, without restarts
            return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warm) / max(1, self.steps - warm))))
        if policy.schedule == "step":
            return next((share for since, share in STEPS if step / self.steps >= since), 1.0)
        return PLATEAU_FACTOR**cuts if policy.schedule == "plateau" else 1.0

    def _cycle(self, step: int, first: float, top: float, last: float) -> float:
        """One cycle (Smith & Topin 2018) with cosine flanks, the very numbers of `torch.optim.lr_scheduler.OneCycleLR`.

        `warmup_epochs`, where given, is the length of the rise.
        """
        policy = self.policy
        rise = min(0.95, policy.warmup_epochs / policy.epochs) if policy.warmup_epochs else ONE_CYCLE_RISE
        turn, end = rise * self.steps - 1, self.steps - 1
        if step <= turn:
            return _cosine(first, top, step / turn if turn > 0 else 1.0)
        return _cosine(top, last, min(1.0, (step - turn) / (end - turn)))


def plateau_cuts(epochs_without_gain: int) -> bool:
    """Whether the rate is cut after so many epochs without gain."""
    return epochs_without_gain > 0 and epochs_without_gain % PLATEAU_PATIENCE == 0


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * share))
