"""What the gate measures of pictures: facts, a perceptual hash and an embedding, of one picture or a stack of them.

Brightness and contrast count every pixel. Everything else is measured on the picture made smaller (longest side at most
`LONGEST`): what a reviewer would call blurred or alike shows there too, at a tenth of the cost.
"""

from __future__ import annotations

import functools
import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image

LONGEST = 256
EMBEDDING = 131
"""Length of a picture's embedding: a 7x7 grey layout, 4x4 cells of 4 directions, two 3x3 colour layouts."""

_SIDE = 32
_GREY, _CELLS, _TURNS, _COLOUR = 7, 4, 4, 3
_WEIGHTS = (0.7, 1.0, 0.5)  # of layout, directions and colours: chosen on MNIST, Fashion-MNIST and CIFAR-10
_FAINT = 1e-3

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Measures:
    """Of n pictures: sharpness and entropy (n,) float64, phash (n,) uint64, embedding (n, EMBEDDING) float32.

    sharpness: variance of the Laplacian of the grey picture (8-bit values). entropy: bits of its histogram.
    phash: signs of the 63 lowest waves of the picture (DCT of 32x32 grey) against their median.
    embedding: L2-normalized; the grey layout and the directions do not change with brightness and contrast.
    """

    sharpness: NDArray[np.float64]
    entropy: NDArray[np.float64]
    phash: NDArray[np.uint64]
    embedding: Floats


def picture_id(pixels: NDArray[np.uint8]) -> str:
    """SHA-256 (hex) of (height, width, channels) uint8 pixels with their shape: re-encoding keeps it."""
    return picture_digest(pixels).hex()


def picture_digest(pixels: NDArray[np.uint8]) -> bytes:
    """`picture_id` as 32 bytes."""
    digest = hashlib.sha256("x".join(map(str, pixels.shape)).encode() + b"\0")
    digest.update(np.ascontiguousarray(pixels))
    return digest.digest()


def brightness_contrast(picture: Image) -> tuple[float, float]:
    """Mean and standard deviation of all 8-bit values of a picture of mode L or RGB."""
    counts = np.asarray(picture.histogram(), dtype=np.int64).reshape(-1, 256).sum(axis=0)
    return _moments(counts)


def shrink(picture: Image) -> NDArray[np.uint8]:
    """(height, width, channels) of a picture of mode L or RGB, its longest side at most `LONGEST` (areas averaged)."""
    from PIL.Image import Resampling

    width, height = picture.size
    if (scale := LONGEST / max(width, height)) < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        picture = picture.resize(size, Resampling.BOX, reducing_gap=1.0)
    return np.asarray(picture, dtype=np.uint8).reshape(picture.height, picture.width, -1)


def measure(pixels: NDArray[np.uint8]) -> Measures:
    """Measure pictures of one size.

    Args:
        pixels: (n, height, width, channels), grey or RGB. Float copies are made of all of them: call it in blocks.
    """
    grey8 = as_grey(pixels)
    grey = grey8.astype(np.float32)
    square = _grid(grey, _SIDE)
    return Measures(_sharpness(grey), _entropy(grey8), _phash(square), _embedding(square, _chroma(pixels, grey)))


