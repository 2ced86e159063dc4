"""Averaged weights: the average is right, starts quickly, copies statistics, and survives a checkpoint."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from assets.fitting.ema import AveragedWeights


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


def step(net: nn.Module) -> None:
    """Move every weight and the statistics, as a training step does."""
    net.train()
    net(torch.randn(8, 3))
    with torch.no_grad():
        for parameter in net.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter))


def test_it_is_the_moving_average_with_warm_up() -> None:
    net = network()
    averaged = AveragedWeights(net, 0.5)
    expected = [parameter.detach().clone() for parameter in net.parameters()]
    for momentum in (1 / 10, 2 / 11, 3 / 12, 4 / 13, 5 / 14, 6 / 15, 7 / 16, 8 / 17, 0.5, 0.5):
        step(net)
        averaged.update(net)
        expected = [
            momentum * mine + (1 - momentum) * its.detach()
            for mine, its in zip(expected, net.parameters(), strict=True)
        ]
    for mine, wanted in zip(averaged.network.parameters(), expected, strict=True):
        assert torch.allclose(mine, wanted, atol=1e-6)


def test_statistics_are_the_networks_own_and_frozen_weights_stay() -> None:
    net = network()
    first = net[0]  # type: ignore[index]
    first.requires_grad_(False)
    averaged = AveragedWeights(net, 0.99)
    for _ in range(3):
        step(net)
        averaged.update(net)
    for mine, its in zip(averaged.network.buffers(), net.buffers(), strict=True):
        assert torch.equal(mine, its)
    assert torch.equal(averaged.network[0].weight, first.weight)  # type: ignore[index]
    assert not averaged.network.training
    assert not any(parameter.requires_grad for parameter in averaged.network.parameters())


def test_a_checkpoint_goes_on_exactly() -> None:
    net = network()
    averaged = AveragedWeights(net, 0.9)
    for _ in range(4):
        step(net)
        averaged.update(net)
    again = AveragedWeights(network(1), 0.9)
    again.load_state_dict(averaged.state_dict())
    step(net)
    averaged.update(net)
    again.update(net)
    other = network(2)
    again.copy_to(other)
    for name, value in averaged.network.state_dict().items():
        assert torch.equal(other.state_dict()[name], value)
    assert again.updates == averaged.updates == 5


def test_another_networks_checkpoint_is_refused() -> None:
    with pytest.raises(RuntimeError, match="Missing key"):
        AveragedWeights(network(), 0.9).load_state_dict(AveragedWeights(nn.Linear(3, 2), 0.9).state_dict())


def test_a_decay_is_a_share() -> None:
    with pytest.raises(ValueError, match="decay 1"):
        AveragedWeights(network(), 1.0)
