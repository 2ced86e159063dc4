"""Weights in and out, pretrained ones, frozen layers, and what a network answers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn

from assets.errors import RejectedError
from assets.families.backbone import load_timm
from assets.families.build import build_network, teacher_architecture
from assets.families.pretrained import load_pretrained
from assets.families.weights import architecture_of, predict, set_weights, weights_of
from assets.line.model import ModelFamily
from tests.assets.families.made_specs import SPECS, subject


def _network(family: str, outputs: int = 3, **model: Any) -> tuple[Any, ModelFamily]:
    asked = ModelFamily(family=family, **model)
    spec = SPECS["image"]
    with torch.random.fork_rng():
        torch.manual_seed(outputs)
        return build_network(family, spec, outputs, teacher_architecture(asked, spec)), asked


def test_weights_go_out_and_in() -> None:
    one, other = subject("cnn", "image", "class").build(), _network("cnn", width=8)[0]
    set_weights(other, weights_of(one), "here")
    x = torch.randn(5, *SPECS["image"].shape)
    assert torch.equal(predict(one, x), predict(other, x))
    with pytest.raises(RejectedError, match=r"^here: these weights do not fit the network"):
        set_weights(_network("cnn", width=16)[0], weights_of(one), "here")
    with pytest.raises(RejectedError, match=r"^here: these weights do not fit"):
        set_weights(other, b"nothing of the kind", "here")


def test_numbers_carry_their_scale_with_the_weights() -> None:
    one = subject("mlp", "table", "number")
    network = one.build()
    other = build_network("mlp", one.spec, 1, {**one.architecture, "target_mean": 0.0, "target_std": 1.0})
    set_weights(other, weights_of(network), "here")
    x = torch.randn(3, 4)
    assert torch.equal(predict(network, x), predict(other, x))
    with pytest.raises(RejectedError, match="numbers to predict that never differ"):
        build_network("mlp", one.spec, 1, {**one.architecture, "target_std": 0.0})


class _Set:
    """Records by their position."""

    def __init__(self, x: Tensor) -> None:
        self.x = x

    def __len__(self) -> int:
        return len(self.x)

    def batch(self, rows: NDArray[np.int64]) -> Tensor:
        return self.x[rows]


def test_a_set_of_records_is_answered_batch_by_batch() -> None:
    network, x = subject("mlp", "table", "class").build(), torch.randn(7, 4)
    assert torch.allclose(predict(network, _Set(x), batch=3), predict(network, x), atol=1e-6)


def test_a_narrowed_network_says_how_it_was_narrowed() -> None:
    network: Any = subject("cnn", "image", "class").build()
    network.blocks[0] = nn.Conv2d(3, 5, 3)
    assert architecture_of(network)["channels_0"] == 5


def test_own_weights_start_another_number_of_classes(tmp_path: Path) -> None:
    teacher, _ = _network("resnet", 3, width=8, depth=1)
    save_file(teacher.state_dict(), tmp_path / "teacher.safetensors")
    network, asked = _network("resnet", 5, width=8, depth=1, weights=str(tmp_path / "teacher.safetensors"), freeze=True)
    said = load_pretrained(network, asked)
    assert said.endswith("; the last layer (head) is new")
    assert all(
        torch.equal(teacher.blocks.state_dict()[name], part) for name, part in network.blocks.state_dict().items()
    )
    assert {name for name, part in network.named_parameters() if part.requires_grad} == {"head.weight", "head.bias"}


def test_frozen_layers_stay_as_they_are(tmp_path: Path) -> None:
    network, _ = _network("resnet", width=8, depth=1, weights="x", freeze=True)
    before = {name: part.clone() for name, part in network.blocks.state_dict().items()}
    network.train()
    network(torch.randn(4, *SPECS["image"].shape)).sum().backward()
    torch.optim.SGD([part for part in network.parameters() if part.requires_grad], lr=1.0).step()
    assert all(torch.equal(before[name], part) for name, part in network.blocks.state_dict().items())


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"blocks.0.weight": torch.zeros(4, 3, 3, 3)}, r"'blocks.0.weight' of \[8, 3, 3, 3\], is \[4, 3, 3, 3\] in it"),
        ({"other": torch.zeros(1)}, r"'blocks.0.weight' of \[8, 3, 3, 3\], is missing in it"),
        (b"pickle", "is no safetensors file"),
        (None, "No such file"),
    ],
)
def test_weights_that_do_not_fit_are_refused(content: Any, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        save_file(content, path)
    network, asked = _network("cnn", width=8, weights=str(path))
    before = weights_of(network)
    with pytest.raises(RejectedError, match=reason) as refused:
        load_pretrained(network, asked)
    assert str(path) in str(refused.value)
    assert weights_of(network) == before


def test_a_backbone_of_timm_starts_from_a_file_and_from_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        body = load_timm().create_model("test_resnet", pretrained=False)
    file = tmp_path / "hub/models--timm--test_resnet.r160_in1k/snapshots/abc/model.safetensors"
    file.parent.mkdir(parents=True)
    save_file(body.state_dict(), file)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    network, asked = _network("timm:test_resnet", weights="cache")
    assert str(file) in load_pretrained(network, asked)
    assert torch.equal(network.blocks.state_dict()["conv1.0.weight"], body.state_dict()["conv1.0.weight"])
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "elsewhere"))
    with pytest.raises(RejectedError, match=f"looked in {re.escape(str(tmp_path / 'elsewhere'))}"):
        load_pretrained(network, asked)


def test_a_first_layer_for_colours_is_fitted_to_grey(tmp_path: Path) -> None:
    import dataclasses

    body = load_timm().create_model("test_resnet", pretrained=False)
    save_file(body.state_dict(), tmp_path / "w.safetensors")
    grey = dataclasses.replace(SPECS["image"], shape=(1, 32, 32), mean=(0.0,), std=(1.0,))
    asked = ModelFamily(family="timm:test_resnet", weights=str(tmp_path / "w.safetensors"))
    network: Any = build_network(asked.family, grey, 2, teacher_architecture(asked, grey))
    load_pretrained(network, asked)
    colours = body.state_dict()["conv1.0.weight"]
    assert torch.allclose(network.blocks.state_dict()["conv1.0.weight"], colours.sum(1, keepdim=True), atol=1e-6)


def test_only_timm_has_a_cache() -> None:
    network, asked = _network("cnn", width=8, weights="cache")
    with pytest.raises(RejectedError, match="`cache` is for timm's backbones"):
        load_pretrained(network, asked)
