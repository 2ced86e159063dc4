"""What the gate measures of pictures: facts, a perceptual hash and an embedding, of one picture or a stack of them.

All of it is measured on the picture made smaller (longest side at most `LONGEST`, by means of whole squares of
pixels): what a reviewer would call dark, blurred or alike shows there too, at a tenth of the cost, and means the same
for a large picture and a small one. Pictures of at most `LONGEST` are measured as they are.
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
COARSE = 127
"""Sides of the picture that hash and embedding begin with. Larger matrices would have the linear algebra library start
threads of its own beside the reader's."""
EMBEDDING = 131
"""Length of a picture's embedding: a 7x7 grey layout, 4x4 cells of 4 directions, two 3x3 colour layouts."""

_SIDE = 32
_GREY, _CELLS, _TURNS, _COLOUR = 7, 4, 4, 3
_WEIGHTS = (0.7, 1.0, 0.5)  # of layout, directions and colours: chosen on MNIST, Fashion-MNIST and CIFAR-10
_LUMA = np.asarray([0.299, 0.587, 0.114], dtype=np.float32)
_FAINT = 1e-3
_STRIP_BYTES = 128 * 1024

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Measures:
    """Of n pictures.

    Attributes:
        brightness, contrast: (n,) float64, mean and standard deviation of the grey picture (8-bit values).
        sharpness: (n,) float64, variance of its Laplacian.
        entropy: (n,) float64, bits of its histogram.
        phash: (n,) uint64, signs of the 63 lowest waves of the picture (DCT of 32x32 grey) against their median.
        embedding: (n, EMBEDDING) float32, of length 1 (0 for a flat grey picture). Its grey layout and directions do
            not change with brightness and contrast.
    """

    brightness: NDArray[np.float64]
    contrast: NDArray[np.float64]
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
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.digest()


