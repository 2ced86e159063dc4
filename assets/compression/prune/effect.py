"""What taking a part out does to a network's answers: the rank of blocks and of attention heads.

Parts are few, so each is tried: it is switched off, and the answers on some records are compared (Michel, Levy & Neubig
2019, "Are sixteen heads really better than one?", rank heads so; Elkerdawy et al. 2020, "To filter prune, or to layer
prune", whole layers). Unlike the norm of a part's weights this sees what the rest of the network makes of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from edge.contracts import InputSpec

RECORDS = 64
"""Made records, where none are given."""

Hook = Callable[[nn.Module, tuple[Any, ...], Any], Any]


def made_records(spec: InputSpec) -> Tensor:
    """(records, *shape) numbers of mean 0 and deviation 1, or token numbers, always the same ones.

    Noise ranks worse than records of the data, and better than nothing.
    """
    generator = torch.Generator().manual_seed(0)
    if spec.kind == "text":
        return torch.randint(1, spec.buckets + 1, (RECORDS, *spec.shape), generator=generator)
    return torch.randn((RECORDS, *spec.shape), generator=generator)


@torch.no_grad()
def effect(network: nn.Module, records: Tensor, wanted: Tensor, part: nn.Module, hook: Hook) -> float:
    """Root mean square of what the answers change by while `hook` stands on `part`, as a share of the answers' own.

    Args:
        network: in evaluation mode.
        records: (records, *shape).
        wanted: (records, outputs) answers of the whole network.
    """
    handle = part.register_forward_hook(hook)
    try:
        changed = network(records) - wanted
    finally:
        handle.remove()
    spread = (wanted - wanted.mean(0)).square().mean().clamp(min=1e-12)  # answers around 50 do not hide a change of 1
    return float((changed.square().mean() / spread).sqrt())
