"""Convolutions over time, each looking twice as far as the one before (dilation, as in Bai et al. 2018).

What answers is the mean over all readings beside the last one: how a window was, and how it ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from assets.families.network import Network
from assets.learning import ModelFamily
from edge.contracts import InputSpec

KERNEL = 3


class OverTime(nn.Module):
    """Convolution + BatchNorm + ReLU, `depth` times."""

    def __init__(self, steps: int, columns: int, architecture: Mapping[str, Any]) -> None:
        super().__init__()
        width, inputs = architecture["width"], columns
        layers: list[nn.Module] = []
        for block in range(architecture["depth"]):
            reach = min(2**block, max(1, (steps - 1) // 2))
            layers += [
                nn.Conv1d(inputs, width, KERNEL, padding=reach, dilation=reach, bias=False),
                nn.BatchNorm1d(width),
                nn.ReLU(),
            ]
            inputs = width
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """(records, steps, columns) to (records, 2 * width)."""
        x = self.layers(x.transpose(1, 2))
        return torch.cat((x.mean(2), x[:, :, -1]), 1)


def architecture(model: ModelFamily, spec: InputSpec) -> dict[str, Any]:
    """Channels and blocks."""
    del spec
    return {"width": model.width, "depth": model.depth}


def build(family: str, spec: InputSpec, outputs: int, architecture: Mapping[str, Any]) -> Network:
    """See `assets.families.build`."""
    del family
    steps, columns = spec.shape
    return Network(OverTime(steps, columns, architecture), 2 * architecture["width"], outputs, architecture)
