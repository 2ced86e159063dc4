"""Texts as token numbers, 0 being padding: an embedding, then a GRU or a Transformer encoder, then a mean over words.

Padding changes no answer: a text says the same however long the row is that it stands in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from assets.families.attention import Position, blocks_of, count_encoder, full_encoder, refuse_uneven_heads
from assets.families.network import DROPOUT, Network
from assets.line.model import ModelFamily
from edge.contracts import InputSpec

NOBODY = -1e4
"""Added to the score of padding: no weight after softmax, and finite in float16 and for a text of padding only."""


class Embedding(nn.Module):
    """A vector per token number; padding's stays zero."""

    def __init__(self, buckets: int, width: int) -> None:
        super().__init__()
        self.table = nn.Embedding(buckets + 1, width, padding_idx=0)
        with torch.no_grad():
            self.table.weight.mul_(0.1)  # words differ little before they have learned to

    def forward(self, tokens: Tensor) -> Tensor:
        """(records, tokens) int64 to (records, tokens, width)."""
        vectors: Tensor = self.table(tokens)
        return vectors


def mean_of_words(states: Tensor, mask: Tensor) -> Tensor:
    """(records, tokens, width), and (records, tokens, 1) 1 for words and 0 for padding, to (records, width)."""
    return (states * mask).sum(1) / mask.sum(1).clamp(min=1)


class EmbeddingGru(nn.Module):
    """What the GRU says at the words: the mean, and the largest."""

    def __init__(self, spec: InputSpec, architecture: Mapping[str, Any]) -> None:
        super().__init__()
        width, depth, dropout = architecture["width"], architecture["depth"], architecture.get(DROPOUT, 0.0)
        self.embedding = Embedding(spec.buckets, width)
        self.dropout = nn.Dropout(dropout)
        self.cells = nn.GRU(width, width, depth, batch_first=True, dropout=dropout if depth > 1 else 0.0)

    def forward(self, tokens: Tensor) -> Tensor:
        """(records, tokens) int64 to (records, 2 * width)."""
        mask = (tokens > 0).to(torch.float32).unsqueeze(2)
        states, _ = self.cells(self.dropout(self.embedding(tokens)))
        largest = (states * mask + (mask - 1)).amax(1)  # states are in -1..1, so padding's -1 is the least
        return torch.cat((mean_of_words(states, mask), largest), 1)


class Transformer(nn.Module):
    """Encoder blocks over the words, and the mean of what they say."""

    def __init__(self, spec: InputSpec, architecture: Mapping[str, Any]) -> None:
        super().__init__()
        width, dropout = architecture["width"], architecture.get(DROPOUT, 0.0)
        self.embedding = Embedding(spec.buckets, width)
        self.position = Position(spec.shape[0], width)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(blocks_of(architecture))
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens: Tensor) -> Tensor:
        """(records, tokens) int64 to (records, width)."""
        mask = (tokens > 0).to(torch.float32)
        hidden = ((1 - mask) * NOBODY)[:, None, None, :]
        x = self.dropout(self.position(self.embedding(tokens)))
        for block in self.blocks:
            x = block(x, hidden)
        return mean_of_words(self.norm(x), mask.unsqueeze(2))


def architecture(model: ModelFamily, spec: InputSpec) -> dict[str, Any]:
    """Size of a word's vector, layers, and heads."""
    del spec
    found: dict[str, Any] = {"width": model.width, "depth": model.depth}
    if model.family == "transformer":
        refuse_uneven_heads(model.width, model.heads)
        found["heads"] = model.heads
    return found


def full(family: str, architecture: Mapping[str, Any]) -> dict[str, Any]:
    """The same architecture with the numbers of each block of a Transformer."""
    return full_encoder(architecture) if family == "transformer" else dict(architecture)


def counted(network: Network) -> dict[str, Any]:
    """The numbers of `full` as the layers now are."""
    return count_encoder(network) if network.family == "transformer" else {}


def build(family: str, spec: InputSpec, outputs: int, architecture: Mapping[str, Any]) -> Network:
    """See `assets.families.build`."""
    width = architecture["width"]
    if family == "transformer":
        return Network(Transformer(spec, full(family, architecture)), width, outputs, architecture)
    return Network(EmbeddingGru(spec, architecture), 2 * width, outputs, architecture)
