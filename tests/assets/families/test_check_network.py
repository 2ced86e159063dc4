"""The contract of a network, kept by every family and answer, and broken on purpose."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from assets.compression.documents import Recipe
from assets.compression.prune import prune
from assets.errors import RejectedError
from assets.families.build import build_discriminator, build_network, teacher_architecture
from assets.families.check_network import Subject, check_network
from assets.families.encoding import Derived, Knots, measured
from assets.families.weights import architecture_of, parameters_of, predict, set_weights, weights_of
from assets.line.families import FAMILIES
from assets.line.model import ModelFamily
from tests.assets.families.made_specs import SPECS, mean, subject

CASES = [
    (family, kind, sorted(spec.answers)[0 if number % 2 else -1])
    for number, (family, spec) in enumerate(FAMILIES.items())
    for kind in sorted(spec.reads)[: 1 if family == "mlp_plain" else None]
]
"""Every family on every kind of input, with classes and numbers in turn; mlp_plain reads them as mlp does."""


@pytest.mark.parametrize(("family", "kind", "answer"), CASES)
def test_every_family_keeps_the_contract(family: str, kind: str, answer: str) -> None:
    found = check_network(subject(family, kind, answer))
    assert [finding for finding in found if not finding.ok] == []
    expected = ["builds", "rebuilds from plain JSON", "answers", "judges each record alone", "trains"]
    expected += ["exports to ONNX, any batch"]
    expected += ["can be narrowed"] if FAMILIES[family].prunable else []
    expected += ["has a discriminator"] if kind == "noise" else []
    assert [finding.clause for finding in found] == expected


def test_the_cases_are_all_families_with_both_answers() -> None:
    assert {family for family, _, _ in CASES} == set(FAMILIES)
    assert {answer for _, _, answer in CASES} == {"class", "number", "anomaly", "image"}


@pytest.mark.parametrize("family", [name for name, spec in FAMILIES.items() if "number" in spec.answers])
def test_numbers_come_in_the_targets_unit(family: str) -> None:
    (kind, *_) = sorted(FAMILIES[family].reads)
    one = subject(family, kind, "number")
    network = one.build()
    raw = dataclasses.replace(one, architecture={**one.architecture, "target_mean": 0.0, "target_std": 1.0}).build()
    x = torch.randint(1, 40, (5, 8)) if kind == "text" else torch.randn(5, *SPECS[kind].shape)
    assert torch.allclose(predict(network, x), predict(raw, x) * 20 + 50, atol=1e-4)


@pytest.mark.parametrize("family", [name for name, spec in FAMILIES.items() if not spec.batch_norm])
def test_what_private_training_may_use_has_no_batch_norm(family: str) -> None:
    (kind, *_) = sorted(FAMILIES[family].reads)
    network = subject(family, kind, sorted(FAMILIES[family].answers)[0]).build()
    assert not [part for part in network.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]


class _ByBatch(nn.Module):
    """Judges records by their neighbours."""

    def __init__(self, spec: Any, outputs: int) -> None:
        super().__init__()
        self.layer = nn.Linear(spec.shape[0], outputs)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layer(x - x.mean(0))
        return out


class _Idle(_ByBatch):
    """Has a layer that nothing goes through."""

    def __init__(self, spec: Any, outputs: int) -> None:
        super().__init__(spec, outputs)
        self.idle = nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layer(x)
        return out


class _Deciding(_Idle):
    """Decides by the values, as no exporter can follow, and lets all layers answer."""

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layer(x) + self.idle(x[:, :2]).sum()
        return out if float(x.sum()) > 0 else -out


class _Twice(_ByBatch):
    """Answers twice as many numbers."""

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layer(x)
        return torch.cat((out, out), 1)


def _wrong(spec: Any, outputs: int) -> str:
    return f"{spec} {outputs}"


@pytest.mark.parametrize(
    ("build", "clause", "note"),
    [
        (_ByBatch, "judges each record alone", "with the other records of its batch"),
        (_Idle, "trains", "2 parameters have no part in the answer, the first is ['body.idle.weight']"),
        (_Deciding, "exports to ONNX, any batch", "without Python decisions"),
        (_Twice, "answers", "forward gives [1, 6] for 1 records, not [1, 3]"),
        (_wrong, "builds", "gives str; have it give a torch.nn.Module"),
    ],
)
def test_a_network_of_ones_own_is_told_what_it_breaks(
    build: Callable[..., Any], clause: str, note: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assets.families.user_network.load_user_function", lambda path, what: build)
    found = check_network(Subject("my.module:build", SPECS["table"], 3, {"options": {}}, (3,), mean))
    broken = {finding.clause: finding.note for finding in found if not finding.ok}
    assert note in broken[clause]


def test_an_architecture_of_another_family_is_refused() -> None:
    cnn = teacher_architecture(ModelFamily(family="cnn"), SPECS["image"])
    with pytest.raises(RejectedError, match="'resnet': the architecture lacks 'width'"):
        build_network("resnet", SPECS["image"], 3, cnn)


@pytest.mark.parametrize(
    ("family", "kind", "model", "reason"),
    [
        ("cnn", "table", {}, "reads image, not table"),
        ("vit", "image", {"width": 10, "heads": 4}, "4 heads do not share model.width 10 evenly"),
        ("cnn3", "image", {"depth": 5}, "halves pictures 5 times, and 10 x 12 pixels are too few"),
        ("mlp", "image", {"knots": 4}, "are for tables, and this line reads image"),
        ("cnn", "image", {"options": {"bottleneck": 3}}, "does not know 'bottleneck'; it has none"),
        ("autoencoder", "table", {"freeze": True, "weights": "a"}, "has no last layer to train alone"),
        ("timm:no_such_net", "image", {}, "has no 'no_such_net'"),
        ("timm:resnet18", "table", {}, "reads pictures, not table"),
    ],
)
def test_nonsense_is_refused_with_the_reason(family: str, kind: str, model: dict[str, Any], reason: str) -> None:
    with pytest.raises(RejectedError, match=reason):
        spec = SPECS[kind]
        build_network(family, spec, 3, teacher_architecture(ModelFamily(family=family, **model), spec))


def test_only_gans_have_a_discriminator() -> None:
    with pytest.raises(RejectedError, match="makes no pictures"):
        build_discriminator("cnn", {})
    with pytest.raises(RejectedError, match="lacks 'picture'"):
        build_discriminator("dcgan", {"width": 8, "depth": 1})


def test_spectral_norm_bounds_the_discriminator() -> None:
    one = subject("dcgan", "noise", "image", options={"spectral": True})
    judge = build_discriminator("dcgan", one.architecture)
    names = [name for name, _ in judge.named_parameters()]
    assert sum("parametrizations" in name for name in names) == 2
    assert parameters_of(judge) == parameters_of(build_discriminator("dcgan", {**one.architecture, "spectral": False}))


def test_what_is_derived_of_columns_and_their_steps_are_inputs() -> None:
    names = SPECS["table"].columns
    derive = ((names[0], "*", names[1]), (names[1], "-", names[0]))
    rich, plain = (subject("mlp", "table", "class", **extra) for extra in ({"derive": derive, "knots": 3}, {}))
    inputs = len(names)
    more = parameters_of(rich.build()) - parameters_of(plain.build())
    assert more == ((inputs + 2) * (1 + 3) - inputs) * 8
    x = torch.randn(500, inputs)
    found = measured(rich.architecture, SPECS["table"], x)
    layer = Derived(SPECS["table"], rich.architecture | found)
    raw = x * torch.tensor(SPECS["table"].std) + torch.tensor(SPECS["table"].mean)
    assert torch.allclose(layer.values(x)[:, 0], raw[:, 0] * raw[:, 1], rtol=1e-4, atol=1e-4)
    assert torch.allclose(layer.values(x)[:, 1], raw[:, 1] - raw[:, 0], rtol=1e-4, atol=1e-4)
    made = layer(x)[:, inputs:]
    assert torch.allclose(made.mean(0), torch.zeros(2), atol=1e-3)
    assert torch.allclose(made.std(0, correction=0), torch.ones(2), atol=1e-3)
    steps = Knots(4)(torch.tensor([[-9.0], [-2.25], [9.0]]))[:, 1:]
    assert steps.tolist() == [[0, 0, 0, 0], [0.5, 0, 0, 0], [1, 1, 1, 1]]


def test_what_is_derived_names_columns_of_the_line() -> None:
    with pytest.raises(RejectedError, match="'nowhere' is no column of numbers"):
        subject("mlp", "table", "class", derive=(("nowhere", "*", SPECS["table"].columns[0]),)).build()


def test_an_autoencoder_answers_its_error() -> None:
    network: Any = subject("autoencoder", "series", "anomaly").build()
    x = torch.randn(4, 6, 3)
    with torch.no_grad():
        expected = (network.reconstruct(x) - x).square().mean((1, 2))
    assert torch.allclose(predict(network, x)[:, 0], expected, atol=1e-6)


@pytest.mark.parametrize("family", ["embedding_gru", "transformer"])
def test_padding_changes_no_answer(family: str) -> None:
    network = subject(family, "text", "class").build()
    x = torch.zeros(3, 8, dtype=torch.int64)
    x[0, :3] = x[1, :3] = torch.tensor([4, 9, 2])
    before = predict(network, x)
    for name, weight in network.named_parameters():
        if name.endswith("position.weight"):
            weight.data[3:] += 5  # where only padding is
    assert torch.allclose(predict(network, x), before, atol=1e-5)
    assert bool(before.isfinite().all())  # one text is padding only


@pytest.mark.parametrize("family", ["resnet", "mobilenet", "cnn2", "vit", "autoencoder"])
def test_large_pictures_do_not_cost_as_much_as_they_are_large(family: str) -> None:
    outs = 1 if family == "autoencoder" else 2
    small, large = (dataclasses.replace(SPECS["image"], shape=(3, side, side)) for side in (32, 128))
    model = ModelFamily(family=family, width=8, depth=4 if family == "autoencoder" else 1, latent=8)
    sizes = [
        parameters_of(build_network(family, spec, outs, teacher_architecture(model, spec))) for spec in (small, large)
    ]
    assert sizes[1] < 5 * sizes[0]  # sixteen times the pixels
    out = predict(build_network(family, large, outs, teacher_architecture(model, large)), torch.randn(2, 3, 128, 128))
    assert out.shape == (2, outs)


@pytest.mark.parametrize(
    ("family", "kind", "answer"),
    [("mlp", "table", "number"), ("mlp_plain", "series", "class"), ("cnn", "image", "number")],
)
def test_what_is_pruned_is_built_again_from_its_architecture(family: str, kind: str, answer: str) -> None:
    one = subject(family, kind, answer, width=32, knots=4 if kind == "table" else 0)
    network = one.build()
    narrow = prune(network, one.spec, one.outputs, Recipe(prune=0.5))
    assert architecture_of(narrow)["channels_0"] == 16
    assert set(architecture_of(narrow)) == set(one.architecture)
    assert parameters_of(narrow) < parameters_of(network)
    again = build_network(family, one.spec, one.outputs, json.loads(json.dumps(architecture_of(narrow))))
    set_weights(again, weights_of(narrow), "narrow")
    x = torch.randn(3, *one.spec.shape)
    assert torch.equal(predict(again, x), predict(narrow, x))
    assert predict(narrow, x).shape == (3, *one.answer)
