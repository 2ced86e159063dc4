"""Multi-layer perceptron: linear layer + BatchNorm + ReLU, `depth` times; pictures and series are read as one row.

`mlp_plain` has no BatchNorm, which mixes the records of a batch, so that it can be trained with differential privacy.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from assets.errors import RejectedError
from assets.families.network import DROPOUT, Network
from assets.learning import ModelFamily
from edge.contracts import InputSpec

MAX_CROSSED = 256
"""Columns whose products are still few enough (32,640) for one layer."""


class Cross(nn.Module):
    """Adds the product of every pair of columns: power is torque times speed, and no ReLU multiplies."""

    first: Tensor
    second: Tensor

    def __init__(self, columns: int) -> None:
        super().__init__()
        pairs = torch.tensor(list(combinations(range(columns), 2)), dtype=torch.int64).reshape(-1, 2)
        self.register_buffer("first", pairs[:, 0].contiguous(), persistent=False)
        self.register_buffer("second", pairs[:, 1].contiguous(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(records, columns) to (records, columns + pairs)."""
        return torch.cat((x, x.index_select(1, self.first) * x.index_select(1, self.second)), 1)


def architecture(model: ModelFamily, spec: InputSpec) -> dict[str, Any]:
    """Units of each block."""
    found: dict[str, Any] = {"depth": model.depth} | {f"channels_{block}": model.width for block in range(model.depth)}
    if model.cross:
        if spec.kind != "table" or not 2 <= spec.shape[0] <= MAX_CROSSED:
            raise RejectedError(
                f"model.cross: multiplies 2 to {MAX_CROSSED} columns of a table, not {spec.kind} {list(spec.shape)}; "
                "take it out"
            )
        found["cross"] = True
    return found


def build(family: str, spec: InputSpec, outputs: int, architecture: Mapping[str, Any]) -> Network:
    """See `assets.families.build`."""
    inputs, plain = prod(spec.shape), family == "mlp_plain"
    layers: list[nn.Module] = [nn.Flatten()] if len(spec.shape) > 1 else []
    if architecture.get("cross"):
        layers.append(Cross(inputs))
        inputs += inputs * (inputs - 1) // 2
    for block in range(architecture["depth"]):
        width = architecture[f"channels_{block}"]
        layers.append(nn.Linear(inputs, width, bias=plain))
        layers += [nn.ReLU()] if plain else [nn.BatchNorm1d(width), nn.ReLU()]
        if architecture.get(DROPOUT) and block + 1 < architecture["depth"]:  # the last block's is before the head
            layers.append(nn.Dropout(architecture[DROPOUT]))
        inputs = width
    return Network(nn.Sequential(*layers), inputs, outputs, architecture)
