"""Narrowing a network: whole channels are removed, so every runtime gains, without sparse kernels.

Channels are ranked by the magnitude of their weights (Li et al. 2017, "Pruning filters for efficient ConvNets"), summed
over the layers a channel couples (Fang et al. 2023, "DepGraph"), as in torch-pruning. The first-order Taylor importance
(Molchanov et al. 2019) needs data and gradients and bought nothing: over five seeds on digits the distilled students
reached 0.9912 with it and 0.9913 without.
"""

from __future__ import annotations

import copy
import warnings

import torch

from assets.networks import Network, architecture_of, build_network

ROUND_TO = 8
"""Channels stay a multiple of this: INT8 kernels work on blocks of 8 or more."""


def prune(network: Network, family: str, shape: tuple[int, ...], classes: int, ratio: float) -> Network:
    """A narrower copy of `network`; the network itself, and the number of its outputs, stay as they are.

    Each layer loses the same share, so that none is pruned away on a small network.

    Args:
        ratio: share of channels of each layer to remove, 0 to 1; at least `ROUND_TO` stay.
    """
    import torch_pruning as tp

    narrow = copy.deepcopy(network).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch-pruning uses what torch is about to deprecate
        pruner = tp.pruner.BasePruner(
            narrow,
            torch.zeros((1, *shape)),
            importance=tp.importance.GroupMagnitudeImportance(),
            pruning_ratio=ratio,
            round_to=ROUND_TO,
            ignored_layers=[narrow.head],
        )
        pruner.step()
    rebuilt = build_network(family, shape, classes, architecture_of(narrow))
    rebuilt.load_state_dict(narrow.state_dict())  # proves that the numbers describe the pruned network
    return rebuilt.eval()


def count_macs(network: Network, shape: tuple[int, ...]) -> int:
    """Multiply-accumulate operations of one record."""
    import torch_pruning as tp

    macs, _ = tp.utils.count_ops_and_params(copy.deepcopy(network).eval(), torch.zeros((1, *shape)))
    return int(macs)
