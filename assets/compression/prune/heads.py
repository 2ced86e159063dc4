"""Taking attention heads out. What stays has heads of the same size, so each block gets a smaller matrix product."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from assets.compression.prune.effect import Hook, effect
from assets.errors import RejectedError
from assets.families.attention import Attention


def remove_heads(network: nn.Module, share: float, records: Tensor) -> None:
    """Take heads out of a network, in place: those whose silence changes the answers least; each block keeps one.

    Args:
        network: in evaluation mode.
        share: of all heads, 0 to 1.
        records: (records, *shape) that the answers are compared on, see `effect`.

    Raises:
        RejectedError: it has no heads, or none to spare.
    """
    blocks = [part for part in network.modules() if isinstance(part, Attention)]
    number = round(share * sum(block.heads for block in blocks))
    number = min(number, sum(block.heads - 1 for block in blocks))
    if number < 1:
        heads = [block.heads for block in blocks]
        raise RejectedError(f"compress.heads: {share:g} of the heads {heads} of this network is none; raise or drop it")
    with torch.no_grad():
        wanted = network(records)
    lost = {
        (place, head): effect(network, records, wanted, *_silenced(block, head))
        for place, block in enumerate(blocks)
        for head in range(block.heads)
    }
    gone: list[set[int]] = [set() for _ in blocks]
    for place, head in sorted(lost, key=lost.__getitem__):
        if number and len(gone[place]) < blocks[place].heads - 1:
            gone[place].add(head)
            number -= 1
    for block, some in zip(blocks, gone, strict=True):
        keep_heads(block, [head for head in range(block.heads) if head not in some])


def keep_heads(attention: Attention, heads: list[int]) -> None:
    """Leave these heads, in place. What stays computes what it did: a head only meets the others in a sum."""
    size = attention.size
    rows = torch.tensor([head * size + number for head in heads for number in range(size)])
    width = attention.heads * size
    three = torch.cat([rows + part * width for part in range(3)])  # query, key and value
    attention.joint = _linear(attention.joint.weight[three], attention.joint.bias[three])
    attention.out = _linear(attention.out.weight[:, rows], attention.out.bias)
    attention.heads = len(heads)


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    layer.weight, layer.bias = nn.Parameter(weight.detach().clone()), nn.Parameter(bias.detach().clone())
    return layer


def _silenced(attention: Attention, head: int) -> tuple[nn.Module, Hook]:
    """The layer whose output is changed, and how: what one head says is taken out of the sum again."""
    part = slice(head * attention.size, (head + 1) * attention.size)

    def hook(layer: nn.Module, args: tuple[Tensor, ...], out: Tensor) -> Tensor:
        return out - args[0][..., part] @ layer.weight[:, part].T  # type: ignore[index]

    return attention.out, hook
