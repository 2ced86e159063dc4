"""A small vision transformer (Dosovitskiy et al. 2021): patches as places of an encoder, and the mean over them.

The patch follows from the picture's size, so that there are about eight by eight of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from assets.families.attention import Position, blocks_of, count_encoder, full_encoder, refuse_uneven_heads
from assets.families.network import Network
from assets.line.model import ModelFamily
from edge.contracts import InputSpec

SIDE = 8
"""Patches along the shorter side."""


class Patches(nn.Module):
    """One vector per patch; pictures that patches do not fill are padded with zeros, the mean colour."""

    def __init__(self, shape: tuple[int, ...], patch: int, width: int) -> None:
        super().__init__()
        channels, high, wide = shape
        self.pad = (0, -wide % patch, 0, -high % patch)
        self.count = -(-high // patch) * -(-wide // patch)
        self.project = nn.Conv2d(channels, width, patch, patch)

    def forward(self, x: Tensor) -> Tensor:
        """(records, channels, height, width) to (records, patches, width)."""
        if any(self.pad):
            x = functional.pad(x, self.pad)
        vectors: Tensor = self.project(x).flatten(2).transpose(1, 2)
        return vectors


class Encoder(nn.Module):
    """Patches, their places, blocks, and the mean of what they say."""

    def __init__(self, shape: tuple[int, ...], architecture: Mapping[str, Any]) -> None:
        super().__init__()
        width = architecture["width"]
        self.patches = Patches(shape, architecture["patch"], width)
        self.position = Position(self.patches.count, width)
        self.blocks = nn.Sequential(*blocks_of(architecture))
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """(records, channels, height, width) to (records, width)."""
        mean: Tensor = self.norm(self.blocks(self.position(self.patches(x)))).mean(1)
        return mean


def architecture(model: ModelFamily, spec: InputSpec) -> dict[str, Any]:
    """Width, blocks, heads, and pixels of a patch's side."""
    refuse_uneven_heads(model.width, model.heads)
    patch = max(1, round(min(spec.shape[1:]) / SIDE))
    return {"width": model.width, "depth": model.depth, "heads": model.heads, "patch": patch}


def full(family: str, architecture: Mapping[str, Any]) -> dict[str, Any]:
    """The same architecture with the numbers of each block."""
    del family
    return full_encoder(architecture)


def counted(network: Network) -> dict[str, Any]:
    """The numbers of `full` as the layers now are."""
    return count_encoder(network)


def build(family: str, spec: InputSpec, outputs: int, architecture: Mapping[str, Any]) -> Network:
    """See `assets.families.build`."""
    sizes = full(family, architecture)
    return Network(Encoder(spec.shape, sizes), architecture["width"], outputs, architecture)
