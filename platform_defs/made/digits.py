"""Scikit-learn's digits as arrays, and as PNG files: what the demo and the lines' own data sets are made from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SEED = 20_240_517


@dataclass(frozen=True)
class Digits:
    """All pictures, (1797, 8, 8) uint8 with values 0 to 255, and their classes, (1797,) int64."""

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]


def load_digits() -> Digits:
    """Scikit-learn's copy of the UCI digits, in a fixed shuffled order."""
    from sklearn import datasets

    bunch = datasets.load_digits()
    order = np.random.default_rng(SEED).permutation(len(bunch.target))
    pixels = np.rint(bunch.images[order] * (255 / 16)).astype(np.uint8)
    return Digits(pixels, bunch.target[order].astype(np.int64))


def write_picture(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write (height, width) grey pixels as a PNG file, unless it is there; the same bytes every time."""
    from PIL import Image

    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
