"""What a network costs, counted on the network itself."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from edge.contracts import InputSpec


def count_macs(network: nn.Module, spec: InputSpec) -> int:
    """Multiply-accumulate operations of one record: of matrix products and convolutions, as they are executed."""
    network.eval()
    record = torch.zeros((1, *spec.shape), dtype=torch.int64 if spec.kind == "text" else torch.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of what its own switch below touches
        # oneDNN's fused recurrent layers would hide their products from the counter.
        with FlopCounterMode(display=False) as counter, torch.no_grad(), torch.backends.mkldnn.flags(enabled=False):
            network(record)
    return int(counter.get_total_flops()) // 2


def macs_of_layers(network: nn.Module, record: Tensor) -> dict[nn.Module, int]:
    """Multiply-accumulates of each convolution and linear layer for one record, (1, *shape)."""
    found = {}
    for layer, written in written_by_layers(network, record).items():
        weight: Any = layer.weight
        found[layer] = weight.numel() * (written // weight.shape[0])
    return found


def written_by_layers(network: nn.Module, record: Tensor) -> dict[nn.Module, int]:
    """Numbers that each convolution and linear layer writes for one record, (1, *shape)."""
    found: dict[nn.Module, int] = {}

    def counts(layer: nn.Module) -> Callable[..., None]:
        def hook(_: nn.Module, __: Any, out: Tensor) -> None:
            found[layer] = found.get(layer, 0) + out.numel()

        return hook

    layers = [part for part in network.modules() if isinstance(part, (nn.modules.conv._ConvNd, nn.Linear))]
    handles = [layer.register_forward_hook(counts(layer)) for layer in layers]
    try:
        with torch.no_grad():
            network(record)
    finally:
        for handle in handles:
            handle.remove()
    return found
