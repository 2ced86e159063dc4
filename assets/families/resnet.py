"""Residual networks (He et al. 2016, CVPR), in the form for small pictures: three stages, `depth` blocks in each.

`width: 16, depth: 3` is the paper's ResNet-20 for CIFAR-10. Pictures above 64 pixels meet the paper's ImageNet stem
first, which takes them to a quarter of their size.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from assets.families.network import HALVINGS, Network, without
from assets.line.model import ModelFamily
from edge.contracts import InputSpec

LARGE = 64
"""Pictures with longer sides meet a stem that shrinks them."""
STAGES = ((1, 1), (2, 2), (4, 2))
"""Of each stage: its channels as a multiple of `width`, and the stride of its first block."""


class Residual(nn.Module):
    """Two convolutions, and what came in added to what comes out. The second BatchNorm starts at zero, so that a fresh
    block passes its input on (Goyal et al. 2017).

    Attributes:
        inner: channels between the two convolutions; 0: both were taken out, and the shortcut is left.
    """

    def __init__(self, inputs: int, channels: int, stride: int, inner: int) -> None:
        super().__init__()
        self.body: nn.Sequential | None = None
        if inner:
            self.body = nn.Sequential(
                nn.Conv2d(inputs, inner, 3, stride, 1, bias=False),
                nn.BatchNorm2d(inner),
                nn.ReLU(),
                nn.Conv2d(inner, channels, 3, 1, 1, bias=False),
                nn.BatchNorm2d(channels),
            )
            nn.init.zeros_(self.body[-1].weight)  # type: ignore[arg-type]
        same = inputs == channels and stride == 1
        self.shortcut: nn.Module = (
            nn.Identity()
            if same
            else nn.Sequential(nn.Conv2d(inputs, channels, 1, stride, bias=False), nn.BatchNorm2d(channels))
        )
        self.relu = nn.ReLU()

    @property
    def inner(self) -> int:
        """As the layers now are."""
        return 0 if self.body is None else int(self.body[0].out_channels)  # type: ignore[arg-type]

    @property
    def removable(self) -> bool:
        """Whether it can be taken out: it still has its convolutions."""
        return self.body is not None

    @property
    def removed_whole(self) -> bool:
        """Whether nothing stays of it when it is taken out: of a block that changes sizes its shortcut does."""
        return isinstance(self.shortcut, nn.Identity)

    def bypass(self, x: Tensor) -> Tensor:
        """What comes out when it is taken out."""
        out: Tensor = self.relu(self.shortcut(x))
        return out

    def forward(self, x: Tensor) -> Tensor:
        """(records, channels, height, width) to the same or half the size."""
        if self.body is None:
            return self.bypass(x)
        out: Tensor = self.relu(self.body(x) + self.shortcut(x))
        return out


def architecture(model: ModelFamily, spec: InputSpec) -> dict[str, Any]:
    """Channels of the first stage and blocks per stage."""
    return {"width": model.width, "blocks": model.depth, "stem": "large" if max(spec.shape[1:]) > LARGE else "small"}


def full(family: str, architecture: Mapping[str, Any]) -> dict[str, Any]:
    """The same architecture with `channels` of each stage, and channels within each of its blocks as `inner`."""
    del family
    if "inner" in architecture:
        return dict(architecture)
    width, blocks = architecture["width"], architecture["blocks"]
    channels = [width * factor for factor, _ in STAGES]
    return without(architecture, "blocks") | {"channels": channels, "inner": [[units] * blocks for units in channels]}


def counted(network: Network) -> dict[str, Any]:
    """The numbers of `full` as the layers now are."""
    channels: list[int] = []
    inner: list[list[int]] = []
    for block in network.blocks.children():
        if not isinstance(block, Residual):
            continue
        if not inner or not block.removed_whole:  # each stage but the first begins with a block that changes sizes
            channels.append(0)
            inner.append([])
        last: Any = block.shortcut if block.body is None else block.body
        channels[-1] = last[-1].num_features
        inner[-1].append(block.inner)
    width = int(network.blocks[0].weight.shape[0])  # type: ignore[index]
    if len(inner) < len(STAGES):  # all blocks of the first stage were taken out
        channels, inner = [width, *channels], [[], *inner]
    return {"width": width, "channels": channels, "inner": inner}


def build(family: str, spec: InputSpec, outputs: int, architecture: Mapping[str, Any]) -> Network:
    """See `assets.families.build`."""
    sizes = full(family, architecture)
    width, large = sizes["width"], sizes["stem"] == "large"
    step = (2 if large else 1) << sizes.get(HALVINGS, 0)
    layers: list[nn.Module] = [
        nn.Conv2d(spec.shape[0], width, 7 if large else 3, step, 3 if large else 1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
    ]
    if large:
        layers.append(nn.MaxPool2d(3, 2, 1))
    inputs = width
    for channels, inner, (_, stride) in zip(sizes["channels"], sizes["inner"], STAGES, strict=True):
        for block, units in enumerate(inner):
            layers.append(Residual(inputs, channels, stride if block == 0 else 1, units))
            inputs = channels
    return Network(nn.Sequential(*layers), inputs, outputs, architecture)
