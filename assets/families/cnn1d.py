"""Convolutions over time, each looking twice as far as the one before (dilation, as in Bai et al. 2018).

What answers is the mean over all readings beside the last one: how a window was, and how it ended.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from assets.families.network import Network, without
from assets.line.model import ModelFamily
from edge.contracts import InputSpec

KERNEL = 3


class OverTime(nn.Module):
    """Convolution + BatchNorm + ReLU, once for each of `channels`."""

    def __init__(self, steps: int, columns: int, channels: Sequence[int]) -> None:
        super().__init__()
        inputs = columns
        layers: list[nn.Module] = []
        for block, width in enumerate(channels):
            reach = min(2**block, max(1, (steps - 1) // 2))
            layers += [
                nn.Conv1d(inputs, width, KERNEL, padding=reach, dilation=reach, bias=False),
                nn.BatchNorm1d(width),
                nn.ReLU(),
            ]
            inputs = width
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """(records, steps, columns) to (records, 2 * the last of `channels`)."""
        x = self.layers(x.transpose(1, 2))
        return torch.cat((x.mean(2), x[:, :, -1]), 1)


def architecture(model: ModelFamily, spec: InputSpec) -> dict[str, Any]:
    """Channels and blocks."""
    del spec
    return {"width": model.width, "depth": model.depth}


def full(family: str, architecture: Mapping[str, Any]) -> dict[str, Any]:
    """The same architecture with `channels` of each block."""
    del family
    if "channels" in architecture:
        return dict(architecture)
    channels = [architecture["width"]] * architecture["depth"]
    return without(architecture, "width", "depth") | {"channels": channels}


def counted(network: Network) -> dict[str, Any]:
    """The numbers of `full` as the layers now are."""
    return {"channels": [layer.out_channels for layer in network.blocks.modules() if isinstance(layer, nn.Conv1d)]}


def build(family: str, spec: InputSpec, outputs: int, architecture: Mapping[str, Any]) -> Network:
    """See `assets.families.build`."""
    steps, columns = spec.shape
    channels = full(family, architecture)["channels"]
    return Network(OverTime(steps, columns, channels), 2 * channels[-1], outputs, architecture)
