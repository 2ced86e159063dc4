"""Whether two pictures show the same: by their pixels."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assets.quality.spool import Spool
from edge.errors import RejectedError
from edge.runtime.preprocess import read_picture

Rows = NDArray[np.int64]

SAME, SAME_TINY = 0.16, 0.065
"""Distance of normalized pixels from which pictures are the same, and for tiny ones. Measured with 5 changes (JPEG 75,
3/4 and double size, blur, brighter): 95 % of tiny copies are at most 0.07 away, and no two of MNIST's 60,000 pictures
less than 0.07; of larger copies (CIFAR-10, photographs) 0.15, and 0.1 % of its other pictures less than 0.23."""
MOST_PIXELS = 3_000_000_000
"""Pixels that are decoded for it, the closest pairs first (about a minute on 2 cores); the others are not looked at."""
_SIDE = 32
_SIGMA = 0.8
_CONTROL = 0.33
_TOGETHER = 2_000


@dataclass(frozen=True)
class Confirmed:
    """Of each pair: whether it was looked at, whether it is the same, and how much so (1 is equal)."""

    looked: NDArray[np.bool_]
    same: NDArray[np.bool_]
    score: NDArray[np.float64]


def confirm_pictures(spool: Spool, first: Rows, second: Rows, tiny: NDArray[np.bool_]) -> Confirmed:
    """Compare pictures of the batch by their pixels: grey, the larger one made as small as the other, at most 32 x 32,
    slightly blurred, without mean and contrast.

    Where the pictures of the batch are all alike, pairs must be closer than a third of what others are.

    Args:
        first, second: (pairs,) rows, the closest pairs first.
    """
    looked = np.zeros(len(first), dtype=bool)
    apart = np.full(len(first), np.inf)
    budget = _budget(spool, first, second)
    for start in range(0, budget, _TOGETHER):
        part = slice(start, min(start + _TOGETHER, budget))
        apart[part] = _distances(spool, first[part], second[part])
        looked[part] = True
    limit = np.where(tiny, SAME_TINY, SAME)
    if looked.any():
        limit = np.minimum(limit, _CONTROL * _usual(spool))
    return Confirmed(looked, looked & (apart <= limit), 1 - np.minimum(apart, 1.0))


def _budget(spool: Spool, first: Rows, second: Rows) -> int:
    """How many pairs may be looked at."""
    if not len(first):
        return 0
    sizes = spool.columns(["width", "height"])
    area = np.nan_to_num(sizes.column("width").to_numpy() * sizes.column("height").to_numpy(), nan=1e9)
    return int(np.searchsorted(np.cumsum(area[first] + area[second]), MOST_PIXELS))


def _usual(spool: Spool) -> float:
    """How far two pictures of the batch are apart, in the middle of 100 pairs drawn with a fixed seed."""
    draw = np.random.default_rng(0)
    first, second = draw.integers(0, spool.rows, (2, 100))
    other = first != second
    apart = _distances(spool, first[other], second[other])
    known = apart[np.isfinite(apart) & (apart > 0)]
    return float(np.median(known)) if known.size else np.inf


def _distances(spool: Spool, first: Rows, second: Rows) -> NDArray[np.float64]:
    """Root of 2 - 2 * correlation, 0 to 2; infinity where a picture cannot be decoded or shows nothing."""
    rows = np.unique(np.concatenate([first, second]))
    stored = spool.take(rows, ["_input"]).column("_input").to_pylist()
    with ThreadPoolExecutor(2) as pool:
        small = list(pool.map(_small, stored))
    place = {int(row): at for at, row in enumerate(rows)}
    by_shape: dict[tuple[int, ...], list[int]] = {}
    pairs = [(small[place[one]], small[place[two]]) for one, two in zip(first.tolist(), second.tolist(), strict=True)]
    ready: list[tuple[NDArray[np.uint8], NDArray[np.uint8]] | None] = []
    for at, (one, two) in enumerate(pairs):
        ready.append(None if one is None or two is None else _common(one, two))
        if (pair := ready[-1]) is not None:
            by_shape.setdefault(pair[0].shape, []).append(at)
    apart = np.full(len(first), np.inf)
    for places in by_shape.values():
        left = _normal([ready[at][0] for at in places])  # type: ignore[index]
        right = _normal([ready[at][1] for at in places])  # type: ignore[index]
        seen = (left.any(axis=1)) & (right.any(axis=1))
        between = np.sqrt(np.maximum(2 - 2 * np.einsum("ij,ij->i", left, right), 0))
        apart[places] = np.where(seen, between, np.inf)
    return apart


def _small(stored: bytes | None) -> NDArray[np.uint8] | None:
    """Grey, at most 64 pixels a side: still larger than what is compared."""
    from PIL.Image import Resampling

    try:
        picture = read_picture(stored or b"", 1)[1]
    except RejectedError:
        return None
    longest = max(picture.size)
    if longest > 2 * _SIDE:
        scale = 2 * _SIDE / longest
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        picture = picture.resize(size, Resampling.BICUBIC, reducing_gap=2.0)
    return np.asarray(picture, dtype=np.uint8)


def _common(one: NDArray[np.uint8], two: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Both in the size of the smaller one, at most 32 x 32."""
    height = min(one.shape[0], two.shape[0], _SIDE)
    width = min(one.shape[1], two.shape[1], _SIDE)
    return _resized(one, height, width), _resized(two, height, width)


def _resized(picture: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    from PIL import Image

    if picture.shape == (height, width):
        return picture
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC), dtype=np.uint8)


def _normal(pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
    from scipy.ndimage import gaussian_filter1d

    stack = np.stack(pictures).astype(np.float32)
    for axis in (1, 2):
        stack = np.asarray(gaussian_filter1d(stack, _SIGMA, axis=axis), dtype=np.float32)
    flat: NDArray[np.float32] = stack.reshape(len(stack), -1)
    flat -= flat.mean(axis=1, keepdims=True)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    flat /= np.where(length > 1e-3, length, np.inf).astype(np.float32)
    return flat
