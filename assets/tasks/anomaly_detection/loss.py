"""Anomaly detection's loss: how badly the network rebuilds normal records, which are all that it is shown."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from assets.line.training import TrainingPolicy
from assets.tasks.contract import Objective
from assets.tasks.user_losses import user_loss

NORMAL = 0
"""The line's first class is the normal one; every other is anomalous."""


def learns_from(y: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(records,) which training records are learned from: those of the line's first class, the normal ones."""
    normal: NDArray[np.bool_] = np.asarray(y) == NORMAL
    return normal


def objective(policy: TrainingPolicy, y: NDArray[np.int64], classes: int) -> Objective:
    """The mean of the network's answers, which are its (records, 1) mean squared errors of rebuilding each record.

    Targets are not looked at: the records are normal, see `learns_from`.

    Raises:
        RejectedError: a loss of the user's own that cannot be loaded.
    """
    del y, classes
    if policy.loss is not None and ":" in policy.loss:
        return user_loss(policy.loss)

    def loss(_inputs: Tensor, _targets: Tensor, outputs: Tensor) -> Tensor:
        return outputs.float().mean()

    return loss
