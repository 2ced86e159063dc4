"""Three batches of scikit-learn's digits, written as class folders of PNG files, so that the real reader reads them.

The first two are sound. The third holds what real folders hold: damaged files, a class nobody declared, and pictures
that are known under another label.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FIRST, SECOND = 1200, 1600
"""Pictures [0, FIRST) are batch 1, [FIRST, SECOND) batch 2, the rest go into batch 3."""
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


def write_batches(folder: Path) -> tuple[Path, Path, Path]:
    """Write the three batches below `folder`; the same bytes every time."""
    digits = load_digits()
    paths = (folder / "batch-1", folder / "batch-2", folder / "batch-3")
    for path, start, stop in zip(paths, (0, FIRST, SECOND), (FIRST, SECOND, len(digits.labels)), strict=True):
        for index in range(start, stop):
            write_picture(path / str(digits.labels[index]) / f"{index:04d}.png", digits.pixels[index])
    _add_trouble(paths[2], digits)
    return paths


def _add_trouble(folder: Path, digits: Digits) -> None:
    sound = sorted((folder / "3").glob("*.png"))[0].read_bytes()
    broken = folder / "3"
    (broken / "empty.png").write_bytes(b"")
    (broken / "cut-short.png").write_bytes(sound[: len(sound) // 2])
    (broken / "web-page.png").write_text("<!doctype html><title>404</title><p>No such picture")
    for index in range(6):
        write_picture(folder / "letter-a" / f"{index}.png", digits.pixels[index][::-1])
    for index in range(12):
        wrong = (int(digits.labels[index]) + 1) % 10
        write_picture(folder / str(wrong) / f"known-{index:04d}.png", digits.pixels[index])


def write_picture(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write (height, width) grey pixels as a PNG file, unless it is there; the same bytes every time."""
    from PIL import Image

    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
