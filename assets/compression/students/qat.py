"""Training with INT8 simulated, where quantizing afterwards loses (Jacob et al. 2018, arXiv:1712.05877).

Each convolution and linear layer sees its inputs and its weights as INT8 would have them; gradients go straight through
the rounding (Bengio et al. 2013). What comes back is the plain float network with other weights: it is exported and
quantized as every other, so both dialects come from it.

Simulated is the coarser of the two dialects: signed activations of one scale per tensor with zero at 0, of which those
after a ReLU use half; weights of one scale per output channel. BatchNorm keeps the statistics it has, as it will be a
part of the weights. It need not be folded for that: scaling an output channel scales its INT8 numbers' unit with it.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from assets.errors import RejectedError
from assets.fitting.contract import FitControl, TrainingSet
from assets.fitting.fit import FREE, fit
from assets.line.training import TrainingPolicy
from assets.tasks.contract import Objective, Task

SIMULATED = (nn.Conv1d, nn.Conv2d, nn.Linear)
RECORDS = 256
"""Training records that the first ranges are taken from."""
MOMENTUM = 0.05
"""Share of each batch's range in the moving average."""
SLOWER = 0.01
"""The learning rate, as a share of what the network was trained with (Wu et al. 2020, arXiv:2004.09602). A tenth ruined
what has channels of very different sizes, which is what INT8 loses on; elsewhere it made no difference."""
_LEAST = 1e-8


def train_quantized(
    network: nn.Module,
    task: Task,
    train: TrainingSet,
    validation: TrainingSet,
    policy: TrainingPolicy,
    *,
    classes: Sequence[str],
    objective: Objective | None = None,
    reduce_range: bool = False,
    control: FitControl = FREE,
) -> nn.Module:
    """A copy of `network` whose weights were trained with INT8 simulated, in evaluation mode; itself stays as it is.

    The epoch that is best with INT8 simulated is kept.

    Args:
        policy: see `quantized_policy`.
        objective: e.g. the distillation of the float network, which needs no labels to be right.
        reduce_range: weights of 7 bits, see `assets.compression.quantize.needs_7_bits`.

    The others are those of `assets.fitting.fit.fit`.

    Raises:
        RejectedError: it has no layer that INT8 would take, or what `fit` raises.
        TransientError: as `fit`.
    """
    start = copy.deepcopy(network).eval().requires_grad_(True)  # as an objective's teacher it was frozen
    simulated = Simulated(start, 63 if reduce_range else 127)
    if not simulated.layers():
        raise RejectedError("compress.qat_epochs: this network has no convolution and no linear layer; set it to 0")
    rows = np.unique(np.linspace(0, len(train) - 1, min(RECORDS, len(train))).astype(np.int64))
    simulated.measure(train.batch(rows))
    fit(
        simulated,
        task,
        train,
        validation,
        policy,
        classes=classes,
        objective=objective,
        control=control,
    )
    return simulated.plain()


def quantized_policy(policy: TrainingPolicy, epochs: int) -> TrainingPolicy:
    """How a network that was trained by `policy` is trained with INT8 simulated: slowly, and to the end."""
    changes = {
        "epochs": epochs,
        "learning_rate": policy.learning_rate * SLOWER,
        "schedule": "cosine",
        "warmup_epochs": 0,
        "label_smoothing": 0.0,
        "ema": 0.0,
        "privacy": None,
        "patience": None,
    }
    return policy.model_copy(update=changes)


class SimulatedLayer(nn.Module):
    """A layer that computes with inputs and weights as INT8 has them.

    Attributes:
        limit: largest absolute input, a moving average over batches; what lies beyond is clipped.
        measuring: it is the float layer, and takes in the range.
    """

    limit: Tensor

    def __init__(self, layer: nn.Conv1d | nn.Conv2d | nn.Linear, levels: int) -> None:
        super().__init__()
        self.layer, self.levels, self.measuring = layer, levels, False
        self.register_buffer("limit", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """As the layer's."""
        if self.measuring:
            self.limit.copy_(torch.maximum(self.limit, x.abs().amax()))
            return self.layer(x)  # type: ignore[no-any-return]
        if self.training:
            with torch.no_grad():
                self.limit.lerp_(x.detach().abs().amax().float(), MOMENTUM)
        scale = self.limit.clamp(min=_LEAST) / 127
        x = torch.fake_quantize_per_tensor_affine(x, scale, torch.zeros_like(scale, dtype=torch.int32), -127, 127)
        weight, bias = self.layer.weight, self.layer.bias
        units = weight.detach().flatten(1).abs().amax(1).clamp(min=_LEAST) / self.levels
        zeros = torch.zeros_like(units, dtype=torch.int32)
        weight = torch.fake_quantize_per_channel_affine(weight, units, zeros, 0, -self.levels, self.levels)
        if isinstance(self.layer, nn.Linear):
            return functional.linear(x, weight, bias)
        out: Tensor = self.layer._conv_forward(x, weight, bias)
        return out


class Simulated(nn.Module):
    """A network with each layer in a `SimulatedLayer`, in place; BatchNorm stays in evaluation mode."""

    def __init__(self, network: nn.Module, levels: int) -> None:
        super().__init__()
        self.network = network
        for above in list(network.modules()):
            for name, part in list(above.named_children()):
                if isinstance(part, SIMULATED) and not isinstance(above, SimulatedLayer):
                    setattr(above, name, SimulatedLayer(part, levels))

    def layers(self) -> list[SimulatedLayer]:
        """In the order of the network."""
        return [part for part in self.network.modules() if isinstance(part, SimulatedLayer)]

    def forward(self, x: Tensor) -> Tensor:
        """As the network's."""
        answers: Tensor = self.network(x)
        return answers

    def train(self, mode: bool = True) -> Self:
        """As torch's, but for BatchNorm."""
        super().train(mode)
        for part in self.network.modules():
            if isinstance(part, nn.modules.batchnorm._BatchNorm):
                part.eval()
        return self

    @torch.no_grad()
    def measure(self, records: Tensor) -> None:
        """Set the ranges to the largest inputs that these records, (records, *shape), make in the float network."""
        self.eval()
        for layer in self.layers():
            layer.measuring = True
            layer.limit.zero_()
        self(records)
        for layer in self.layers():
            layer.measuring = False

    def plain(self) -> nn.Module:
        """The float network again, with the weights it now has, in evaluation mode."""
        for above in list(self.network.modules()):
            for name, part in list(above.named_children()):
                if isinstance(part, SimulatedLayer):
                    setattr(above, name, part.layer)
        return self.network.eval()
