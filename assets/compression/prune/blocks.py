"""Taking residual blocks out: what makes a batch of one fast, where each small kernel costs a call.

Blocks are ranked by what their loss changes, per number that they write. The numbers that layers write tell the time of
a network better than its multiplications (Radosavovic et al. 2020, "Designing network design spaces"). Of a ResNet of
three blocks in INT8 the blocks took 86, 44 and 35 us, wrote 49, 25 and 12 thousand numbers, and did 10, 8 and 8 million
multiplications.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from assets.compression.prune.effect import effect
from assets.compression.prune.macs import written_by_layers
from assets.errors import RejectedError
from assets.families.attention import Block
from assets.families.mobilenet import InvertedResidual
from assets.families.resnet import Residual

BLOCKS = (Residual, InvertedResidual, Block)


def removable_blocks(network: nn.Module) -> list[str]:
    """Names of the blocks that can be taken out, in the order of the network; an encoder keeps one."""
    found = [(name, part) for name, part in network.named_modules() if isinstance(part, BLOCKS)]
    names = [name for name, part in found if part.removable]
    return [] if len(found) == 1 and isinstance(found[0][1], Block) else names


def remove_blocks(network: nn.Module, number: int, records: Tensor) -> None:
    """Take blocks out of a network, in place: each time the one whose loss changes least for what it saves.

    Args:
        network: in evaluation mode.
        records: (records, *shape) that the answers are compared on, see `effect`.

    Raises:
        RejectedError: it has fewer blocks that can be taken out.
    """
    with torch.no_grad():
        wanted = network(records)
    for done in range(number):
        names = removable_blocks(network)
        if not names:
            raise RejectedError(
                f"compress.blocks: {number} blocks cannot be taken out of this network, {done} can; lower it"
            )
        written = written_by_layers(network, records[:1])
        lost = {}
        for name in names:
            block: Any = network.get_submodule(name)
            lost[name] = effect(network, records, wanted, block, _bypassed) / max(1, _saved(block, written))
        remove_block(network, min(names, key=lost.__getitem__))


def remove_block(network: nn.Module, name: str) -> None:
    """Take one block out, in place."""
    block: Any = network.get_submodule(name)
    if not block.removed_whole:
        block.body = None
        return
    above, _, position = name.rpartition(".")
    row: Any = network.get_submodule(above)
    del row[int(position)]  # a Sequential and a ModuleList count anew, as they are built again


def _bypassed(block: Any, args: tuple[Tensor, ...], out: Tensor) -> Any:
    """What comes out of the block once it is gone."""
    del out
    return block.bypass(args[0])


def _saved(block: nn.Module, written: dict[nn.Module, int]) -> int:
    """Numbers that nothing writes any more once the block is gone."""
    part = block.body if isinstance(block, Residual) and block.body is not None else block
    return sum(written.get(layer, 0) for layer in part.modules())
