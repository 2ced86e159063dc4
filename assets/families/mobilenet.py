"""Inverted residuals with depthwise convolutions (Sandler et al. 2018, MobileNetV2): few operations for small devices.

Three stages of `depth` blocks; the first has half of `width` channels, the last twice as many, as in the paper the
channels are few between blocks and many within.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from assets.families.network import Network, without
from assets.families.resnet import LARGE
from assets.line.model import ModelFamily
from edge.contracts import InputSpec

EXPANSION = 4
"""Channels within a block, as a multiple of those between blocks; the paper has 6, for larger pictures."""
LAST = 4
"""Channels of the last 1x1 convolution, as a multiple of the last stage's."""


def _norm_relu(channels: int) -> list[nn.Module]:
    return [nn.BatchNorm2d(channels), nn.ReLU6()]


class InvertedResidual(nn.Module):
    """Widen by 1x1, filter each channel by 3x3, narrow by 1x1; the input is added where the sizes allow.

    Attributes:
        adds: it is not the first of its stage.
    """

    removed_whole = True

    def __init__(self, inputs: int, channels: int, stride: int, inner: int, adds: bool) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, inner, 1, bias=False),
            *_norm_relu(inner),
            nn.Conv2d(inner, inner, 3, stride, 1, groups=inner, bias=False),
            *_norm_relu(inner),
            nn.Conv2d(inner, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        )
        self.adds = adds

    @property
    def removable(self) -> bool:
        """Whether it can be taken out."""
        return self.adds

    def bypass(self, x: Tensor) -> Tensor:
        """What comes out when it is taken out."""
        return x

    def forward(self, x: Tensor) -> Tensor:
        """(records, channels, height, width) to the same or half the size."""
        out: Tensor = self.body(x)
        return x + out if self.adds else out


def architecture(model: ModelFamily, spec: InputSpec) -> dict[str, Any]:
    """Channels of the stem and blocks per stage."""
    return {"width": model.width, "blocks": model.depth, "stem": "large" if max(spec.shape[1:]) > LARGE else "small"}


def full(family: str, architecture: Mapping[str, Any]) -> dict[str, Any]:
    """The same architecture with `channels` of each stage, those within each of its blocks (`inner`), and `last`."""
    del family
    if "inner" in architecture:
        return dict(architecture)
    width, blocks = architecture["width"], architecture["blocks"]
    channels = [max(1, width // 2), width, 2 * width]
    inner = [
        [EXPANSION * inputs, *[EXPANSION * units] * (blocks - 1)]
        for inputs, units in zip([width, *channels], channels, strict=False)
    ]
    sizes = {"channels": channels, "inner": inner, "last": LAST * channels[-1]}
    return without(architecture, "blocks") | sizes


def counted(network: Network) -> dict[str, Any]:
    """The numbers of `full` as the layers now are."""
    layers = list(network.blocks.children())
    channels: list[int] = []
    inner: list[list[int]] = []
    for block in layers:
        if isinstance(block, InvertedResidual):
            if not block.adds:
                channels.append(block.body[-1].num_features)  # type: ignore[arg-type]
                inner.append([])
            inner[-1].append(block.body[1].num_features)  # type: ignore[arg-type]
    convolutions = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
    width, last = convolutions[0].out_channels, convolutions[-1].out_channels
    return {"width": width, "channels": channels, "inner": inner, "last": last}


def build(family: str, spec: InputSpec, outputs: int, architecture: Mapping[str, Any]) -> Network:
    """See `assets.families.build`."""
    sizes = full(family, architecture)
    width, first = sizes["width"], 2 if sizes["stem"] == "large" else 1
    layers: list[nn.Module] = [nn.Conv2d(spec.shape[0], width, 3, first, 1, bias=False), *_norm_relu(width)]
    inputs = width
    for channels, inner, stride in zip(sizes["channels"], sizes["inner"], (first, 2, 2), strict=True):
        for block, units in enumerate(inner):
            layers.append(InvertedResidual(inputs, channels, 1 if block else stride, units, block > 0))
            inputs = channels
    last = sizes["last"]
    layers += [nn.Conv2d(inputs, last, 1, bias=False), *_norm_relu(last)]
    return Network(nn.Sequential(*layers), last, outputs, architecture)
