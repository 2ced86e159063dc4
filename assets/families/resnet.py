"""Residual networks (He et al. 2016, CVPR), in the form for small pictures: three stages, `depth` blocks in each.

`width: 16, depth: 3` is the paper's ResNet-20 for CIFAR-10. Pictures above 64 pixels meet the paper's ImageNet stem
first, which takes them to a quarter of their size.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from assets.families.network import Network
from assets.learning import ModelFamily
from edge.contracts import InputSpec

LARGE = 64
"""Pictures with longer sides meet a stem that shrinks them."""
STAGES = ((1, 1), (2, 2), (4, 2))
"""Of each stage: its channels as a multiple of `width`, and the stride of its first block."""


class Residual(nn.Module):
    """Two convolutions, and what came in added to what comes out. The second BatchNorm starts at zero, so that a fresh
    block passes its input on (Goyal et al. 2017)."""

    def __init__(self, inputs: int, channels: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, channels, 3, stride, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False),
            nn.BatchNorm2d(channels),
        )
        same = inputs == channels and stride == 1
        self.shortcut: nn.Module = (
            nn.Identity()
            if same
            else nn.Sequential(nn.Conv2d(inputs, channels, 1, stride, bias=False), nn.BatchNorm2d(channels))
        )
        self.relu = nn.ReLU()
        nn.init.zeros_(self.body[-1].weight)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """(records, channels, height, width) to the same or half the size."""
        out: Tensor = self.relu(self.body(x) + self.shortcut(x))
        return out


def architecture(model: ModelFamily, spec: InputSpec) -> dict[str, Any]:
    """Channels of the first stage and blocks per stage."""
    return {"width": model.width, "blocks": model.depth, "stem": "large" if max(spec.shape[1:]) > LARGE else "small"}


def build(family: str, spec: InputSpec, outputs: int, architecture: Mapping[str, Any]) -> Network:
    """See `assets.families.build`."""
    del family
    width, large = architecture["width"], architecture["stem"] == "large"
    layers: list[nn.Module] = [
        nn.Conv2d(spec.shape[0], width, 7 if large else 3, 2 if large else 1, 3 if large else 1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
    ]
    if large:
        layers.append(nn.MaxPool2d(3, 2, 1))
    inputs = width
    for factor, stride in STAGES:
        for block in range(architecture["blocks"]):
            layers.append(Residual(inputs, width * factor, stride if block == 0 else 1))
            inputs = width * factor
    return Network(nn.Sequential(*layers), inputs, outputs, architecture)
