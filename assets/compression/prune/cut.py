"""One smaller network as a recipe asks for it."""

from __future__ import annotations

from typing import Any

from torch import nn

from assets.compression.contract import Recipe
from assets.compression.prune.channels import narrowed
from edge.contracts import InputSpec


def prune(network: Any, spec: InputSpec, outputs: int, recipe: Recipe) -> nn.Module:
    """A smaller copy of a network of ours; the network itself, and the number of its outputs, stay as they are.

    Args:
        network: of a family with `cuts`, see `assets.families.registry.FamilySpec`.
        recipe: of it `prune`, `allocate`, `blocks` and `heads` are read.
    """
    return narrowed(network, spec, outputs, recipe.prune)
