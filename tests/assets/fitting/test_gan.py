"""A GAN learns, resumes to the bit, keeps its best epoch, stops in time, and refuses what it cannot do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier
from torch import nn

from assets.errors import RejectedError
from assets.families.build import build_discriminator, build_network
from assets.fitting.contract import FitControl, Fitted, Progress
from assets.fitting.gan import fit_gan
from assets.line.training import TrainingPolicy
from assets.tasks.task import load_task
from edge.contracts import InputSpec
from tests.memory_set import MemorySet

LATENT = 8
NOISE = InputSpec("noise", "noise", (LATENT,), (), ())
PICTURES = torch.from_numpy(load_digits().images / 16).to(torch.float32)[:, None]
LABELS = load_digits().target.astype(np.int64)
TRAIN = MemorySet(PICTURES[:640], LABELS[:640])
HELD_OUT = PICTURES[640:1040].numpy()


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def networks(family: str = "mlp_gan", width: int = 8) -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    architecture = {"picture": [1, 8, 8], "width": width, "depth": 2, "spectral": False}
    return build_network(family, NOISE, 1, architecture), build_discriminator(family, architecture)


def frechet(made: NDArray[np.float32]) -> float:
    return load_task("image_generation").score("frechet", made[:300], HELD_OUT)


def train(generator: nn.Module, discriminator: nn.Module, **settings: Any) -> Fitted:
    distance = settings.pop("distance", None)
    control = FitControl(**{name: settings.pop(name) for name in ("place", "minutes", "watch") if name in settings})
    standing = {"epochs": 2, "batch_size": 64, "learning_rate": 2e-3, "schedule": "cosine", "ema": 0.9}
    policy = TrainingPolicy.model_validate(standing | settings)
    return fit_gan(generator, discriminator, TRAIN, policy, latent=LATENT, distance=distance, control=control)


class Seen:
    """Remembers the rows it is told."""

    def __init__(self) -> None:
        self.rows: list[Mapping[str, float]] = []
        self.notes: list[str] = []

    def progress(self, progress: Progress, loss: float) -> None:
        assert np.isfinite(loss)

    def epoch(self, row: Mapping[str, float], progress: Progress) -> None:
        assert progress.epoch == row["epoch"]
        self.rows.append(row)

    def note(self, text: str) -> None:
        self.notes.append(text)


class KilledError(Exception):
    pass


class Place:
    """Keeps the checkpoint in memory, and dies at a write."""

    def __init__(self, fatal: int) -> None:
        self.data: bytes | None = None
        self.writes, self.fatal = 0, fatal

    def read(self) -> bytes | None:
        return self.data

    def write(self, data: bytes) -> None:
        self.data = data
        self.writes += 1
        if self.writes == self.fatal:
            raise KilledError

    def remove(self) -> None:
        self.data = None


def test_it_learns_the_digits() -> None:
    generator, discriminator = networks(width=16)
    torch.manual_seed(1)
    untrained = frechet(generator(torch.randn(600, LATENT)).detach().numpy())
    watch = Seen()
    fitted = train(generator, discriminator, epochs=12, distance=frechet, watch=watch, ema=0.95)
    noise = torch.randn(600, LATENT, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        made = generator(noise).numpy()
    assert not generator.training
    assert frechet(made) < untrained / 5
    distances = [row["validation_frechet"] for row in fitted.curve]
    assert fitted.best_score == min(distances)
    assert fitted.best_epoch == distances.index(min(distances)) + 1
    assert list(fitted.curve) == watch.rows
    assert fitted.steps == 120
    assert fitted.ended == "epochs"
    assert {"train_loss", "discriminator_loss", "learning_rate", "seconds"} < fitted.curve[0].keys()


def test_with_labels_the_noise_says_which_class_is_made() -> None:
    """Judged by the nearest real pictures, which know nothing of the networks."""
    torch.manual_seed(0)
    noise_of = InputSpec("noise", "noise", (18,), (), ())
    architecture = {"picture": [1, 8, 8], "width": 16, "depth": 2, "spectral": False, "labels": True, "kinds": 10}
    generator = build_network("mlp_gan", noise_of, 1, architecture)
    policy = TrainingPolicy(epochs=12, batch_size=64, learning_rate=2e-3, ema=0.9)
    fit_gan(generator, build_discriminator("mlp_gan", architecture), TRAIN, policy, latent=18)
    noise = torch.randn(400, 18, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        made = generator(noise).numpy().reshape(400, -1)
    nearest = KNeighborsClassifier(5).fit(PICTURES.numpy().reshape(len(PICTURES), -1), LABELS)
    assert (nearest.predict(made) == noise[:, :10].argmax(1).numpy()).mean() > 0.7


def test_more_classes_than_noise_are_refused() -> None:
    architecture = {"picture": [1, 8, 8], "width": 8, "depth": 2, "spectral": False, "labels": True, "kinds": LATENT}
    with pytest.raises(RejectedError, match="latent 8: with labels it is above the 8 classes"):
        build_network("mlp_gan", NOISE, 1, architecture)


@pytest.mark.parametrize("fatal", [4, 10])
def test_a_killed_training_goes_on_to_the_same_weights(fatal: int) -> None:
    """Inside an epoch, and at the end of one."""
    settings = {"augment": {"crop": 1}, "distance": frechet, "checkpoint_seconds": 1e-6, "label_smoothing": 0.1}
    whole, other = networks("dcgan", 4)
    expected = train(whole, other, **settings)
    place = Place(fatal)
    with pytest.raises(KilledError):
        train(*networks("dcgan", 4), **settings, place=place)
    resumed, opponent = networks("dcgan", 4)
    watch = Seen()
    fitted = train(resumed, opponent, **settings, place=place, watch=watch)
    assert fitted.resumed_at == fatal
    assert "goes on" in watch.notes[0]
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name
    for name, value in other.state_dict().items():
        assert torch.equal(opponent.state_dict()[name], value), name
    assert [row["validation_frechet"] for row in fitted.curve] == [row["validation_frechet"] for row in expected.curve]
    again = train(*networks("dcgan", 4), **settings, place=place)
    assert again.steps == 20


@pytest.mark.parametrize(
    "settings",
    [
        {"loss": "hinge", "optimizer": "adam", "clip": 1.0},
        {"precision": "bf16", "channels_last": True, "schedule": "one-cycle"},
        {"ema": 0.0, "optimizer": "sgd", "augment": {"flip": True, "colour": 0.2, "cutout": 2, "rotate": 5}},
    ],
)
def test_settings_of_a_line_work(settings: dict[str, Any]) -> None:
    generator, discriminator = networks("dcgan", 4)
    fitted = train(generator, discriminator, epochs=1, **settings)
    assert np.isfinite(fitted.best_score)
    made = generator(torch.randn(3, LATENT))
    assert made.shape == (3, 1, 8, 8)
    assert 0 <= made.min() <= made.max() <= 1


def test_the_averaged_weights_are_kept() -> None:
    plain, averaged = networks()[0], networks()[0]
    train(plain, networks()[1], ema=0.0)
    train(averaged, networks()[1], ema=0.99)
    assert not torch.equal(plain(torch.ones(1, LATENT)), averaged(torch.ones(1, LATENT)))


def test_a_time_limit_ends_it_with_a_judged_epoch() -> None:
    fitted = train(*networks(), epochs=50, minutes=1e-9, distance=frechet)
    assert fitted.ended == "time limit"
    assert fitted.steps == 1
    assert len(fitted.curve) == 1


def test_patience_ends_it() -> None:
    calls = iter(range(1, 100))
    fitted = train(*networks(), epochs=9, patience=2, distance=lambda _made: float(next(calls)))
    assert (fitted.ended, fitted.best_epoch, len(fitted.curve)) == ("patience", 1, 3)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"loss": "mse"}, "training.loss"),
        ({"loss": "hinge", "label_smoothing": 0.1}, "label_smoothing"),
        ({"privacy": {}, "ema": 0.0}, "training.privacy"),
        ({"augment": {"mixup": 0.2}}, "mixup"),
        ({"processes": 2}, "training.processes"),
        ({"accumulate": 2}, "training.accumulate"),
        ({"compile": True}, "training.compile"),
        ({"precision": "fp16"}, "training.precision"),
        ({"distance": lambda _made: float("nan")}, "are nan from real ones"),
    ],
)
def test_what_a_gan_cannot_do_is_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(RejectedError, match=words):
        train(*networks(), **settings)


def test_a_training_that_diverges_is_refused() -> None:
    generator, discriminator = networks()
    nn.init.constant_(discriminator[-1].bias, float("nan"))  # type: ignore[index,arg-type]
    with pytest.raises(RejectedError, match="loss is nan"):
        train(generator, discriminator)
