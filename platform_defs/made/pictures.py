"""Small made pictures in the formats of MNIST and Fashion-MNIST (idx), CIFAR-10 (binary) and cats and dogs (JPEG).

A class is stripes of one direction and width; a picture of it has them anywhere, lit differently, among patches and
noise: easy, but not given away.
"""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from platform_defs.made.digits import load_digits

Pixels = NDArray[np.uint8]
Labels = NDArray[np.uint8]
CLASSES = 10


def write_clothes(folder: Path) -> None:
    """The four files of Fashion-MNIST: 400 + 120 grey pictures, 28x28, 10 classes."""
    pixels, labels = _patterns(520, side=28, channels=1, seed=11)
    _write_idx(folder, pixels[..., 0], labels, 400)


def write_large_digits(folder: Path) -> None:
    """The four files of MNIST: scikit-learn's digits enlarged to 28x28, 640 + 160 of them."""
    from PIL import Image

    digits = load_digits()
    enlarged = [
        np.pad(np.asarray(Image.fromarray(one).resize((20, 20), Image.Resampling.BICUBIC)), 4)
        for one in digits.pixels[:800]
    ]
    _write_idx(folder, np.stack(enlarged), digits.labels[:800].astype(np.uint8), 640)


def _write_idx(folder: Path, pixels: Pixels, labels: Labels, train: int) -> None:
    """Both parts, each as images (magic 2051) and labels (2049), big-endian and gzipped (LeCun's format)."""
    for part, rows in (("train", slice(train)), ("t10k", slice(train, None))):
        count, height, width = pixels[rows].shape
        images = struct.pack(">4i", 2051, count, height, width) + pixels[rows].tobytes()
        names = struct.pack(">2i", 2049, count) + labels[rows].tobytes()
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(images, mtime=0))
        (folder / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(names, mtime=0))


def write_things(folder: Path) -> None:
    """CIFAR-10's binary layout: data_batch_1.bin with 400 pictures, test_batch.bin with 120, RGB 32x32, 10 classes."""
    pixels, labels = _patterns(520, side=32, channels=3, seed=12)
    for name, rows in (("data_batch_1.bin", slice(400)), ("test_batch.bin", slice(400, None))):
        planes = pixels[rows].transpose(0, 3, 1, 2).reshape(-1, 3 * 32 * 32)
        (folder / name).write_bytes(np.hstack([labels[rows, None], planes]).tobytes())


def write_pets(folder: Path) -> None:
    """JPEG files of several sizes: 45 each in `train/{cat,dog}`, 15 each in `validation/{cat,dog}`."""
    from PIL import Image

    pixels, labels = _patterns(120, side=48, channels=3, seed=13, classes=2)
    draw = np.random.default_rng(13)
    for number, (picture, label) in enumerate(zip(pixels, labels, strict=True)):
        width, height = (int(side) for side in draw.integers(100, 200, 2))
        split = "train" if number < 90 else "validation"
        path = folder / split / ("cat", "dog")[label] / f"{number:03d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC).save(path, "JPEG", quality=90)


def _patterns(count: int, *, side: int, channels: int, seed: int, classes: int = CLASSES) -> tuple[Pixels, Labels]:
    """(count, side, side, channels) pictures, and their classes in turn, (count,)."""
    draw = np.random.default_rng(seed)
    tints = draw.uniform(0.5, 1.0, (classes, channels))
    down, across = np.mgrid[:side, :side] * (2 * np.pi / side)
    labels = (np.arange(count) % classes).astype(np.uint8)
    pictures = np.empty((count, side, side, channels), np.uint8)
    for number, label in enumerate(labels):
        angle, waves = np.pi * label / classes, 3 + 2 * (label % 2)
        stripes = np.sin(waves * (np.cos(angle) * down + np.sin(angle) * across) + draw.uniform(0, 2 * np.pi))
        patches = np.kron(draw.normal(0, 25, (4, 4)), np.ones((-(-side // 4),) * 2))[:side, :side]
        lit = draw.uniform(30, 60) * stripes[..., None] * tints[label] + patches[..., None]
        noisy = 128 + lit + draw.normal(0, 12, lit.shape)
        pictures[number] = np.clip(noisy, 0, 255).astype(np.uint8)
    return pictures, labels
