"""One smaller network as a recipe asks for it."""

from __future__ import annotations

import copy
from typing import Any

from torch import Tensor, nn

from assets.compression.documents import Recipe
from assets.compression.prune.blocks import remove_blocks
from assets.compression.prune.channels import remove_channels
from assets.compression.prune.effect import made_records
from assets.compression.prune.heads import remove_heads
from assets.compression.prune.resolution import halve_picture
from assets.errors import RejectedError
from assets.families.build import build_network
from assets.families.network import FREEZE, without
from assets.families.weights import architecture_of
from assets.line.families import cuts_of
from edge.contracts import InputSpec


def prune(network: Any, spec: InputSpec, outputs: int, recipe: Recipe, records: Tensor | None = None) -> nn.Module:
    """A smaller copy of a network of ours; the network itself, and the number of its outputs, stay as they are.

    First the picture is halved, then blocks go, heads, and channels. What stays has the weights it had.

    Args:
        network: of a family with `cuts`, see `assets.line.families.FamilySpec`.
        recipe: of it `prune`, `allocate`, `blocks`, `heads` and `halvings` are read.
        records: (records, *shape) that blocks and heads are ranked on, a few dozen of the calibration's; without them
            on noise, which ranks worse.

    Raises:
        RejectedError: the family cannot be cut so, or nothing would change.
    """
    asked = {"channels": recipe.prune, "blocks": recipe.blocks, "heads": recipe.heads, "resolution": recipe.halvings}
    cuts = cuts_of(network.family)
    for cut, amount in asked.items():
        if amount and cut not in cuts:
            allowed = " and ".join(sorted(cuts)) or "nothing"
            raise RejectedError(f"compress: of {network.family!r} {allowed} can be taken out, no {cut}; drop it")
    small = copy.deepcopy(network).eval()
    shown = made_records(spec) if records is None else records
    if recipe.halvings:
        halve_picture(small, recipe.halvings)
    if recipe.blocks:
        remove_blocks(small, recipe.blocks, shown)
    if recipe.heads:
        remove_heads(small, recipe.heads, shown)
    if recipe.prune:
        remove_channels(small, recipe.prune, recipe.allocate, shown[:1])
    architecture = without(architecture_of(small), FREEZE)
    if architecture == without(network.architecture, FREEZE):
        raise RejectedError(
            f"compress.prune: {recipe.prune:g} of the channels of this network is less than a whole block of eight; "
            "raise it, or leave the network as it is"
        )
    rebuilt = build_network(network.family, spec, outputs, architecture)
    rebuilt.load_state_dict(small.state_dict())  # proves that the numbers describe the pruned network
    return rebuilt.eval()