def as_grey(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(…, 1 or 3) to (…) uint8, as Pillow makes grey of RGB."""
    if pixels.shape[-1] == 1:
        return pixels[..., 0]
    red, green, blue = (pixels[..., channel].astype(np.uint32) for channel in range(3))
    grey: NDArray[np.uint8] = ((red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16).astype(np.uint8)
    return grey


def stack_moments(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of all values of each of n pictures, two of (n,)."""
    flat = pixels.reshape(len(pixels), -1)
    means = flat.mean(axis=1, dtype=np.float64)
    squares = np.einsum("ij,ij->i", flat, flat, dtype=np.float64)
    return means, np.sqrt(np.maximum(squares / max(1, flat.shape[1]) - means**2, 0))


def _moments(counts: NDArray[np.int64]) -> tuple[float, float]:
    values = np.arange(256, dtype=np.float64)
    total = max(1, int(counts.sum()))
    mean = float(counts @ values) / total
    return mean, math.sqrt(float(counts @ (values - mean) ** 2) / total)


def _sharpness(grey: Floats) -> NDArray[np.float64]:
    if min(grey.shape[1:]) < 3:
        return np.zeros(len(grey))
    waves = grey[:, 1:-1, 1:-1] * np.float32(-4)
    for part in (grey[:, :-2, 1:-1], grey[:, 2:, 1:-1], grey[:, 1:-1, :-2], grey[:, 1:-1, 2:]):
        waves += part
    variance: NDArray[np.float64] = waves.reshape(len(grey), -1).var(axis=1, dtype=np.float64)
    return variance


def _entropy(grey: NDArray[np.uint8]) -> NDArray[np.float64]:
    flat = grey.reshape(len(grey), -1)
    places = flat.astype(np.int64) + np.arange(len(flat))[:, None] * 256
    counts = np.bincount(places.reshape(-1), minlength=256 * len(flat)).reshape(-1, 256)
    shares = counts / max(1, flat.shape[1])
    logs = np.log2(shares, out=np.zeros_like(shares), where=shares > 0)
    return -(shares * logs).sum(axis=1) + 0.0  # no minus zero


def _phash(square: Floats) -> NDArray[np.uint64]:
    waves = _cosines(8, _SIDE)
    low = (waves @ square @ waves.T).reshape(len(square), 64)[:, 1:]
    low[np.abs(low) < _FAINT * _SIDE] = 0  # rounding noise of flat pictures is no sign
    bits = low > np.median(low, axis=1, keepdims=True)
    weights = np.uint64(1) << np.arange(63, dtype=np.uint64)
    phash: NDArray[np.uint64] = np.where(bits, weights, np.uint64(0)).sum(axis=1, dtype=np.uint64)
    return phash


def _embedding(square: Floats, chroma: Floats) -> Floats:
    layout = _resized(square, _GREY, _GREY).reshape(len(square), -1)
    parts = (
        _unit(layout - layout.mean(axis=1, keepdims=True)),
        _unit(np.sqrt(_directions(square))),
        chroma / np.float32(128),
    )
    return _unit(
        np.concatenate([part * np.float32(weight) for part, weight in zip(parts, _WEIGHTS, strict=True)], axis=1)
    )


def _directions(square: Floats) -> Floats:
    """How much it gets lighter to the right, down, left and up in each of 4x4 cells, (n, 4 * 4 * 4)."""
    padded = np.pad(square, ((0, 0), (1, 1), (1, 1)), mode="edge")
    right = padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]
    down = padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]
    step = _SIDE // _CELLS
    cells = []
    for slope in (right, down, -right, -down):
        risen = np.maximum(slope, 0).reshape(len(square), _CELLS, step, _CELLS, step)
        cells.append(risen.mean(axis=(2, 4)))
    return np.stack(cells, axis=-1).reshape(len(square), -1)


def _chroma(pixels: NDArray[np.uint8], grey: Floats) -> Floats:
    """Red and blue above grey in 3x3 cells, (n, 18)."""
    if pixels.shape[-1] == 1:
        return np.zeros((len(pixels), 2 * _COLOUR**2), dtype=np.float32)
    parts = [_grid(pixels[..., channel].astype(np.float32) - grey, _COLOUR) for channel in (0, 2)]
    return np.stack(parts, axis=1).reshape(len(pixels), -1)


def _grid(pictures: Floats, side: int) -> Floats:
    """(n, height, width) to (n, side, side), areas averaged; whole steps first, which is cheap."""
    height, width = pictures.shape[1:]
    down, across = max(1, height // (2 * side)), max(1, width // (2 * side))
    if down > 1 or across > 1:
        rows, columns = height // down, width // across
        pictures = pictures[:, : rows * down, : columns * across]  # leaves out less than a step at the edge
        pictures = pictures.reshape(len(pictures), rows, down, columns, across).mean(axis=(2, 4))
    return _resized(pictures, side, side)


def _resized(pictures: Floats, height: int, width: int) -> Floats:
    result: Floats = _areas(height, pictures.shape[1]) @ (pictures @ _areas(width, pictures.shape[2]).T)
    return result


def _unit(values: Floats) -> Floats:
    """Rows of length 1; a row without content stays zero."""
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    return values / np.where(lengths > _FAINT, lengths, np.inf).astype(np.float32)


@functools.lru_cache(maxsize=256)
def _areas(new: int, old: int) -> Floats:
    """(new, old): which share of each old place lies in each new one; rows add to 1."""
    edges = np.linspace(0, old, new + 1)
    low, high = edges[:-1, None], edges[1:, None]
    places = np.arange(old)[None]
    shares = np.clip(np.minimum(places + 1, high) - np.maximum(places, low), 0, None)
    return (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)


@functools.lru_cache(maxsize=4)
def _cosines(waves: int, places: int) -> Floats:
    """(waves, places): the lowest waves of the orthonormal DCT-II."""
    angles = np.pi * np.arange(waves)[:, None] * (2 * np.arange(places)[None] + 1) / (2 * places)
    scale = np.where(np.arange(waves) == 0, math.sqrt(1 / places), math.sqrt(2 / places))[:, None]
    return (np.cos(angles) * scale).astype(np.float32)
