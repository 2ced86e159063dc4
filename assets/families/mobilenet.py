"""Inverted residuals with depthwise convolutions (Sandler et al. 2018, MobileNetV2): few operations for small devices.

Three stages of `depth` blocks; the first has half of `width` channels, the last twice as many, as in the paper the
channels are few between blocks and many within.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from assets.families.network import Network
from assets.families.resnet import LARGE
from assets.learning import ModelFamily
from edge.contracts import InputSpec

EXPANSION = 4
"""Channels within a block, as a multiple of those between blocks; the paper has 6, for larger pictures."""
LAST = 4
"""Channels of the last 1x1 convolution, as a multiple of the last stage's."""


def _norm_relu(channels: int) -> list[nn.Module]:
    return [nn.BatchNorm2d(channels), nn.ReLU6()]


class InvertedResidual(nn.Module):
    """Widen by 1x1, filter each channel by 3x3, narrow by 1x1; the input is added where the sizes allow."""

    def __init__(self, inputs: int, channels: int, stride: int) -> None:
        super().__init__()
        inner = inputs * EXPANSION
        self.body = nn.Sequential(
            nn.Conv2d(inputs, inner, 1, bias=False),
            *_norm_relu(inner),
            nn.Conv2d(inner, inner, 3, stride, 1, groups=inner, bias=False),
            *_norm_relu(inner),
            nn.Conv2d(inner, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        )
        self.adds = inputs == channels and stride == 1

    def forward(self, x: Tensor) -> Tensor:
        """(records, channels, height, width) to the same or half the size."""
        out: Tensor = self.body(x)
        return x + out if self.adds else out


def architecture(model: ModelFamily, spec: InputSpec) -> dict[str, Any]:
    """Channels of the stem and blocks per stage."""
    return {"width": model.width, "blocks": model.depth, "stem": "large" if max(spec.shape[1:]) > LARGE else "small"}


def build(family: str, spec: InputSpec, outputs: int, architecture: Mapping[str, Any]) -> Network:
    """See `assets.families.build`."""
    del family
    width, first = architecture["width"], 2 if architecture["stem"] == "large" else 1
    layers: list[nn.Module] = [nn.Conv2d(spec.shape[0], width, 3, first, 1, bias=False), *_norm_relu(width)]
    inputs = width
    for channels, stride in ((max(1, width // 2), first), (width, 2), (2 * width, 2)):
        for block in range(architecture["blocks"]):
            layers.append(InvertedResidual(inputs, channels, stride if block == 0 else 1))
            inputs = channels
    last = LAST * inputs
    layers += [nn.Conv2d(inputs, last, 1, bias=False), *_norm_relu(last)]
    return Network(nn.Sequential(*layers), last, outputs, architecture)
