"""Attributions point at what moves an answer, are the same every time, and never break a card."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from assets.training.explain import Attributions, Question, explain
from edge.contracts import InputSpec

PICTURE = InputSpec("image", "input", (1, 16, 16), (0.5,), (0.25,))
TEXT = InputSpec("text", "input", (10,), (), (), buckets=50)


def table(columns: int) -> InputSpec:
    names = tuple(f"c{number}" for number in range(columns))
    return InputSpec("table", "input", (columns,), (0.0,) * columns, (1.0,) * columns, names)


def ask(network: nn.Module, spec: InputSpec, x: Tensor, seconds: float = 600.0) -> Attributions:
    return explain(network, Question(spec, x, torch.zeros(len(x), dtype=torch.int64)), seconds)


class Weighted(nn.Module):
    """3 times column 1 less column 2: what it rests on is known."""

    def forward(self, x: Tensor) -> Tensor:
        return (3 * x[:, 1] - x[:, 2])[:, None]


class Words(nn.Module):
    """Sums what each token says; token 7 speaks for, token 9 against."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(51, 1, padding_idx=0)
        with torch.no_grad():
            self.embedding.weight.zero_()
            self.embedding.weight[7], self.embedding.weight[9] = 2.0, -1.0

    def forward(self, x: Tensor) -> Tensor:
        return self.embedding(x).sum(dim=1)


class Stubborn(nn.Module):
    """A user's own network that leaves torch."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.from_numpy(x.detach().numpy().reshape(len(x), -1)[:, :2])


@pytest.mark.parametrize("columns", [4, 40])
def test_tables_rest_on_their_columns(columns: int) -> None:
    x = torch.randn(70, columns, generator=torch.Generator().manual_seed(3))
    found, again = (ask(Weighted(), table(columns), x) for _ in range(2))
    assert found.values is not None
    assert again.values is not None
    assert np.array_equal(found.values, again.values)
    assert found.values.shape == (70, columns)
    wanted = np.zeros((70, columns))
    wanted[:, 1], wanted[:, 2] = 3 * x[:, 1], -x[:, 2]
    assert np.abs(found.values - wanted).max() < (1e-4 if columns == 4 else 2.0)
    assert np.abs(found.values).mean(axis=0).argsort()[::-1][:2].tolist() == [1, 2]
    assert "Shapley" in found.method


def test_grad_cam_finds_the_bright_corner() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 2)
    )
    with torch.no_grad():
        network[0].weight.fill_(0.2)
        network[0].bias.zero_()
        network[4].weight.copy_(torch.tensor([[1.0, 1.0], [-1.0, -1.0]]))
    x = torch.zeros(3, 1, 16, 16)
    x[:, :, 2:6, 2:6] = 3.0
    for parameter in network.parameters():
        parameter.requires_grad_(False)  # a frozen backbone
    network.train()
    found = ask(network, PICTURE, x)
    assert found.method.startswith("Grad-CAM")
    assert found.values is not None
    assert found.values.shape == (3, 16, 16)
    assert found.values[0, :8, :8].sum() > 0.95 * found.values[0].sum() > 0
    assert network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert all(parameter.grad is None for parameter in network.parameters())


def test_a_network_without_convolutions_gets_integrated_gradients() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(256, 2))
    x = torch.zeros(2, 1, 16, 16)
    x[:, :, 8, 9] = 1.0
    found = ask(network, PICTURE, x)
    assert found.values is not None
    assert "Integrated gradients" in found.method
    assert np.unravel_index(found.values[0].argmax(), (16, 16)) == (8, 9)


def test_an_autoencoder_shows_where_it_is_off() -> None:
    class Blank(nn.Module):
        def reconstruct(self, x: Tensor) -> Tensor:
            return torch.zeros_like(x)

        def forward(self, x: Tensor) -> Tensor:
            return (x**2).flatten(1).mean(1, keepdim=True)

    x = torch.zeros(2, 1, 16, 16)
    x[:, :, 3, 4] = 2.0
    found = ask(Blank(), PICTURE, x)
    assert found.values is not None
    assert (float(found.values[0, 3, 4]), float(found.values.sum())) == (4.0, 8.0)
    assert "reconstruction" in found.method


def test_words_speak_for_and_against() -> None:
    x = torch.tensor([[3, 7, 9, 4, 0, 0, 0, 0, 0, 0]])
    found = ask(Words(), TEXT, x)
    assert found.values is not None
    assert found.values[0] == pytest.approx([0, 2, -1, 0, 0, 0, 0, 0, 0, 0], abs=1e-4)


def test_readings_of_a_series() -> None:
    spec = InputSpec("series", "input", (5, 2), (0.0, 0.0), (1.0, 1.0), ("a", "b"))
    network = nn.GRU(2, 3, batch_first=True)

    class Last(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gru = network

        def forward(self, x: Tensor) -> Tensor:
            return self.gru(x)[0][:, -1, :1]

    found = ask(Last(), spec, torch.randn(6, 5, 2))
    assert found.values is not None
    assert found.values.shape == (6, 5, 2)


@pytest.mark.parametrize(
    ("network", "spec", "x"),
    [
        (Stubborn(), PICTURE, torch.zeros(2, 1, 16, 16)),
        (nn.Linear(10, 2), TEXT, torch.ones(2, 10, dtype=torch.int64)),
        (nn.Linear(3, 1), table(4), torch.zeros(2, 4)),
    ],
)
def test_what_cannot_be_explained_says_why(network: nn.Module, spec: InputSpec, x: Tensor) -> None:
    found = ask(network, spec, x)
    assert found.values is None
    assert found.note.startswith("It could not be computed for this network: ")


def test_time_is_bounded_and_said() -> None:
    x = torch.zeros(12, 1, 16, 16)
    found = ask(nn.Sequential(nn.Flatten(), nn.Linear(256, 2)), PICTURE, x, seconds=0.0)
    assert found.values is not None
    assert len(found.values) < 12
    assert found.note == f"On {len(found.values)} test records of 12: the time was over."


def test_the_callers_randomness_is_left_alone() -> None:
    torch.manual_seed(5)
    np.random.seed(5)
    wanted = torch.rand(1), np.random.rand()
    torch.manual_seed(5)
    np.random.seed(5)
    ask(Weighted(), table(4), torch.ones(8, 4))
    assert (torch.rand(1), np.random.rand()) == wanted
