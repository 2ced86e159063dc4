"""The optimizers that a line can name."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from assets.errors import RejectedError
from assets.line.training import TrainingPolicy


def optimizer_of(network: nn.Module, policy: TrainingPolicy) -> torch.optim.Optimizer:
    """SGD with Nesterov momentum (Sutskever et al. 2013), Adam (Kingma & Ba 2015) or AdamW (Loshchilov & Hutter 2019).

    Weight decay is for matrices and kernels only; biases and the scales of normalizations have none. Frozen parameters
    are left out.

    Raises:
        RejectedError: nothing is left to train.
    """
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    if not trained:
        raise RejectedError("every weight of this network is frozen; leave `model.freeze` out, or train its last layer")
    matrices = [parameter for parameter in trained if parameter.dim() > 1]
    others = [parameter for parameter in trained if parameter.dim() <= 1]
    groups: list[dict[str, Any]] = [
        {"params": parameters, "weight_decay": decay}
        for parameters, decay in ((matrices, policy.weight_decay), (others, 0.0))
        if parameters
    ]
    rate = policy.learning_rate
    # A fused step is one call; autocast cannot have it, because Lightning then refuses to clip gradients.
    fused = policy.precision == "32"
    if policy.optimizer == "sgd":
        return torch.optim.SGD(groups, rate, momentum=policy.momentum, nesterov=policy.momentum > 0, fused=fused)
    if policy.optimizer == "adam":
        return torch.optim.Adam(groups, rate, fused=fused)
    return torch.optim.AdamW(groups, rate, fused=fused)
