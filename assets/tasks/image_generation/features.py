"""What pictures are compared by: 64 numbers from a small convolutional network with fixed random filters.

A published Frechet distance uses a network that was trained on ImageNet, which is neither here nor made for digits.
Random filters see edges and where they are, need no download and no training, and are the same for every line, split
and model; Naeem et al. 2020 (ICML, "Reliable Fidelity and Diversity Metrics") found random embeddings of 64 numbers to
rank generators sensibly, and more so than ImageNet's away from ImageNet. Distances are only comparable with distances
from these features, on as many pictures of the same size. numpy only.
"""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.typing import NDArray

FEATURES = 64
CHANNELS = (16, 32, 64)
LARGEST_SIDE = 32
AT_ONCE = 256
Pictures = NDArray[np.float32]


def features(pictures: Pictures) -> NDArray[np.float64]:
    """(pictures, 64) of pictures (pictures, channels, height, width) with values 0 to 1, whatever their size."""
    parts = [_features(_small(pictures[at : at + AT_ONCE])) for at in range(0, len(pictures), AT_ONCE)]
    return np.concatenate(parts).astype(np.float64)


def _features(x: Pictures) -> Pictures:
    x = (x - 0.5) * 2
    for block, channels in enumerate(CHANNELS):
        x = _convolve(x, _filters(block, x.shape[1], channels))
        x = np.maximum(x, 0.2 * x)
        if block < len(CHANNELS) - 1 and min(x.shape[2:]) > 3:
            x = _pool(x, 2)
    corners = [
        part.mean(axis=(2, 3)) for rows in np.array_split(x, 2, axis=2) for part in np.array_split(rows, 2, axis=3)
    ]
    return np.concatenate(corners, axis=1) @ _projection(4 * CHANNELS[-1])


def _convolve(x: Pictures, filters: Pictures) -> Pictures:
    """3 x 3 convolution with zeros around; `filters` is (channels * 9, filters)."""
    records, channels, height, width = x.shape
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    patches = windows.transpose(0, 2, 3, 1, 4, 5).reshape(-1, channels * 9)
    found: Pictures = np.moveaxis((patches @ filters).reshape(records, height, width, -1), 3, 1)
    return found


def _pool(x: Pictures, size: int) -> Pictures:
    """Means of squares of pixels; rows and columns that do not fill one are cut off."""
    records, channels, height, width = x.shape
    rows, columns = height // size, width // size
    cut = x[:, :, : rows * size, : columns * size]
    means: Pictures = cut.reshape(records, channels, rows, size, columns, size).mean(axis=(3, 5))
    return means


def _small(pictures: Pictures) -> Pictures:
    """Pictures of at most `LARGEST_SIDE` pixels a side (or nearly twice that), and of at least 2."""
    x = np.asarray(pictures, np.float32)
    shrink = max(x.shape[2:]) // LARGEST_SIDE
    if shrink > 1 and min(x.shape[2:]) >= 2 * shrink:
        x = _pool(x, shrink)
    short = [(0, max(0, 2 - side)) for side in x.shape[2:]]
    return np.pad(x, ((0, 0), (0, 0), *short), mode="edge")


@functools.cache
def _filters(block: int, channels: int, filters: int) -> Pictures:
    rng = np.random.default_rng(1000 * channels + block)
    drawn = rng.normal(size=(channels * 9, filters)) * math.sqrt(2 / (channels * 9))
    return drawn.astype(np.float32)


@functools.cache
def _projection(numbers: int) -> Pictures:
    drawn = np.random.default_rng(numbers).normal(size=(numbers, FEATURES)) / math.sqrt(FEATURES)
    return drawn.astype(np.float32)
