"""From a record, as it is stored or as a sensor gives it, to the model's input tensor.

Training imports these functions, so device and training cannot differ. The one rule for pictures: EXIF orientation is
applied, an alpha channel is laid on white, CMYK and palettes become RGB, 16-bit grey is scaled to 8 bits, then the
picture is converted to grey or RGB and resized (bilinear) where its size differs.
"""

from __future__ import annotations

import base64
import io
import json
import math
import reprlib
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
MAX_DEVIATIONS = 1e6
IMAGE_FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF")


def decode_image(data: bytes, channels: int) -> NDArray[np.uint8]:
    """Decode a picture completely; of several frames the first.

    Args:
        data: the file's bytes: PNG, JPEG, BMP, WebP or TIFF.
        channels: 1 for grey, 3 for RGB.

    Returns:
        (height, width, channels), uint8.

    Raises:
        RejectedError: not such a picture, damaged, or more than `MAX_PIXELS` pixels (checked before decoding).
    """
    if not data:
        raise RejectedError("the file is empty; copy it again")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of large pictures; `_check_size` refuses them
            return _decode(data, channels)
    except RejectedError:
        raise
    except Exception as error:  # Pillow's decoders raise many kinds
        raise RejectedError(f"not a readable picture ({_reason(error)}); export it again as PNG or JPEG") from error


def image_tensor(spec: InputSpec, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Resize and normalize: (height, width, channels) uint8 to the model's (channels, height, width) float32."""
    from PIL import Image as PillowImage

    channels, height, width = spec.shape
    if pixels.shape[:2] != (height, width):
        picture = PillowImage.fromarray(pixels[:, :, 0] if channels == 1 else pixels)
        pixels = np.asarray(picture.resize((width, height), PillowImage.Resampling.BILINEAR), dtype=np.uint8)
        pixels = pixels.reshape(height, width, channels)
    mean = np.asarray(spec.mean, dtype=np.float32)
    std = np.asarray(spec.std, dtype=np.float32)
    scaled = (pixels.astype(np.float32) / np.float32(255) - mean) / std
    return np.ascontiguousarray(scaled.transpose(2, 0, 1))


def table_tensor(spec: InputSpec, values: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float32]:
    """A row's values in the order of `spec.columns` to the model's (columns,) float32, normalized.

    A value further than `MAX_DEVIATIONS` from the mean is set to that distance: one absurd cell must not overflow
    float32 and turn the whole answer into NaN.
    """
    row = np.asarray(values, dtype=np.float64)
    if row.shape != spec.shape or not np.isfinite(row).all():
        raise RejectedError(f"a row has {spec.shape[0]} finite numbers ({', '.join(spec.columns[:4])}, …)")
    with np.errstate(over="ignore"):
        scaled = (row - np.asarray(spec.mean)) / np.asarray(spec.std)
    clipped: NDArray[np.float32] = np.clip(scaled, -MAX_DEVIATIONS, MAX_DEVIATIONS).astype(np.float32)
    return clipped


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
        except ValueError as error:
            raise RejectedError(f"the golden picture is not base64 ({error})") from error
    return row_tensor(spec, parse_row(text))


def row_tensor(spec: InputSpec, row: Mapping[str, Any]) -> NDArray[np.float32]:
    """A row of named numbers to the model's input; columns that the model does not read are ignored."""
    values = []
    for column in spec.columns:
        try:
            value = _number(row[column])
        except KeyError:
            raise RejectedError(f"column {column!r} is missing; the model reads {len(spec.columns)} columns") from None
        except (TypeError, ValueError, OverflowError):
            raise RejectedError(f"column {column!r}: {reprlib.repr(row[column])} is not a number") from None
        if not math.isfinite(value):
            raise RejectedError(f"column {column!r}: {value} is not a finite number")
        values.append(value)
    return table_tensor(spec, values)


def parse_row(text: str) -> Mapping[str, Any]:
    """A JSON object of columns and numbers. Raises RejectedError."""
    try:
        row = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RejectedError(f"not a JSON object of columns and numbers ({error})") from error
    if not isinstance(row, dict):
        raise RejectedError(f"not a JSON object of columns and numbers, but a {type(row).__name__}")
    return row


def _number(value: Any) -> float:
    """As JSON and CSV write numbers; Python's own `1_000` and True are no numbers there."""
    if isinstance(value, bool) or (isinstance(value, str) and "_" in value):
        raise ValueError(value)
    return float(value)


def _decode(data: bytes, channels: int) -> NDArray[np.uint8]:
    from PIL import Image as PillowImage
    from PIL import ImageOps

    try:
        file = PillowImage.open(io.BytesIO(data), formats=IMAGE_FORMATS)
    except PillowImage.DecompressionBombError as error:  # Pillow's own limit, from the header too
        raise RejectedError(f"more than {MAX_PIXELS:,} pixels; scale the picture down") from error
    with file as opened:
        _check_size(*opened.size)
        opened.load()
        picture = _flatten(ImageOps.exif_transpose(opened)).convert("L" if channels == 1 else "RGB")
    return np.asarray(picture, dtype=np.uint8).reshape(picture.height, picture.width, channels)


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise RejectedError(f"{width}x{height} pixels are more than {MAX_PIXELS:,}; scale the picture down")
    if width < 1 or height < 1:
        raise RejectedError(f"a picture of {width}x{height} pixels holds nothing; export it again")


def _flatten(picture: Image) -> Image:
    """Without alpha, palette, CMYK or 16 bits."""
    from PIL import Image as PillowImage

    if picture.mode.startswith("I") or picture.mode == "F":
        values = np.asarray(picture, dtype=np.float32)
        if not np.isfinite(values).all():
            raise RejectedError("some pixels are not numbers; export the picture again as PNG")
        scale = np.float32(255 / 65535 if picture.mode.startswith("I") else 255)
        return PillowImage.fromarray(np.clip(np.rint(values * scale), 0, 255).astype(np.uint8))
    if picture.mode in {"RGBA", "LA", "PA"} or "transparency" in picture.info:
        layer = picture.convert("RGBA")
        paper = PillowImage.new("RGBA", layer.size, (255, 255, 255, 255))
        return PillowImage.alpha_composite(paper, layer).convert("RGB")
    return picture if picture.mode in {"L", "RGB"} else picture.convert("RGB")


def _reason(error: Exception) -> str:
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):  # its own text is the address of a buffer
        return f"its bytes are none of {', '.join(IMAGE_FORMATS)}"
    return (str(error).splitlines() or [""])[0][:160] or type(error).__name__
