"""Small drawings for the report, bounded in size: thumbnails as data URIs and histograms as numbers."""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray

from edge.errors import RejectedError
from edge.runtime.preprocess import decode_image

THUMBNAIL = 72
BINS = 16


def thumbnail(content: bytes, channels: int) -> str | None:
    """A picture file as the data URI of a PNG of at most 72 x 72 pixels, made anew; None where it cannot be decoded."""
    from PIL import Image

    try:
        pixels = decode_image(content, channels)
    except RejectedError:
        return None
    picture = Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels)
    picture.thumbnail((THUMBNAIL, THUMBNAIL))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def histogram(values: NDArray[np.float64]) -> list[float]:
    """Heights, 0 to 40, of 16 equal bins from the least to the greatest of finite values; empty without values."""
    if not values.size:
        return []
    low, high = float(values.min()), float(values.max())
    scaled = (values / 2 - low / 2) / ((high / 2 - low / 2) or 1.0)  # halves: the range of float64 has no width
    counts = np.bincount(np.minimum((scaled * BINS).astype(int), BINS - 1), minlength=BINS)
    return [float(count) / int(counts.max()) * 40 for count in counts]
