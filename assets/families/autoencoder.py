"""What goes through a bottleneck and comes out changed is unlike what was learned (Hinton and Salakhutdinov 2006)."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from math import prod
from typing import Any

from torch import Tensor, nn

from assets.families.gan import enlarging, sizes
from assets.line.model import ModelFamily
from edge.contracts import InputSpec


class Autoencoder(nn.Module):
    """An encoder and a decoder; it answers how far what comes out is from what went in."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def reconstruct(self, x: Tensor) -> Tensor:
        """(records, *shape) to the same."""
        out: Tensor = self.decoder(self.encoder(x))
        return out

    def forward(self, x: Tensor) -> Tensor:
        """(records, *shape) to (records, 1): the mean squared error over each record's numbers."""
        error = x - self.reconstruct(x)
        return (error * error).flatten(1).mean(1, keepdim=True)


def architecture(model: ModelFamily, spec: InputSpec) -> dict[str, Any]:
    """Width, depth and the bottleneck, which is never wider than half of what goes in, or it would copy."""
    latent = min(model.latent, max(1, prod(spec.shape) // 2))
    return {"width": model.width, "depth": model.depth, "latent": latent}


def build(family: str, spec: InputSpec, outputs: int, architecture: Mapping[str, Any]) -> Autoencoder:
    """See `assets.families.build`; `outputs` is 1."""
    del family, outputs
    width, depth, latent = architecture["width"], architecture["depth"], architecture["latent"]
    if spec.kind == "image":
        return _of_pictures(spec.shape, width, depth, latent)
    numbers = prod(spec.shape)
    down = [numbers] + [max(latent, width // 2**block) for block in range(depth)] + [latent]
    encoder = [nn.Flatten(), *_linear(down)]
    return Autoencoder(nn.Sequential(*encoder), nn.Sequential(*_linear(down[::-1]), nn.Unflatten(1, spec.shape)))


def _linear(units: list[int]) -> list[nn.Module]:
    """Linear layers with ReLU between them."""
    layers: list[nn.Module] = []
    for inputs, found in pairwise(units):
        layers += [nn.Linear(inputs, found), nn.ReLU()]
    return layers[:-1]


def _of_pictures(shape: tuple[int, ...], width: int, depth: int, latent: int) -> Autoencoder:
    steps = sizes(shape, depth)
    channels = [width * 2 ** min(level, 3) for level in range(len(steps))]
    encoder: list[nn.Module] = [nn.Conv2d(shape[0], channels[0], 3, padding=1), nn.ReLU()]
    for before, after in pairwise(channels):
        encoder += [nn.Conv2d(before, after, 3, 2, 1), nn.ReLU()]
    smallest = (channels[-1], *steps[-1])
    encoder += [nn.Flatten(), nn.Linear(prod(smallest), latent)]
    decoder = [
        nn.Linear(latent, prod(smallest)),
        nn.ReLU(),
        nn.Unflatten(1, smallest),
        *enlarging(channels, steps),
        nn.Conv2d(channels[0], shape[0], 3, padding=1),
    ]
    return Autoencoder(nn.Sequential(*encoder), nn.Sequential(*decoder))
