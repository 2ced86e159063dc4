"""Losses for models that answer with a number: of every regression task."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from assets.line.training import TrainingPolicy
from assets.tasks.contract import Objective
from assets.tasks.user_losses import user_loss

__all__ = ["learns_from", "objective"]

LOSSES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mse": functional.mse_loss,
    "mae": functional.l1_loss,
    "huber": functional.huber_loss,
}


def learns_from(y: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(records,) which training records are learned from: all."""
    return np.ones(len(y), dtype=bool)


def objective(policy: TrainingPolicy, y: NDArray[np.float64], classes: int) -> Objective:
    """Mean squared, mean absolute or Huber loss, or the user's own, as `policy.loss` says.

    Targets and outputs are first divided by the training labels' standard deviation (by 1, where they have none). Then
    learning rates, gradient clipping and Huber's bend (at one standard deviation) mean the same for every line. A loss
    of the user's own gets both in the target's own unit.

    Args:
        y: (records,) training labels.

    Raises:
        RejectedError: a loss of the user's own that cannot be loaded.
    """
    del classes
    name = policy.loss or "mse"
    if ":" in name:
        return user_loss(name)
    spread = float(np.std(y)) if len(y) else 0.0
    spread = spread if np.isfinite(spread) and spread > 1e-12 else 1.0
    chosen = LOSSES[name]

    def loss(_inputs: Tensor, targets: Tensor, outputs: Tensor) -> Tensor:
        # A difference of (records, 1) and (records,) would be (records, records) without a word.
        answers = outputs.float().reshape(targets.shape)
        return chosen(answers / spread, targets.float() / spread)

    return loss
