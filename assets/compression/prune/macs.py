"""What a network costs, counted on the network itself."""

from __future__ import annotations

import warnings

import torch
from torch import nn
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
