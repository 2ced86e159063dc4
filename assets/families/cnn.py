"""Plain convolutions: convolution + BatchNorm + ReLU, `depth` times, halving the picture by stride.

The exporter folds BatchNorm into the weights and INT8 runtimes fuse the ReLU, so that one block is one operation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from assets.families.network import HALVINGS, Network
from assets.line.model import ModelFamily
from edge.contracts import InputSpec

MIN_SIDE = 4
"""Pictures are halved, block by block, while both sides stay at least this long."""
MAX_GROWTH = 4
"""Channels double with each halving, up to this multiple of the first block's."""


def strides(shape: tuple[int, ...], depth: int) -> tuple[int, ...]:
    """The stride of each block for pictures of shape (channels, height, width)."""
    side, found = min(shape[1:]), [1]
    for _ in range(1, depth):
        found.append(2 if side >= 2 * MIN_SIDE else 1)
        side //= found[-1]
    return tuple(found)


def architecture(model: ModelFamily, spec: InputSpec) -> dict[str, Any]:
    """Channels of each block."""
    growth, found = 1, {"depth": model.depth}
    for block, stride in enumerate(strides(spec.shape, model.depth)):
        growth = min(growth * stride, MAX_GROWTH)
        found[f"channels_{block}"] = model.width * growth
    return found


def full(family: str, architecture: Mapping[str, Any]) -> dict[str, Any]:
    """The same architecture: it already has the units of each block."""
    del family
    return dict(architecture)


def counted(network: Network) -> dict[str, Any]:
    """The numbers of `full` as the layers now are."""
    widths = [layer.weight.shape[0] for layer in network.blocks.children() if isinstance(layer, nn.Conv2d)]
    return {f"channels_{block}": width for block, width in enumerate(widths)}


def build(family: str, spec: InputSpec, outputs: int, architecture: Mapping[str, Any]) -> Network:
    """See `assets.families.build`."""
    del family
    depth, inputs = architecture["depth"], spec.shape[0]
    layers: list[nn.Module] = []
    for block, stride in enumerate(strides(spec.shape, depth)):
        width = architecture[f"channels_{block}"]
        step = stride if block else stride << architecture.get(HALVINGS, 0)
        layers += [nn.Conv2d(inputs, width, 3, step, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        inputs = width
    return Network(nn.Sequential(*layers), inputs, outputs, architecture)
