"""A split as a model reads it and is judged on: its records, or for a generator noise beside the real pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from assets.line.config import LineConfig
from assets.loading.records import open_split
from assets.records.dataset import SPLITS, DatasetVersion, Split
from assets.storage.store import Store
from edge.contracts import InputSpec

MOST_PICTURES = 5000
"""Real pictures that a generator is judged against, and as many pictures of its own."""


class HeldOut(Protocol):
    """Records that models answer and are judged on: a training set (see `assets.fitting.contract`) with more to it.

    Attributes:
        ids: (records,) texts that never change.
        groups: (records,) the unit of each, or "".
    """

    @property
    def y(self) -> NDArray[Any]: ...

    @property
    def ids(self) -> Sequence[str]: ...

    @property
    def groups(self) -> Sequence[str]: ...

    def __len__(self) -> int: ...

    def batch(self, rows: NDArray[np.int64]) -> Tensor: ...

    def input_of(self, row: int) -> bytes:
        """The bytes that a golden record is made of."""
        ...


class NoiseSet:
    """Fixed noise, drawn once from a normal distribution: the same for every model of a line, so pictures compare.

    Attributes:
        y: (pictures, channels, height, width) float32, 0 to 1: the real ones that the generated are held against.
    """

    def __init__(self, latent: int, pictures: NDArray[np.float32], seed: int) -> None:
        self.y: NDArray[Any] = pictures
        self.ids = tuple(f"noise-{seed}-{number:06d}" for number in range(len(pictures)))
        self.groups = ("",) * len(pictures)
        generator = torch.Generator().manual_seed(seed)
        self._noise = torch.randn((len(pictures), latent), generator=generator)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._noise)

    def batch(self, rows: NDArray[np.int64]) -> Tensor:
        """(rows, latent) float32."""
        return self._noise[rows]

    def input_of(self, row: int) -> bytes:
        """Little-endian float64 numbers."""
        return self._noise[row].numpy().astype("<f8").tobytes()


def open_held_out(
    store: Store,
    dataset: DatasetVersion,
    split: Split,
    spec: InputSpec,
    config: LineConfig,
    *,
    scratch: Path | None = None,
) -> HeldOut:
    """A split as the model reads it.

    Args:
        spec: of the model's input; noise for a generator.
        scratch: see `open_split`.

    Raises:
        RejectedError, VerificationError: see `open_split`.
    """
    if spec.kind != "noise":
        return open_split(store, dataset, split, spec, config, scratch=scratch)
    real = open_split(store, dataset, split, picture_spec(config), config, scratch=scratch)
    rows = np.unique(np.linspace(0, len(real) - 1, min(len(real), MOST_PICTURES)).astype(np.int64))
    pictures = real.batch(rows).numpy()
    return NoiseSet(spec.shape[0], pictures, SPLITS.index(split))


def picture_spec(config: LineConfig) -> InputSpec:
    """How pictures are read whose values stay 0 to 1, as generators answer them."""
    image = config.data.image
    assert image is not None, "generators learn from pictures"
    shape = (image.channels, image.height, image.width)
    return InputSpec("image", "input", shape, (0.0,) * image.channels, (1.0,) * image.channels)
