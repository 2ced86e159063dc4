"""The Transformer encoder (Vaswani et al. 2017), normalized before each part: it needs no warm-up (Xiong et al. 2020).

Written with plain linear layers, which export to a handful of ONNX operations with a dynamic batch, become INT8 and
give per-record gradients; `nn.MultiheadAttention` does neither.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from assets.errors import RejectedError
from assets.families.network import DROPOUT, without

FEED_FORWARD = 2
"""Units of a block's inner layer, as a multiple of its width; small encoders do not gain from the paper's 4."""


def refuse_uneven_heads(width: int, heads: int) -> None:
    """Raise RejectedError unless every head gets the same share of the width."""
    if width % heads:
        raise RejectedError(f"model.heads: {heads} heads do not share model.width {width} evenly; change one of them")


class Attention(nn.Module):
    """Every place looks at every other.

    Args:
        size: numbers of each head; `width` over `heads`, unless heads were taken out.
    """

    def __init__(self, width: int, heads: int, size: int) -> None:
        super().__init__()
        self.heads, self.size = heads, size
        self.joint = nn.Linear(width, 3 * heads * size)
        self.out = nn.Linear(heads * size, width)

    def forward(self, x: Tensor, hidden: Tensor | None) -> Tensor:
        """(records, places, width) to the same.

        Args:
            hidden: (records, 1, 1, places) float32, a large negative number where nobody may look; None to see all.
        """
        parts = self.joint(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        query, key, value = parts[0], parts[1], parts[2]
        scores = query @ key.transpose(2, 3) / math.sqrt(query.shape[-1])
        if hidden is not None:
            scores = scores + hidden
        mixed: Tensor = self.out((scores.softmax(-1) @ value).transpose(1, 2).flatten(2))
        return mixed


class Block(nn.Module):
    """Attention, then two linear layers, each added to what came in.

    Args:
        heads, size: of the attention.
        hidden: units between the two linear layers.
    """

    removable = removed_whole = True

    def __init__(self, width: int, heads: int, size: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.attention = Attention(width, heads, size)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, hidden),
            nn.GELU(),
            nn.Linear(hidden, width),
            nn.Dropout(dropout),
        )
        self.dropout = nn.Dropout(dropout)

    def bypass(self, x: Tensor) -> Tensor:
        """What comes out when it is taken out."""
        return x

    def forward(self, x: Tensor, hidden: Tensor | None = None) -> Tensor:
        """(records, places, width) to the same; `hidden` as in `Attention`."""
        x = x + self.dropout(self.attention(self.norm(x), hidden))
        out: Tensor = x + self.feed_forward(x)
        return out


def full_encoder(architecture: Mapping[str, Any]) -> dict[str, Any]:
    """An architecture with `heads` and `hidden` units of each block, and `head_size`; without `depth`."""
    if "hidden" in architecture:
        return dict(architecture)
    width, heads, depth = architecture["width"], architecture["heads"], architecture["depth"]
    sizes = {"heads": [heads] * depth, "head_size": width // heads, "hidden": [FEED_FORWARD * width] * depth}
    return without(architecture, "depth") | sizes


def count_encoder(network: nn.Module) -> dict[str, Any]:
    """The numbers of `full_encoder` as the layers now are."""
    blocks = [block for block in network.modules() if isinstance(block, Block)]
    return {
        "heads": [block.attention.heads for block in blocks],
        "hidden": [block.feed_forward[1].out_features for block in blocks],
    }


def blocks_of(sizes: Mapping[str, Any]) -> list[Block]:
    """The blocks that a full architecture describes."""
    width, size, dropout = sizes["width"], sizes["head_size"], sizes.get(DROPOUT, 0.0)
    return [Block(width, h, size, units, dropout) for h, units in zip(sizes["heads"], sizes["hidden"], strict=True)]


class Position(nn.Module):
    """Adds a learned vector to each place."""

    def __init__(self, places: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(places, width) * 0.02)

    def forward(self, x: Tensor) -> Tensor:
        """(records, places, width) to the same."""
        return x + self.weight
