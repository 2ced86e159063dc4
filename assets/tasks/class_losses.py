"""Losses for models that answer with a class: of every classification task.

Each is a plain mean over the batch's records, also with class weights: only then do parts of a batch, on several
processes or one after another, add up to the loss of the whole.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from assets.line.training import TrainingPolicy
from assets.tasks.contract import Objective
from assets.tasks.user_losses import user_loss

__all__ = ["class_weights", "learns_from", "objective"]

FOCUS = 2.0
"""Gamma of the focal loss (Lin et al. 2017), their best one."""


def learns_from(y: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(records,) which training records are learned from: all."""
    return np.ones(len(y), dtype=bool)


def class_weights(y: NDArray[np.int64], classes: int) -> NDArray[np.float32]:
    """(classes,) what a record of each class weighs, so that all classes weigh the same; 1 on average over `y`.

    Raises:
        ValueError: there is no record.
    """
    if not len(y):
        raise ValueError("no label to take class weights from")
    counts = np.bincount(y, minlength=classes)
    present = int((counts > 0).sum())
    return np.where(counts > 0, len(y) / (present * np.maximum(counts, 1)), 1.0).astype(np.float32)


def objective(policy: TrainingPolicy, y: NDArray[np.int64], classes: int) -> Objective:
    """Cross entropy, focal loss or the user's own, as `policy.loss` says.

    Targets are (records,) int64, or (records, classes) float32 shares that sum to 1. Label smoothing (Szegedy et al.
    2016) moves a share of each target to all classes alike. A record weighs as its class does, one of mixed classes as
    their mixture.

    Args:
        y: (records,) training labels; class weights are taken from them with `imbalance: weights`.

    Raises:
        RejectedError: a loss of the user's own that cannot be loaded.
    """
    name = policy.loss or "cross_entropy"
    if ":" in name:
        return user_loss(name)
    weights = torch.from_numpy(class_weights(y, classes)) if policy.imbalance == "weights" else None
    smoothing = policy.label_smoothing
    if name == "cross_entropy" and weights is None:
        return lambda _inputs, targets, outputs: functional.cross_entropy(
            outputs.float(), targets, label_smoothing=smoothing
        )
    focus = FOCUS if name == "focal" else 0.0

    def loss(_inputs: Tensor, targets: Tensor, outputs: Tensor) -> Tensor:
        logs = functional.log_softmax(outputs.float(), dim=1)
        shares = functional.one_hot(targets, classes).to(logs) if targets.ndim == 1 else targets.to(logs)
        smooth = shares * (1 - smoothing) + smoothing / classes
        losses = -smooth * logs
        if focus:
            losses = losses * (1 - logs.exp()) ** focus
        each = losses.sum(dim=1)
        if weights is not None:
            each = each * (shares @ weights.to(shares))
        return each.mean()

    return loss
