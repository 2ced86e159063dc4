"""Multi-layer perceptron: linear layer + BatchNorm + ReLU, `depth` times; pictures and series are read as one row.

`mlp_plain` has no BatchNorm, which mixes the records of a batch, so that it can be trained with differential privacy.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

from torch import nn

from assets.families.encoding import encoding
from assets.families.encoding import layers as encoded
from assets.families.network import DROPOUT, Network
from assets.line.model import ModelFamily
from edge.contracts import InputSpec


def architecture(model: ModelFamily, spec: InputSpec) -> dict[str, Any]:
    """Units of each block."""
    found: dict[str, Any] = {"depth": model.depth} | {f"channels_{block}": model.width for block in range(model.depth)}
    return found | encoding(model, spec)


def full(family: str, architecture: Mapping[str, Any]) -> dict[str, Any]:
    """The same architecture: it already has the units of each block."""
    del family
    return dict(architecture)


def counted(network: Network) -> dict[str, Any]:
    """The numbers of `full` as the layers now are."""
    widths = [layer.weight.shape[0] for layer in network.blocks.children() if isinstance(layer, nn.Linear)]
    return {f"channels_{block}": width for block, width in enumerate(widths)}


def build(family: str, spec: InputSpec, outputs: int, architecture: Mapping[str, Any]) -> Network:
    """See `assets.families.build`."""
    inputs, plain = prod(spec.shape), family == "mlp_plain"
    layers: list[nn.Module] = [nn.Flatten()] if len(spec.shape) > 1 else []
    before, inputs = encoded(spec, architecture, inputs)
    layers += before
    for block in range(architecture["depth"]):
        width = architecture[f"channels_{block}"]
        layers.append(nn.Linear(inputs, width, bias=plain))
        layers += [nn.ReLU()] if plain else [nn.BatchNorm1d(width), nn.ReLU()]
        if architecture.get(DROPOUT) and block + 1 < architecture["depth"]:  # the last block's is before the head
            layers.append(nn.Dropout(architecture[DROPOUT]))
        inputs = width
    return Network(nn.Sequential(*layers), inputs, outputs, architecture)
