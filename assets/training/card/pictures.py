"""Pictures as data URIs, from arrays: heat maps over a picture, and a grid of generated ones."""

from __future__ import annotations

import base64
import io
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIDE = 112
GRID_SIDE = 448
_COLOURS = np.asarray([[40, 20, 90], [190, 40, 100], [250, 140, 40], [255, 240, 120]], np.float64)
"""From cold to hot; it can be told apart in grey too."""


def heat_picture(picture: NDArray[np.float32], heat: NDArray[Any]) -> str:
    """A picture in grey with what an answer rests on in colours, as a data URI.

    Args:
        picture: (channels, height, width), 0 to 1.
        heat: (height, width); negative values count as 0.
    """
    from PIL import Image

    positive = np.clip(np.nan_to_num(np.asarray(heat, np.float64)), 0, None)
    top = float(np.quantile(positive, 0.995)) or float(positive.max()) or 1.0
    share = np.clip(positive / top, 0, 1)
    size = _fitted(picture.shape[2], picture.shape[1])
    grey = Image.fromarray((np.clip(picture.mean(axis=0), 0, 1) * 255).astype(np.uint8)).resize(
        size, Image.Resampling.BILINEAR
    )
    spread = Image.fromarray(share.astype(np.float32)).resize(size, Image.Resampling.BILINEAR)
    warm = np.clip(np.asarray(spread, np.float64), 0, 1)
    place = warm * (len(_COLOURS) - 1)
    low = np.minimum(place.astype(np.int64), len(_COLOURS) - 2)
    part = (place - low)[..., None]
    colour = _COLOURS[low] * (1 - part) + _COLOURS[low + 1] * part
    alpha = 0.2 + 0.6 * warm[..., None]
    return _jpeg(np.asarray(grey, np.float64)[..., None] * (1 - alpha) + colour * alpha)


def plain_picture(picture: NDArray[np.float32]) -> str:
    """A picture (channels, height, width), 0 to 1, as a data URI, to the pixel where it is small."""
    from PIL import Image

    pixels = _pixels(picture)
    if max(pixels.shape[:2]) <= 72:
        return _png(pixels)
    return _jpeg(np.asarray(Image.fromarray(pixels).resize(_fitted(*pixels.shape[1::-1])), np.float64))


def grid_picture(pictures: NDArray[np.float32]) -> str:
    """Pictures (n, channels, height, width), 0 to 1, side by side in rows, with a line between them, as a data URI."""
    across = math.ceil(math.sqrt(len(pictures)))
    _, _, height, width = pictures.shape
    sheet = np.full((math.ceil(len(pictures) / across) * (height + 1) - 1, across * (width + 1) - 1, 3), 128, np.uint8)
    for number, picture in enumerate(pictures):
        top, left = (number // across) * (height + 1), (number % across) * (width + 1)
        sheet[top : top + height, left : left + width] = _pixels(picture).reshape(height, width, -1)
    if max(sheet.shape[:2]) <= 2 * GRID_SIDE:
        return _png(sheet if pictures.shape[1] == 3 else sheet[:, :, 0])
    from PIL import Image

    small = Image.fromarray(sheet)
    small.thumbnail((2 * GRID_SIDE, 2 * GRID_SIDE))
    return _jpeg(np.asarray(small, np.float64))


def _pixels(picture: NDArray[np.float32]) -> NDArray[np.uint8]:
    values = (np.clip(np.nan_to_num(picture), 0, 1) * 255 + 0.5).astype(np.uint8)
    return values[0] if len(values) == 1 else np.moveaxis(values[:3], 0, -1)


def _fitted(width: int, height: int) -> tuple[int, int]:
    largest = max(width, height)
    return max(1, round(width * SIDE / largest)), max(1, round(height * SIDE / largest))


def _png(pixels: NDArray[np.uint8]) -> str:
    return _encoded(pixels, "PNG", optimize=True)


def _jpeg(values: NDArray[np.float64]) -> str:
    return _encoded(np.clip(values, 0, 255).astype(np.uint8), "JPEG", quality=72)


def _encoded(pixels: NDArray[np.uint8], kind: str, **options: Any) -> str:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"
