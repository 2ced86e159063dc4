"""The Transformer encoder (Vaswani et al. 2017), normalized before each part: it needs no warm-up (Xiong et al. 2020).

Written with plain linear layers, which export to a handful of ONNX operations with a dynamic batch, become INT8 and
give per-record gradients; `nn.MultiheadAttention` does neither.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from assets.errors import RejectedError

FEED_FORWARD = 2
"""Units of a block's inner layer, as a multiple of its width; small encoders do not gain from the paper's 4."""


def refuse_uneven_heads(width: int, heads: int) -> None:
    """Raise RejectedError unless every head gets the same share of the width."""
    if width % heads:
        raise RejectedError(f"model.heads: {heads} heads do not share model.width {width} evenly; change one of them")


class Attention(nn.Module):
    """Every place looks at every other."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.joint = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

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
    """Attention, then two linear layers, each added to what came in."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, FEED_FORWARD * width),
            nn.GELU(),
            nn.Linear(FEED_FORWARD * width, width),
            nn.Dropout(dropout),
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, hidden: Tensor | None = None) -> Tensor:
        """(records, places, width) to the same; `hidden` as in `Attention`."""
        x = x + self.dropout(self.attention(self.norm(x), hidden))
        out: Tensor = x + self.feed_forward(x)
        return out


class Position(nn.Module):
    """Adds a learned vector to each place."""

    def __init__(self, places: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(places, width) * 0.02)

    def forward(self, x: Tensor) -> Tensor:
        """(records, places, width) to the same."""
        return x + self.weight
