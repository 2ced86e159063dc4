"""Taking whole channels out, without sparse kernels.

Channels are ranked by the magnitude of their weights (Li et al. 2017, "Pruning filters for efficient ConvNets"), summed
over the layers a channel couples (Fang et al. 2023, "DepGraph"), as in torch-pruning. The first-order Taylor importance
(Molchanov et al. 2019) needs data and gradients and bought nothing: over five seeds on digits the distilled students
reached 0.9912 with it and 0.9913 without.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from assets.compression.prune.macs import macs_of_layers
from assets.families.attention import Block
from assets.line.compression import Allocation

ROUND_TO = 8
"""Channels stay a multiple of this: INT8 kernels work on blocks of 8 or more."""
BY_COST = 0.5
"""Power of a layer's work in the share that it loses; 0 is "even"."""
MOST = 0.95
"""Largest share of one layer's channels to go."""


@dataclass(frozen=True, eq=False)
class Channels:
    """Channels that go together: of one layer, or of the layers that a shortcut ties.

    Attributes:
        layer: whose output channels they are.
        importance: (channels,) float32.
        cost: multiply-accumulates of the layers that write or read them.
    """

    layer: nn.Module
    importance: Tensor
    cost: int


def remove_channels(network: Any, share: float, allocate: Allocation, record: Tensor) -> None:
    """Take channels out of every layer but the head, in place; at least `ROUND_TO` stay of each.

    Args:
        network: of a family with the cut "channels", in evaluation mode. Of an encoder the units between the two linear
            layers of each block go; what its blocks add up keeps its width.
        share: of all channels, 0 to 1.
        record: (1, *shape).
    """
    blocks = [part for part in network.modules() if isinstance(part, Block)]
    if blocks:
        for block in blocks:
            _remove_units(block, share)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch-pruning uses what torch is about to deprecate
        for group in groups_to_remove(network, share, allocate, record):
            group.prune()


def groups_to_remove(network: Any, share: float, allocate: Allocation, record: Tensor) -> list[Any]:
    """What goes of each layer, as torch-pruning's groups: a group's `prune` takes it out of all layers it couples."""
    import torch_pruning as tp

    network.requires_grad_(True)  # layers that were frozen are pruned too
    importance, costs = tp.importance.GroupMagnitudeImportance(), macs_of_layers(network, record)
    graph = tp.DependencyGraph().build_dependency(network, record)
    found = []
    for group in graph.get_all_groups([network.head], (nn.modules.conv._ConvNd, nn.Linear)):
        cost = sum(costs.get(layer, 0) for layer in {dep.target.module for dep, _ in group})
        found.append(Channels(group[0].dep.target.module, importance(group).detach(), cost))
    groups = []
    for channels, keep in zip(found, widths(found, share, allocate), strict=True):
        gone = channels.importance.argsort()[: len(channels.importance) - keep].tolist()
        if gone:
            prune_out = graph.get_pruner_of_module(channels.layer).prune_out_channels
            groups.append(graph.get_pruning_group(channels.layer, prune_out, gone))
    return groups


def widths(groups: Sequence[Channels], share: float, allocate: Allocation) -> list[int]:
    """How many channels stay of each group.

    "even": each loses the same share, so that none is pruned away on a small network. "cost": each loses a share that
    grows with the work that one of its channels costs, to the power of `BY_COST`; as many channels go in all.
    """
    sizes = torch.tensor([float(len(group.importance)) for group in groups])
    shares = torch.full_like(sizes, share)
    if allocate == "cost":
        weight = (torch.tensor([float(max(1, group.cost)) for group in groups]) / sizes) ** BY_COST
        most = ((sizes - ROUND_TO) / sizes).clamp(0, MOST)
        wanted = min(float((share * sizes).sum()), float((most * sizes).sum()))
        low, high = 0.0, float(1 / weight.min())
        for _ in range(60):  # the factor at which so many go; it is bounded by the layers that are at their end
            factor = (low + high) / 2
            shares = (weight * factor).minimum(most)
            low, high = (factor, high) if float((shares * sizes).sum()) < wanted else (low, factor)
    return [rounded(int(size), float(part)) for size, part in zip(sizes, shares, strict=True)]


def rounded(channels: int, share: float) -> int:
    """What stays of so many channels: a multiple of `ROUND_TO`, of more than 16 one of 16; all where there are fewer.

    ONNX Runtime's fast INT8 convolutions write 16 channels at a time: 8 of them take longer than 16 (31 against 22 us
    per layer of 32x32 pixels), and 24 nearly as long as 32.
    """
    step = ROUND_TO if channels <= 2 * ROUND_TO else 2 * ROUND_TO
    keep = int(channels * (1 - share) + step / 2 - 1e-9) // step * step
    return min(channels, max(step, keep))


@torch.no_grad()
def _remove_units(block: Block, share: float) -> None:
    """Units between the two linear layers of an encoder's block, those of the least weights first."""
    _, first, _, second, _ = block.feed_forward
    assert isinstance(first, nn.Linear)
    assert isinstance(second, nn.Linear)
    importance = first.weight.square().sum(1) + second.weight.square().sum(0)
    keep = importance.argsort(descending=True)[: rounded(first.out_features, share)].sort().values
    narrow, wide = nn.Linear(first.in_features, len(keep)), nn.Linear(len(keep), second.out_features)
    narrow.weight, narrow.bias = nn.Parameter(first.weight[keep]), nn.Parameter(first.bias[keep])
    wide.weight, wide.bias = nn.Parameter(second.weight[:, keep]), nn.Parameter(second.bias.clone())
    block.feed_forward[1], block.feed_forward[3] = narrow, wide
