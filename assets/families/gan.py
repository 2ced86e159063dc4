"""Generators and discriminators: convolutional as DCGAN (Radford et al. 2016), and of linear layers (Goodfellow 2014).

The generator enlarges by transposed convolutions whose kernel is twice their step, so that they overlap evenly (Odena
et al. 2016), and which have an INT8 form; repeating pixels and then convolving took 4 times as long per step on MNIST
and learned less. It answers in 0..1, and the discriminator reads that.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from assets.errors import RejectedError
from assets.families.network import DROPOUT
from assets.line.model import ModelFamily
from edge.contracts import InputSpec

OPTIONS = frozenset({"labels", "spectral"})
"""`options: { spectral: true }` bounds the discriminator's slope (Miyato et al. 2018). `{ labels: true }` has both
networks learn from the labels too (Odena et al. 2017, arXiv:1610.09585): the first numbers of the noise, one per class,
say what is made, and the discriminator also answers which class it sees."""
KINDS = "kinds"
"""Of an architecture with labels: how many classes there are."""
MIN_SIDE = 8
"""Pictures are halved while both sides are at least so long."""
SLOPE = 0.2
UNITS = 8
"""Of mlp_gan: units of the first layer, as a multiple of `width`."""


def sizes(picture: tuple[int, ...], depth: int) -> list[tuple[int, int]]:
    """(height, width) from the picture's own down to the smallest that the generator starts from."""
    found = [(picture[1], picture[2])]
    while len(found) <= depth and min(found[-1]) >= MIN_SIDE:
        found.append(((found[-1][0] + 1) // 2, (found[-1][1] + 1) // 2))
    return found


class Enlarge(nn.Module):
    """Twice the size by repeating pixels, cut to an odd size where that is asked for."""

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        self.height, self.width = height, width

    def forward(self, x: Tensor) -> Tensor:
        """(records, channels, height, width) to the size asked for."""
        x = functional.interpolate(x, scale_factor=2.0, mode="nearest")
        return x if x.shape[2:] == (self.height, self.width) else x[:, :, : self.height, : self.width]


class Cut(nn.Module):
    """An odd size out of the next even one."""

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        self.height, self.width = height, width

    def forward(self, x: Tensor) -> Tensor:
        """(records, channels, height, width) to the size asked for."""
        return x[:, :, : self.height, : self.width]


class Kinds(nn.Module):
    """The first numbers of the noise become one that is 1, where the largest was, and zeros: each class as often."""

    def __init__(self, kinds: int) -> None:
        super().__init__()
        self.kinds = kinds

    def forward(self, x: Tensor) -> Tensor:
        """(records, numbers) to the same."""
        first = x[:, : self.kinds]
        return torch.cat(((first == first.amax(1, keepdim=True)).to(x.dtype), x[:, self.kinds :]), 1)


class Spread(nn.Module):
    """Adds a channel with the mean standard deviation over the batch (Karras et al. 2018, arXiv:1710.10196).

    Pictures that are all alike are seen to be so, which keeps every kind of them in what the generator makes.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(records, channels, height, width) to (records, channels + 1, height, width)."""
        spread = (x.var(0, unbiased=False) + 1e-8).sqrt().mean()
        return torch.cat((x, spread.expand(len(x), 1, *x.shape[2:])), 1)


class Centre(nn.Module):
    """From 0..1 to -1..1, where a discriminator learns faster."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape, to the same."""
        return x * 2 - 1


def enlarging(channels: list[int], steps: list[tuple[int, int]]) -> list[nn.Module]:
    """Layers from the smallest size to the picture's, for channels and sizes that go from the picture downwards."""
    layers: list[nn.Module] = []
    for level in range(len(steps) - 1, 0, -1):
        layers += [
            Enlarge(*steps[level - 1]),
            nn.Conv2d(channels[level], channels[level - 1], 3, padding=1),
            nn.ReLU(),
        ]
    return layers


def architecture(model: ModelFamily, spec: InputSpec) -> dict[str, Any]:
    """Width, depth and options; `picture` and `kinds` are added by the trainer, who knows the real pictures."""
    del spec
    return {"width": model.width, "depth": model.depth, **{name: bool(model.options.get(name)) for name in OPTIONS}}


def build(family: str, spec: InputSpec, outputs: int, architecture: Mapping[str, Any]) -> nn.Module:
    """The generator: (records, numbers) of noise to (records, channels, height, width) in 0..1."""
    del outputs
    picture, (latent,) = tuple(architecture["picture"]), spec.shape
    layers = _linear(picture, latent, architecture) if family == "mlp_gan" else _dcgan(picture, latent, architecture)
    if kinds := architecture.get(KINDS, 0):
        if latent <= kinds:
            raise RejectedError(f"model.latent {latent}: with labels it is above the {kinds} classes, which it names")
        layers.insert(0, Kinds(kinds))
    return nn.Sequential(*layers, nn.Sigmoid())


def _linear(picture: tuple[int, ...], latent: int, architecture: Mapping[str, Any]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    inputs = latent
    for block in range(architecture["depth"]):
        units = UNITS * architecture["width"] * 2 ** min(block, 2)
        layers += [nn.Linear(inputs, units), nn.LeakyReLU(SLOPE)]
        inputs = units
    return [*layers, nn.Linear(inputs, prod(picture)), nn.Unflatten(1, picture)]


def _dcgan(picture: tuple[int, ...], latent: int, architecture: Mapping[str, Any]) -> list[nn.Module]:
    """Noise to the smallest size, and from there each size to the next larger one; the last step makes the picture."""
    steps = sizes(picture, architecture["depth"])
    channels = [picture[0]] + [architecture["width"] * 2**level for level in range(len(steps) - 1)]
    if len(steps) == 1:  # too small to be enlarged
        return _linear(picture, latent, architecture)
    smallest = (channels[-1], *steps[-1])
    layers: list[nn.Module] = [
        nn.Linear(latent, prod(smallest), bias=False),
        nn.BatchNorm1d(prod(smallest)),
        nn.ReLU(),
        nn.Unflatten(1, smallest),
    ]
    for level in range(len(steps) - 1, 0, -1):
        last = level == 1
        layers += [nn.ConvTranspose2d(channels[level], channels[level - 1], 4, 2, 1, bias=last)]
        layers += [] if last else [nn.BatchNorm2d(channels[level - 1]), nn.ReLU()]
        if steps[level - 1] != (2 * steps[level][0], 2 * steps[level][1]):
            layers.append(Cut(*steps[level - 1]))
    return layers


def discriminator(family: str, architecture: Mapping[str, Any]) -> nn.Module:
    """Pictures (records, channels, height, width) in 0..1 to (records, 1) logits, above 0 for real ones.

    With labels, a logit for each class follows.
    """
    (inputs, high, wide), rate = architecture["picture"], architecture.get(DROPOUT, 0.0)
    width, depth = architecture["width"], architecture["depth"]
    layers: list[nn.Module] = [Centre()]
    if family == "mlp_gan":
        layers.append(nn.Flatten())
        inputs = inputs * high * wide
        for block in range(depth):
            units = UNITS * width * 2 ** min(depth - 1 - block, 2)
            layers += [nn.Linear(inputs, units), nn.LeakyReLU(SLOPE), nn.Dropout(rate)]
            inputs = units
    else:
        for level in range(len(sizes((inputs, high, wide), depth)) - 1):
            layers += [nn.Conv2d(inputs, width * 2**level, 4, 2, 1), nn.LeakyReLU(SLOPE), nn.Dropout(rate)]
            inputs, high, wide = width * 2**level, high // 2, wide // 2
        layers += [Spread(), nn.Flatten()]
        inputs = (inputs + 1) * high * wide
    layers.append(nn.Linear(inputs, 1 + architecture.get(KINDS, 0)))
    found = nn.Sequential(*layers)
    if architecture.get("spectral"):
        for layer in found:
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                spectral_norm(layer)
    return found
