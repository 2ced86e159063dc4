"""The classic CNNs: blocks of convolution and max pooling, then a hidden layer, with dropout after each of both.

`cnn2` is the one every CIFAR-10 tutorial trains: two blocks of two convolutions. `cnn3` is the one of cats-vs-dogs:
blocks of one convolution whose channels double. Both follow LeCun et al. 1998 (Proc. IEEE 86:2278) in their shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from assets.errors import RejectedError
from assets.families.network import DROPOUT, Network, without
from assets.line.model import ModelFamily
from edge.contracts import InputSpec

BLOCKS = {"cnn2": 2, "cnn3": 3}
CONVOLUTIONS = {"cnn2": 2, "cnn3": 1}
MAX_SIDE = 8
"""Longer sides are averaged down before the hidden layer, or it would hold nearly all weights."""
HIDDEN = 4
"""Units of the hidden layer, as a multiple of the last block's channels."""


def architecture(model: ModelFamily, spec: InputSpec) -> dict[str, Any]:
    """Channels of the first block; blocks beyond the family's own (`depth`) are added for larger pictures."""
    blocks = max(BLOCKS[model.family], model.depth)
    if min(spec.shape[1:]) < 2**blocks:
        raise RejectedError(
            f"model.depth: {model.family} halves pictures {blocks} times, and {spec.shape[1]} x {spec.shape[2]} pixels "
            "are too few; lower it, or use cnn"
        )
    return {"blocks": blocks, "width": model.width}


def full(family: str, architecture: Mapping[str, Any]) -> dict[str, Any]:
    """The same architecture with `channels` of each convolution, block by block, and units of the `hidden` layer."""
    if "hidden" in architecture:
        return dict(architecture)
    widths = [architecture["width"] * 2 ** min(block, 3) for block in range(architecture["blocks"])]
    channels = [[width] * CONVOLUTIONS[family] for width in widths]
    return without(architecture, "width", "blocks") | {"channels": channels, "hidden": HIDDEN * widths[-1]}


def counted(network: Network) -> dict[str, Any]:
    """The numbers of `full` as the layers now are."""
    channels: list[list[int]] = [[]]
    hidden = 0
    for layer in network.blocks.children():
        if isinstance(layer, nn.Conv2d):
            channels[-1].append(layer.out_channels)
        elif isinstance(layer, nn.MaxPool2d):
            channels.append([])
        elif isinstance(layer, nn.Linear):
            hidden = layer.out_features
    return {"channels": channels[:-1], "hidden": hidden}


def build(family: str, spec: InputSpec, outputs: int, architecture: Mapping[str, Any]) -> Network:
    """See `assets.families.build`."""
    (inputs, height, width), rate = spec.shape, architecture.get(DROPOUT, 0.0)
    layers: list[nn.Module] = []
    sizes = full(family, architecture)
    for block in sizes["channels"]:
        for channels in block:
            layers += [nn.Conv2d(inputs, channels, 3, padding=1), nn.ReLU()]
            inputs = channels
        layers += [nn.MaxPool2d(2), nn.Dropout(rate / 2)]
        height, width = height // 2, width // 2
    shrink = (max(1, height // MAX_SIDE), max(1, width // MAX_SIDE))
    if shrink != (1, 1):
        layers.append(nn.AvgPool2d(shrink))
        height, width = height // shrink[0], width // shrink[1]
    hidden = sizes["hidden"]
    layers += [nn.Flatten(), nn.Linear(inputs * height * width, hidden), nn.ReLU()]
    return Network(nn.Sequential(*layers), hidden, outputs, architecture)
