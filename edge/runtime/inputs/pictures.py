"""Picture files to pixels, and pixels to the model's input.

The one rule for pictures: of several frames the first; EXIF orientation is applied; alpha and transparent colours are
laid on white; CMYK (Adobe's inverted one too) and palettes become RGB; 16-bit grey is scaled to 8 bits, and so are real
numbers from 0 to 1 (other ranges are refused, as nobody knows their white); of 16-bit colours the upper 8 bits are
taken; colour profiles are ignored; then the picture is converted to grey or RGB and resized (bilinear) where its size
differs.
"""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from edge.contracts import InputSpec
from edge.errors import RejectedError
from edge.runtime.traps import refuse_traps

if TYPE_CHECKING:
    from PIL.Image import Image

T = TypeVar("T")

MAX_PIXELS = 64_000_000
IMAGE_FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF")


@dataclass(frozen=True)
class PictureHeader:
    """What a picture file says of itself: pixels as stored, Pillow's name of the mode, one of `IMAGE_FORMATS`."""

    width: int
    height: int
    mode: str
    format: str


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
    return picture_pixels(read_picture(data, channels)[1])


def read_picture(
    data: bytes, channels: int, room: Callable[[int], AbstractContextManager[None]] = lambda pixels: nullcontext()
) -> tuple[PictureHeader, Image]:
    """As `decode_image`, as a Pillow picture of mode L or RGB, with what the file says of itself.

    Args:
        room: entered with the number of pixels before they are decoded; callers with threads bound their memory by it.
    """
    mode = "L" if channels == 1 else "RGB"

    def read(opened: Image) -> tuple[PictureHeader, Image]:
        kind = "JPEG" if opened.format == "MPO" else str(opened.format)  # several JPEGs in one file, as phones write
        header = PictureHeader(*opened.size, opened.mode, kind)
        with room(header.width * header.height):
            opened.load()
            picture = _flatten(_upright(opened))
            return header, picture.convert(mode) if picture.mode != mode else picture

    return _with_picture(data, read)


def picture_pixels(picture: Image) -> NDArray[np.uint8]:
    """(height, width, channels) uint8 of a Pillow picture of mode L or RGB."""
    return np.asarray(picture, dtype=np.uint8).reshape(picture.height, picture.width, len(picture.getbands()))


def image_tensor(spec: InputSpec, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Resize and normalize: (height, width, channels) uint8 to the model's (channels, height, width) float32."""
    return normalized(spec, resized(spec, pixels))


def resized(spec: InputSpec, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pixels of any size in the model's size: (height, width, channels) uint8, bilinear where the size differs."""
    from PIL import Image as PillowImage

    channels, height, width = spec.shape
    if pixels.shape[:2] == (height, width):
        return pixels
    picture = PillowImage.fromarray(pixels[:, :, 0] if channels == 1 else pixels)
    small = np.asarray(picture.resize((width, height), PillowImage.Resampling.BILINEAR), dtype=np.uint8)
    return small.reshape(height, width, channels)


def normalized(spec: InputSpec, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Pixels of the model's size, (height, width, channels) uint8, as its (channels, height, width) float32.

    `assets.loading.pictures` does the same for many pictures at once, to the last bit.
    """
    mean = np.asarray(spec.mean, dtype=np.float32)
    std = np.asarray(spec.std, dtype=np.float32)
    scaled = (pixels.astype(np.float32) / np.float32(255) - mean) / std
    return np.ascontiguousarray(scaled.transpose(2, 0, 1))


class _Quiet:
    """No warnings, in several threads at once: Pillow warns of large and odd pictures, which are refused or read here.

    `warnings.catch_warnings` alone would not do: of two threads that overlap, the one that leaves last would put back
    the other's filters, for good.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._filters = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._filters = warnings.catch_warnings()
                self._filters.__enter__()
                warnings.simplefilter("ignore")
            self._inside += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._filters.__exit__(None, None, None)


QUIET = _Quiet()


def _with_picture(data: bytes, use: Callable[[Image], T]) -> T:
    """What `use` makes of the opened picture, whose size was checked; anything it raises is a refusal."""
    from PIL import Image as PillowImage

    if not data:
        raise RejectedError("the file is empty; copy it again")
    refuse_traps(data)
    try:
        with QUIET, PillowImage.open(io.BytesIO(data), formats=IMAGE_FORMATS) as opened:
            _check_size(*opened.size)
            return use(opened)
    except RejectedError:
        raise
    except PillowImage.DecompressionBombError as error:  # Pillow's own limit, from the header too
        raise RejectedError(f"more than {MAX_PIXELS:,} pixels; scale the picture down") from error
    except Exception as error:  # Pillow's decoders raise many kinds
        raise RejectedError(f"not a readable picture ({_reason(error)}); export it again as PNG or JPEG") from error


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise RejectedError(f"{width}x{height} pixels are more than {MAX_PIXELS:,}; scale the picture down")
    if width < 1 or height < 1:
        raise RejectedError(f"a picture of {width}x{height} pixels holds nothing; export it again")


def _upright(picture: Image) -> Image:
    """Turned as EXIF says. Where that is broken, the picture is as it is stored: it is sound all the same."""
    from PIL import ExifTags
    from PIL.Image import Transpose

    try:
        orientation = picture.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # each of its parsers raises its own kinds
        return picture
    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    if orientation not in turns:
        return picture
    turned = picture.transpose(turns[orientation])
    turned.info = picture.info  # a transparent colour stays one
    return turned


def _flatten(picture: Image) -> Image:
    """Without alpha, palette, CMYK or 16 bits."""
    from PIL import Image as PillowImage

    if picture.mode.startswith("I") or picture.mode == "F":
        return PillowImage.fromarray(_eight_bits(picture))
    if picture.mode in {"RGBA", "LA", "PA", "RGBa", "La"} or "transparency" in picture.info:
        layer = picture.convert("RGBA")
        paper = PillowImage.new("RGBA", layer.size, (255, 255, 255, 255))
        return PillowImage.alpha_composite(paper, layer).convert("RGB")
    return picture if picture.mode in {"L", "RGB"} else picture.convert("RGB")


def _eight_bits(picture: Image) -> NDArray[np.uint8]:
    """Grey of 16 bits, or of real numbers from 0 to 1, in 8 bits; in blocks, as copies of floats are large."""
    values = np.asarray(picture)
    white = 1.0 if picture.mode == "F" else 65535.0
    clear = picture.info.get("transparency")
    result = np.empty(values.shape, dtype=np.uint8)
    rows = max(1, 2**20 // values.shape[1])
    for start in range(0, len(values), rows):
        block = values[start : start + rows].astype(np.float64)
        if not np.isfinite(block).all():
            raise RejectedError("some pixels are not numbers; export the picture again as PNG")
        if block.min() < 0 or block.max() > white:
            raise RejectedError(
                f"its grey runs from {block.min():g} to {block.max():g}, beyond 0 to {white:g}; export it with 8 bits"
            )
        result[start : start + rows] = np.rint(block * (255 / white))
        if isinstance(clear, int):
            result[start : start + rows][block == clear] = 255
    return result


def _reason(error: Exception) -> str:
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):  # its own text is the address of a buffer
        return f"its bytes are none of {', '.join(IMAGE_FORMATS)}"
    return (str(error).splitlines() or [""])[0][:160] or type(error).__name__
