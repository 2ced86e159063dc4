"""Private training: per-record gradients are right for each family, clipping and noise are there, epsilon is kept."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

from assets.errors import RejectedError
from assets.families.build import build_network, teacher_architecture
from assets.fitting.contract import FitControl
from assets.fitting.differential_privacy import ORDERS, PoissonSampling, Private, noise_for, spent
from assets.fitting.fit import fit
from assets.line.model import ModelFamily
from assets.line.training import PrivateTraining, TrainingPolicy
from assets.tasks.task import load_task
from edge.contracts import InputSpec
from tests.memory_set import MemorySet

SPECS = {
    "image": InputSpec("image", "input", (1, 8, 8), (0.5,), (0.5,)),
    "series": InputSpec("series", "input", (5, 2), (0.0, 0.0), (1.0, 1.0), columns=("a", "b")),
    "text": InputSpec("text", "input", (6,), (), (), buckets=20),
    "table": InputSpec("table", "input", (3,), (0.0,) * 3, (1.0,) * 3, columns=("a", "b", "c")),
}
FAMILIES = [
    ("cnn2", "image"),
    ("cnn3", "image"),
    ("vit", "image"),
    ("lstm", "series"),
    ("gru", "series"),
    ("embedding_gru", "text"),
    ("transformer", "text"),
]
pytestmark = pytest.mark.filterwarnings("ignore:Full backward hook is firing:UserWarning")
CLASSES = [str(digit) for digit in range(10)]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def policy(**changes: object) -> TrainingPolicy:
    settings = {"epochs": 3, "batch_size": 64, "learning_rate": 2e-3, "privacy": {"epsilon": 8.0}}
    return TrainingPolicy.model_validate(settings | changes)


def network_of(family: str, kind: str, outputs: int = 10, width: int = 8) -> nn.Module:
    torch.manual_seed(0)
    model = ModelFamily(family=family, width=width)
    return build_network(family, SPECS[kind], outputs, teacher_architecture(model, SPECS[kind]))


def batch_of(kind: str, records: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    spec = SPECS[kind]
    if kind == "text":
        return torch.randint(1, spec.buckets, (records, *spec.shape), generator=generator)
    return torch.randn(records, *spec.shape, generator=generator)


@pytest.mark.parametrize(("family", "kind"), FAMILIES)
def test_each_record_has_its_own_gradient(family: str, kind: str) -> None:
    """Held against one backward pass per record; and a network that Opacus changed answers as before."""
    network = network_of(family, kind)
    y = np.arange(64) % 10
    private = Private(network, policy(), y)
    x, labels = batch_of(kind, 5), torch.from_numpy(y[:5])
    assert torch.allclose(private.network.eval()(x), network.eval()(x), atol=1e-5)
    private.network.train()
    functional.cross_entropy(private.network(x), labels).backward()  # type: ignore[no-untyped-call]
    its = {name: parameter.grad_sample for name, parameter in private.network.named_parameters()}  # type: ignore[attr-defined]
    network.train()
    for record in range(5):
        network.zero_grad()
        functional.cross_entropy(network(x[record : record + 1]), labels[record : record + 1]).backward()  # type: ignore[no-untyped-call]
        for name, parameter in network.named_parameters():
            assert torch.allclose(its[name][record], parameter.grad, atol=1e-5), name  # type: ignore[arg-type]


def test_a_step_is_the_mean_of_clipped_gradients_and_noise() -> None:
    network = nn.Linear(3, 1, bias=False)
    y = np.zeros(64)
    private = Private(network, policy(batch_size=32, privacy={"epsilon": 4.0, "clip": 0.5}), y)
    private.noise = 0.0
    optimizer = private.optimizer(torch.optim.SGD(private.network.parameters(), 1.0))
    before = private.network.weight.detach().clone()
    private.seed(0)
    x = torch.tensor([[3.0, 0, 0], [0, 0.2, 0]])
    private.network(x).mean().backward()
    optimizer.step()
    # The first record's gradient, of norm 3, is clipped to 0.5; the mean is over the 32 records expected.
    wanted = torch.tensor([[0.5, 0.2, 0]]) / 32
    assert torch.allclose(before - private.network.weight.detach(), wanted, atol=1e-6)


def test_noise_is_there_in_the_stated_amount_and_follows_secret_and_step() -> None:
    y = np.zeros(6400)
    private = Private(nn.Linear(200, 50, bias=False), policy(batch_size=64), y)
    optimizer = private.optimizer(torch.optim.SGD(private.network.parameters(), 1.0))

    def noise(step: int) -> Tensor:
        optimizer.zero_grad()
        before = private.network.weight.detach().clone()
        private.seed(step)
        private.network(torch.zeros(64, 200)).mean().backward()  # no gradient at all, so that only noise moves
        optimizer.step()
        return before - private.network.weight.detach()

    first, second = noise(0), noise(1)
    assert float(first.std()) == pytest.approx(private.noise * 1.0 / 64, rel=0.05)
    assert float((first * second).mean() / first.std() / second.std()) == pytest.approx(0, abs=0.05)
    assert torch.allclose(first, noise(0), atol=1e-6)
    private.secret += 1
    assert not torch.allclose(first, noise(0), atol=1e-3)


def test_draws_are_poisson_and_follow_the_secret() -> None:
    private = Private(nn.Linear(2, 2), policy(batch_size=100), np.zeros(1000))
    assert isinstance(private.sampling, PoissonSampling)
    epochs = [private.sampling.epoch(epoch) for epoch in range(20)]
    sizes = np.array([len(rows) for epoch in epochs for rows in epoch])
    assert private.sampling.batches == 10
    assert sizes.mean() == pytest.approx(100, abs=4)
    assert sizes.std() == pytest.approx(np.sqrt(1000 * 0.1 * 0.9), rel=0.3)
    assert all(len(np.unique(rows)) == len(rows) for epoch in epochs for rows in epoch)
    assert all(np.array_equal(a, b) for a, b in zip(epochs[3], private.sampling.epoch(3), strict=True))
    assert Private(nn.Linear(2, 2), policy(batch_size=100), np.zeros(1000)).secret != private.secret


@pytest.mark.parametrize(("epsilon", "share", "steps"), [(0.1, 0.05, 100), (1.0, 0.01, 1000), (8.0, 0.1, 200)])
def test_the_noise_spends_the_budget_and_no_more(epsilon: float, share: float, steps: int) -> None:
    noise = noise_for(PrivateTraining(epsilon=epsilon), share, steps)
    assert 0.98 * epsilon < spent(noise, share, steps, 1e-5) <= epsilon
    assert spent(noise, share, steps // 2, 1e-5) < spent(noise, share, steps, 1e-5)


def test_the_account_of_full_batches_is_the_gaussian_mechanisms() -> None:
    """Without sampling the divergence of order a is steps * a / (2 * noise^2); converted by Balle et al. 2020."""
    noise, steps, delta = 3.0, 10, 1e-5
    orders = np.array(ORDERS)
    divergence = steps * orders / (2 * noise**2)
    wanted = (divergence - (np.log(delta) + np.log(orders)) / (orders - 1) + np.log((orders - 1) / orders)).min()
    assert spent(noise, 1.0, steps, delta) == pytest.approx(wanted)


def test_digits_are_learned_privately_within_the_budget() -> None:
    x, y = load_digits(return_X_y=True)
    pictures = torch.from_numpy((x / 16 - 0.3) / 0.37).to(torch.float32).view(-1, 1, 8, 8)
    train, validation = MemorySet(pictures[:1400], y[:1400]), MemorySet(pictures[1400:], y[1400:])
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    asked = policy(epochs=10, batch_size=128, learning_rate=2e-2, privacy={"epsilon": 8.0, "clip": 1.0})
    fitted = fit(network, load_task("image_classification"), train, validation, asked, classes=CLASSES)
    assert fitted.epsilon is not None
    assert 7.5 < fitted.epsilon <= 8.0
    assert fitted.best_score > 0.7
    assert network.state_dict().keys() == before.keys()
    assert not any(hasattr(parameter, "grad_sample") for parameter in network.parameters())
    assert any(not torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_series_are_learned_privately() -> None:
    x = batch_of("series", 160)
    y = (x[:, :, 0].mean(1) > 0).numpy().astype(np.int64)
    data = MemorySet(x, y)
    network = network_of("gru", "series", 2)
    fitted = fit(network, load_task("series_classification"), data, data, policy(epochs=2), classes=["no", "yes"])
    assert fitted.epsilon is not None
    assert fitted.epsilon <= 8.0
    assert network(x[:2]).shape == (2, 2)


class KilledError(Exception):
    pass


class Place:
    """Keeps the checkpoint in memory, and dies at the third write."""

    def __init__(self) -> None:
        self.data: bytes | None = None
        self.writes = 0

    def read(self) -> bytes | None:
        return self.data

    def write(self, data: bytes) -> None:
        self.data = data
        self.writes += 1
        if self.writes == 3:
            raise KilledError

    def remove(self) -> None:
        self.data = None


def test_a_killed_private_training_goes_on_with_the_same_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = batch_of("image", 256), np.arange(256) % 10
    data, asked = MemorySet(x, y), policy(epochs=2, checkpoint_seconds=1e-6)
    task = load_task("image_classification")
    monkeypatch.setattr("secrets.randbits", lambda _bits: 5)
    whole = network_of("cnn3", "image")
    fit(whole, task, data, data, asked, classes=CLASSES)
    place = Place()
    with pytest.raises(KilledError):
        fit(network_of("cnn3", "image"), task, data, data, asked, classes=CLASSES, control=FitControl(place=place))
    monkeypatch.setattr("secrets.randbits", lambda _bits: 6)
    resumed = network_of("cnn3", "image")
    fitted = fit(resumed, task, data, data, asked, classes=CLASSES, control=FitControl(place=place))
    assert fitted.resumed_at == 3
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"batch_size": 16}, "at least 32"),
        ({"privacy": {"epsilon": 1e-6}}, "no noise keeps"),
    ],
)
def test_what_cannot_be_private_is_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(RejectedError, match=words):
        Private(network_of("cnn2", "image"), policy(**changes), np.zeros(640))


def test_batch_norm_is_refused_unless_it_is_frozen() -> None:
    network = network_of("resnet", "image")
    with pytest.raises(RejectedError, match="BatchNorm"):
        Private(network, policy(), np.zeros(640))
    network.blocks.requires_grad_(False)  # type: ignore[union-attr,operator]
    Private(network, policy(), np.zeros(640))