def picture_id_of(picture: Image) -> str:
    """`picture_id` of a Pillow picture of mode L or RGB; taken in strips, since copies of whole pictures are slow."""
    width, height = picture.size
    digest = hashlib.sha256(f"{height}x{width}x{len(picture.getbands())}".encode() + b"\0")
    rows = max(1, _STRIP_BYTES // (width * len(picture.getbands())))
    for top in range(0, height, rows):
        digest.update(picture.crop((0, top, width, min(top + rows, height))).tobytes())
    return digest.hexdigest()


def measure_picture(picture: Image) -> Measures:
    """Measure one picture of mode L or RGB."""
    small = _reduced(picture, LONGEST, LONGEST)
    tiny = _reduced(small, COARSE, COARSE)
    grey, coarse = (
        np.asarray(each, dtype=np.uint8).reshape(1, each.height, each.width, -1) for each in (small.convert("L"), tiny)
    )
    return _measure(grey[..., 0], coarse)


def measure_stack(pixels: NDArray[np.uint8]) -> Measures:
    """Measure pictures of one size with sides of at most `COARSE`: what `measure_picture` gives for each.

    Args:
        pixels: (n, height, width, 1 or 3). Float copies are made of all of them: call it in blocks.
    """
    return _measure(as_grey(pixels), pixels)


def as_grey(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(…, 1 or 3) to (…) uint8, as Pillow makes grey of RGB."""
    if pixels.shape[-1] == 1:
        return pixels[..., 0]
    red, green, blue = (pixels[..., channel].astype(np.uint32) for channel in range(3))
    grey: NDArray[np.uint8] = ((red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16).astype(np.uint8)
    return grey


def _measure(grey: NDArray[np.uint8], coarse: NDArray[np.uint8]) -> Measures:
    shares = _histograms(grey)
    values = np.arange(256, dtype=np.float64)
    brightness = shares @ values
    contrast = np.sqrt((shares * (values - brightness[:, None]) ** 2).sum(axis=1))
    logs = np.log2(shares, out=np.zeros_like(shares), where=shares > 0)
    entropy = -(shares * logs).sum(axis=1) + 0.0  # no minus zero
    colours = coarse.astype(np.float32)
    square = _resized(colours @ _LUMA if colours.shape[-1] == 3 else colours[..., 0], _SIDE, _SIDE)
    square = np.rint(square * np.float32(32)) / np.float32(32)  # a flat picture stays flat: no noise of rounding
    sharpness = _sharpness(grey.astype(np.float32))
    return Measures(brightness, contrast, sharpness, entropy, _phash(square), _embedding(square, _chroma(colours)))


def _reduced(picture: Image, width: int, height: int) -> Image:
    across, down = -(-picture.width // width), -(-picture.height // height)
    if width == height == LONGEST:
        across = down = max(across, down)  # keeps its shape
    return picture.reduce((across, down)) if max(across, down) > 1 else picture


def _sharpness(grey: Floats) -> NDArray[np.float64]:
    if min(grey.shape[1:]) < 3:
        return np.zeros(len(grey))
    waves = grey[:, 1:-1, 1:-1] * np.float32(-4)
    for part in (grey[:, :-2, 1:-1], grey[:, 2:, 1:-1], grey[:, 1:-1, :-2], grey[:, 1:-1, 2:]):
        waves += part
    variance: NDArray[np.float64] = waves.reshape(len(grey), -1).var(axis=1, dtype=np.float64)
    return variance


def _histograms(grey: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(n, 256) shares of the pixels that have each value."""
    flat = grey.reshape(len(grey), -1)
    places = flat if len(flat) == 1 else flat + np.arange(0, 256 * len(flat), 256)[:, None]
    counts = np.bincount(places.reshape(-1), minlength=256 * len(flat)).reshape(-1, 256)
    shares: NDArray[np.float64] = counts / flat.shape[1]
    return shares


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
    weighted = [part * np.float32(weight) for part, weight in zip(parts, _WEIGHTS, strict=True)]
    return _unit(np.concatenate(weighted, axis=1, dtype=np.float32))


def _directions(square: Floats) -> Floats:
    """How much it gets lighter to the right, left, down and up in each of 4x4 cells, (n, 4 * 4 * 4)."""
    count, step = len(square), _SIDE // _CELLS
    slopes = np.zeros((2, *square.shape), dtype=np.float32)
    slopes[0, :, :, 1:-1] = square[:, :, 2:] - square[:, :, :-2]
    slopes[1, :, 1:-1] = square[:, 2:] - square[:, :-2]
    both = np.stack([np.maximum(slopes, 0), np.maximum(-slopes, 0)])
    cells: Floats = both.reshape(4, count, _CELLS, step, _CELLS, step).sum(axis=5).sum(axis=3)
    return cells.transpose(1, 2, 3, 0).reshape(count, -1)


def _chroma(colours: Floats) -> Floats:
    """Red and blue above grey in 3x3 cells, (n, 18)."""
    if colours.shape[-1] == 1:
        return np.zeros((len(colours), 2 * _COLOUR**2), dtype=np.float32)
    grey = colours @ _LUMA
    parts = [_resized(colours[..., channel] - grey, _COLOUR, _COLOUR) for channel in (0, 2)]
    return np.stack(parts, axis=1).reshape(len(colours), -1)


def _resized(pictures: Floats, height: int, width: int) -> Floats:
    result: Floats = _areas(height, pictures.shape[1]) @ (pictures @ _areas(width, pictures.shape[2]).T)
    return result


def _unit(values: Floats) -> Floats:
    """Rows of length 1; a row without content stays zero."""
    lengths = np.sqrt(np.einsum("ij,ij->i", values, values))[:, None]
    unit: Floats = np.divide(values, np.where(lengths > _FAINT, lengths, np.inf), dtype=np.float32)
    return unit


@functools.lru_cache(maxsize=256)
def _areas(new: int, old: int) -> Floats:
    """(new, old): which share of each old place lies in each new one; rows add to 1."""
    edges = np.linspace(0, old, new + 1)
    low, high = edges[:-1, None], edges[1:, None]
    places = np.arange(old)[None]
    shares = np.clip(np.minimum(places + 1, high) - np.maximum(places, low), 0, None)
    weights: Floats = (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)
    return weights


@functools.lru_cache(maxsize=4)
def _cosines(waves: int, places: int) -> Floats:
    """(waves, places): the lowest waves of the orthonormal DCT-II."""
    angles = np.pi * np.arange(waves)[:, None] * (2 * np.arange(places)[None] + 1) / (2 * places)
    scale = np.where(np.arange(waves) == 0, math.sqrt(1 / places), math.sqrt(2 / places))[:, None]
    return (np.cos(angles) * scale).astype(np.float32)
