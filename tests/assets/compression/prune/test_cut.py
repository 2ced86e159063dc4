"""Channels, blocks and heads are taken out: what stays computes what it did, and is built again from plain numbers."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from assets.compression.documents import Recipe
from assets.compression.prune import count_macs, cuts_of, prune
from assets.compression.prune.blocks import _bypassed, removable_blocks, remove_block
from assets.compression.prune.channels import Channels, groups_to_remove, rounded, widths
from assets.compression.prune.effect import effect, made_records
from assets.compression.prune.heads import keep_heads
from assets.errors import RejectedError
from assets.families.attention import Attention, Block
from assets.families.build import build_network, teacher_architecture
from assets.families.weights import architecture_of, parameters_of, predict, set_weights, weights_of
from assets.line.compression import Allocation
from assets.line.families import FAMILIES
from assets.line.model import ModelFamily
from edge.contracts import InputSpec

PICTURE = InputSpec("image", "input", (3, 12, 12), (0.0,) * 3, (1.0,) * 3)
SPECS = {
    "image": PICTURE,
    "table": InputSpec("table", "input", (4,), (0.0,) * 4, (1.0,) * 4, ("a", "b", "c", "d")),
    "series": InputSpec("series", "input", (6, 3), (0.0,) * 3, (1.0,) * 3, ("a", "b", "c")),
    "text": InputSpec("text", "input", (8,), (), (), buckets=50),
}
CUT = {
    "channels": Recipe(prune=0.5),
    "blocks": Recipe(blocks=1),
    "heads": Recipe(heads=0.5),
    "resolution": Recipe(halvings=1),
}
ALLOCATIONS: tuple[Allocation, ...] = ("even", "cost")
ENCODERS = ["vit", "transformer"]
CASES = [(family, cut) for family in FAMILIES for cut in sorted(cuts_of(family))]


def _network(family: str, depth: int = 2, width: int = 16) -> tuple[Any, InputSpec]:
    """A network that is not fresh: its BatchNorms have statistics, and no block passes its input on."""
    spec = SPECS[sorted(FAMILIES[family].reads)[0]]
    torch.manual_seed(0)
    architecture = teacher_architecture(ModelFamily(family=family, width=width, depth=depth, heads=4), spec)
    network = build_network(family, spec, 5, architecture)
    for part in network.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.uniform_(part.bias, -0.5, 0.5)
            nn.init.uniform_(part.running_mean, -0.2, 0.2)  # type: ignore[arg-type]
            nn.init.uniform_(part.running_var, 0.5, 1.5)  # type: ignore[arg-type]
    return network.eval(), spec


@pytest.mark.parametrize(("family", "cut"), CASES)
def test_what_is_cut_is_built_again_from_plain_numbers(family: str, cut: str) -> None:
    network, spec = _network(family)
    before, weights = dict(network.architecture), weights_of(network)
    small = prune(network, spec, 5, CUT[cut])
    assert weights_of(network) == weights
    assert architecture_of(network) == before  # the teacher stays as it was
    assert count_macs(small, spec) < count_macs(network, spec)
    assert parameters_of(small) < parameters_of(network) or cut == "resolution"  # whose weights all stay
    again = build_network(family, spec, 5, json.loads(json.dumps(architecture_of(small))))
    set_weights(again, weights_of(small), "small")
    x = made_records(spec)[:3]
    assert torch.equal(predict(again, x), predict(small, x))
    assert predict(small, x).shape == (3, 5)


def test_timm_and_ones_own_networks_are_not_cut() -> None:
    assert cuts_of("timm:resnet18") == cuts_of("my.module:build") == frozenset()


@pytest.mark.parametrize("family", ["vit", "transformer"])
def test_heads_that_go_were_silent(family: str) -> None:
    network, spec = _network(family)
    x = made_records(spec)[:4]
    small = prune(network, spec, 5, Recipe(heads=0.5), x)
    heads = architecture_of(small)["heads"]
    assert sum(heads) == 4
    assert min(heads) >= 1
    attention = next(part for part in network.modules() if isinstance(part, Attention))
    attention.out.weight.data[:, 4:8] = 0  # what the second head says is not heard
    silent = predict(network, x)
    keep_heads(attention, [0, 2, 3])
    assert attention.joint.out_features == 3 * 3 * 4
    assert torch.allclose(predict(network, x), silent, atol=1e-5)


def test_the_least_heads_go_and_each_block_keeps_one() -> None:
    network, spec = _network("vit")
    first, second = (part for part in network.modules() if isinstance(part, Attention))
    first.out.weight.data *= 1e-3
    second.out.weight.data[:, :4] *= 1e-3
    small: Any = prune(network, spec, 5, Recipe(heads=0.5))
    assert architecture_of(small)["heads"] == [1, 3]
    kept = [part for part in small.modules() if isinstance(part, Attention)][1]
    assert torch.equal(kept.out.weight, second.out.weight[:, 4:])
    assert architecture_of(prune(network, spec, 5, Recipe(heads=0.94)))["heads"] == [1, 1]


@pytest.mark.parametrize("family", ["resnet", "mobilenet", "vit", "transformer"])
def test_a_block_that_goes_passes_its_input_on(family: str) -> None:
    network, spec = _network(family)
    x = made_records(spec)[:4]
    with torch.no_grad():
        wanted = network(x)
    for name in removable_blocks(network):
        again, _ = _network(family)
        block: Any = again.get_submodule(name)
        assert effect(again, x, wanted, block, _bypassed) > 0
        handle = block.register_forward_hook(_bypassed)
        bypassed = predict(again, x)
        handle.remove()
        remove_block(again, name)
        assert torch.equal(predict(again, x), bypassed)
        rebuilt = build_network(family, spec, 5, architecture_of(again))
        rebuilt.load_state_dict(again.state_dict())
        assert torch.equal(predict(rebuilt, x), bypassed)


def test_the_block_that_matters_least_goes() -> None:
    network, spec = _network("resnet")
    for name in removable_blocks(network)[:-1]:
        network.get_submodule(name).body[-1].bias.data += 3
    nn.init.zeros_(network.blocks[-1].body[-1].weight)
    nn.init.zeros_(network.blocks[-1].body[-1].bias)
    small = prune(network, spec, 5, Recipe(blocks=1))
    assert architecture_of(small)["inner"] == [[16, 16], [32, 32], [64]]
    x = made_records(spec)[:4]
    assert torch.allclose(predict(small, x), predict(network, x), atol=1e-6)  # it said nothing


def test_all_blocks_of_a_resnet_may_go_and_no_more() -> None:
    network, spec = _network("resnet", depth=1)
    bare = prune(network, spec, 5, Recipe(blocks=3))
    assert architecture_of(bare)["inner"] == [[], [0], [0]]
    with pytest.raises(RejectedError, match="4 blocks cannot be taken out of this network, 3 can"):
        prune(network, spec, 5, Recipe(blocks=4))


@pytest.mark.filterwarnings("ignore")  # torch-pruning uses what torch is about to deprecate
@pytest.mark.parametrize("allocate", ALLOCATIONS)
@pytest.mark.parametrize("family", [family for family in FAMILIES if cuts_of(family) and family not in ENCODERS])
def test_narrowing_is_masking(family: str, allocate: Allocation) -> None:
    """The network answers as it does when nobody reads the channels that go."""
    network, spec = _network(family)
    x = made_records(spec)[:4]
    small = prune(network, spec, 5, Recipe(prune=0.5, allocate=allocate))
    for group in groups_to_remove(network, 0.5, allocate, x[:1]):
        for dep, channels in group:
            layer: Any = dep.target.module
            if isinstance(layer, (nn.modules.conv._ConvNd, nn.Linear)) and "in_channels" in dep.handler.__name__:
                layer.weight.data[:, channels if layer.weight.shape[1] > 1 else []] = 0
    assert torch.allclose(predict(small, x), predict(network, x), atol=1e-4)


@pytest.mark.parametrize("family", ENCODERS)
def test_the_units_of_an_encoder_that_go_are_its_least(family: str) -> None:
    network, spec = _network(family)
    x = made_records(spec)[:4]
    blocks: list[Any] = [part for part in network.modules() if isinstance(part, Block)]
    for block in blocks:
        block.feed_forward[1].weight.data[1::2] *= 1e-4
        block.feed_forward[3].weight.data[:, 1::2] = 0
    small = prune(network, spec, 5, Recipe(prune=0.5))
    assert architecture_of(small)["hidden"] == [16, 16]
    assert torch.allclose(predict(small, x), predict(network, x), atol=1e-5)


def test_cost_takes_more_where_the_work_is() -> None:
    network, spec = _network("resnet", width=32)
    even, cost = (prune(network, spec, 5, Recipe(prune=0.2, allocate=name)) for name in ALLOCATIONS)
    assert architecture_of(cost)["width"] < architecture_of(even)["width"]
    assert architecture_of(cost)["inner"][2] > architecture_of(even)["inner"][2]
    assert count_macs(cost, spec) < count_macs(even, spec)


def _groups(*sizes_and_costs: tuple[int, int]) -> list[Channels]:
    return [Channels(nn.Identity(), torch.zeros(size), cost) for size, cost in sizes_and_costs]


def test_as_many_channels_go_by_cost_as_evenly() -> None:
    groups = _groups((64, 64_000), (64, 16_000), (64, 4_000))
    assert widths(groups, 0.5, "even") == [32, 32, 32]
    kept = widths(groups, 0.5, "cost")
    assert kept == sorted(kept)
    assert abs(sum(kept) - 96) <= 24  # what rounding to sixteens leaves
    assert widths(_groups((8, 9), (8, 1)), 0.9, "cost") == [8, 8]
    assert widths(groups, 0.94, "cost") == [16, 16, 16]


def test_widths_are_eights_and_of_wide_layers_sixteens() -> None:
    assert [rounded(channels, 0.5) for channels in (4, 8, 16, 24, 40, 64)] == [4, 8, 8, 16, 16, 32]
    assert rounded(64, 0.01) == 64
    assert rounded(64, 0.99) == 16


@pytest.mark.parametrize(
    ("family", "recipe", "reason"),
    [
        ("cnn", Recipe(blocks=1), "of 'cnn' channels and resolution can be taken out, no blocks"),
        ("resnet", Recipe(heads=0.5), "of 'resnet' blocks and channels and resolution can be taken out, no heads"),
        ("gru", Recipe(prune=0.5), "of 'gru' nothing can be taken out, no channels"),
        ("vit", Recipe(heads=0.01), r"0.01 of the heads \[4, 4\] of this network is none"),
        ("cnn", Recipe(prune=0.01), "is less than a whole block of eight"),
        ("cnn", Recipe(), "leave the network as it is"),
    ],
)
def test_what_cannot_be_cut_is_refused_with_the_reason(family: str, recipe: Recipe, reason: str) -> None:
    network, spec = _network(family)
    with pytest.raises(RejectedError, match=reason):
        prune(network, spec, 5, recipe)


def test_an_old_architecture_stays_as_it_is_until_something_is_cut() -> None:
    old = {"width": 24, "blocks": 1, "stem": "small"}
    network = build_network("resnet", PICTURE, 5, old)
    assert architecture_of(network) == old
    small = prune(network, PICTURE, 5, dataclasses.replace(Recipe(prune=0.4), blocks=1))
    assert "blocks" not in architecture_of(small)
    frozen = build_network("resnet", PICTURE, 5, old | {"freeze": True})
    assert "freeze" not in architecture_of(prune(frozen, PICTURE, 5, Recipe(prune=0.5)))


def test_the_teachers_gradients_are_left_alone() -> None:
    network, spec = _network("cnn")
    small = prune(network, spec, 5, Recipe(prune=0.5))
    assert all(part.requires_grad and part.grad is None for part in small.parameters())
    x: Tensor = made_records(spec)[:2]
    small.train()(x).sum().backward()
