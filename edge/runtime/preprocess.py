"""From a record, as it is stored or as a sensor gives it, to the model's input tensor.

Training imports these functions, so device and training cannot differ. The one rule for pictures: EXIF orientation is
applied, an alpha channel is laid on white, CMYK and palettes become RGB, 16-bit grey is scaled to 8 bits, then the
picture is converted to grey or RGB and resized (bilinear) where its size differs.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import math
import struct
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge.contracts import InputSpec
from edge.errors import RejectedError

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PIXELS = 64_000_000
IMAGE_FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF")


def decode_image(data: bytes, channels: int) -> NDArray[np.uint8]:
    """Decode a picture completely.

    Args:
        data: the file's bytes: PNG, JPEG, BMP, WebP or TIFF.
        channels: 1 for grey, 3 for RGB.

    Returns:
        (height, width, channels), uint8.

    Raises:
        RejectedError: not such a picture, damaged, or more than `MAX_PIXELS` pixels (checked before decoding).
    """
    from PIL import Image as pillow
    from PIL import ImageOps

    if not data:
        raise RejectedError("the file is empty; copy it again")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of large pictures; the limit below refuses them
            with pillow.open(io.BytesIO(data), formats=IMAGE_FORMATS) as opened:
                width, height = opened.size
                if width * height > MAX_PIXELS:
                    raise RejectedError(f"{width}x{height} pixels are more than {MAX_PIXELS:,}; scale the picture down")
                opened.load()
                picture = _flatten(ImageOps.exif_transpose(opened))
    except RejectedError:
        raise
    except Exception as error:  # Pillow's decoders raise many kinds
        raise RejectedError(f"not a readable picture ({_reason(error)}); export it again as PNG or JPEG") from error
    pixels = np.asarray(picture.convert("L" if channels == 1 else "RGB"), dtype=np.uint8)
    return pixels.reshape(pixels.shape[0], pixels.shape[1], channels)


def image_tensor(spec: InputSpec, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Pixels (height, width, channels) uint8 to the model's (channels, height, width) float32, resized and normalized."""
    from PIL import Image as pillow

    channels, height, width = spec.shape
    if pixels.shape[:2] != (height, width):
        picture = pillow.fromarray(pixels[:, :, 0] if channels == 1 else pixels)
        pixels = np.asarray(picture.resize((width, height), pillow.Resampling.BILINEAR), dtype=np.uint8)
        pixels = pixels.reshape(height, width, channels)
    mean = np.asarray(spec.mean, dtype=np.float32)
    std = np.asarray(spec.std, dtype=np.float32)
    scaled = (pixels.astype(np.float32) / np.float32(255) - mean) / std
    return np.ascontiguousarray(scaled.transpose(2, 0, 1))


def table_tensor(spec: InputSpec, values: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float32]:
    """A row's values in the order of `spec.columns` to the model's (columns,) float32, normalized."""
    row = np.asarray(values, dtype=np.float64)
    if row.shape != spec.shape or not np.isfinite(row).all():
        raise RejectedError(f"a row has {spec.shape[0]} finite numbers ({', '.join(spec.columns[:4])}, …)")
    return ((row - np.asarray(spec.mean)) / np.asarray(spec.std)).astype(np.float32)


def record_tensor(spec: InputSpec, data: bytes) -> NDArray[np.float32]:
    """A stored record's `input` bytes (picture file, or little-endian float64 values) to the model's input."""
    if spec.kind == "image":
        return image_tensor(spec, decode_image(data, spec.shape[0]))
    if len(data) != 8 * spec.shape[0]:
        raise RejectedError(f"a stored row has {8 * spec.shape[0]} bytes, found {len(data)}")
    return table_tensor(spec, struct.unpack(f"<{spec.shape[0]}d", data))


def golden_tensor(spec: InputSpec, text: str) -> NDArray[np.float32]:
    """A golden record's `input` (base64 of a picture file, or a row as JSON) to the model's input."""
    if spec.kind == "image":
        try:
            return record_tensor(spec, base64.b64decode(text, validate=True))
        except binascii.Error as error:
            raise RejectedError(f"the golden picture is not base64 ({error})") from error
    return row_tensor(spec, _parse_row(text))


def row_tensor(spec: InputSpec, row: Mapping[str, Any]) -> NDArray[np.float32]:
    """A row of named numbers to the model's input; columns that the model does not read are ignored."""
    values = []
    for column in spec.columns:
        try:
            value = float(row[column])
        except KeyError:
            raise RejectedError(f"column {column!r} is missing; the model reads {len(spec.columns)} columns") from None
        except (TypeError, ValueError):
            raise RejectedError(f"column {column!r}: {row[column]!r} is not a number") from None
        if not math.isfinite(value):
            raise RejectedError(f"column {column!r}: {value} is not a finite number")
        values.append(value)
    return table_tensor(spec, values)


def _parse_row(text: str) -> Mapping[str, Any]:
    try:
        row = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RejectedError(f"not a JSON object of columns and numbers ({error})") from error
    if not isinstance(row, dict):
        raise RejectedError("not a JSON object of columns and numbers")
    return row


def _flatten(picture: Image) -> Image:
    """Without alpha, palette, CMYK or 16 bits."""
    from PIL import Image as pillow

    if picture.mode.startswith("I") or picture.mode == "F":
        values = np.asarray(picture, dtype=np.float64)
        scale = 255 / 65535 if picture.mode.startswith("I") else 255
        return pillow.fromarray(np.clip(np.rint(values * scale), 0, 255).astype(np.uint8))
    if picture.mode in {"RGBA", "LA", "PA"} or "transparency" in picture.info:
        layer = picture.convert("RGBA")
        paper = pillow.new("RGBA", layer.size, (255, 255, 255, 255))
        return pillow.alpha_composite(paper, layer).convert("RGB")
    return picture if picture.mode in {"L", "RGB"} else picture.convert("RGB")


def _reason(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:160] or type(error).__name__
