"""Small drawings of records for pages, bounded in size: thumbnails as data URIs, sounds as the path of a wave."""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray

from edge.errors import RejectedError
from edge.runtime.preprocess import decode_image

SMALL = 72
"""Pictures of at most so many pixels a side are kept to the pixel, as PNG; larger ones become a JPEG of `THUMBNAIL`."""
THUMBNAIL = 112
WAVE_STEPS = 120
WAVE_HEIGHT = 48
MAX_WAVE_SAMPLES = 20_000_000


def thumbnail(content: bytes, channels: int) -> str | None:
    """A picture file as a data URI, made anew, at most 112 x 112 pixels; None where it cannot be decoded.

    Args:
        channels: 1 for grey, 3 for RGB, as the model sees it.
    """
    from PIL import Image

    try:
        pixels = decode_image(content, channels)
    except RejectedError:
        return None
    picture = Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels)
    buffer = io.BytesIO()
    if max(picture.size) <= SMALL:
        picture.save(buffer, "PNG", optimize=True)
        kind = "png"
    else:
        picture.thumbnail((THUMBNAIL, THUMBNAIL))
        picture.save(buffer, "JPEG", quality=72)
        kind = "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def wave_path(samples: NDArray[np.float32]) -> str:
    """A sound as the path of an SVG of 120 x 48: for each of 120 steps a line from its least to its greatest value.

    Args:
        samples: (n,) or (n, channels), -1 to 1. "" without samples.
    """
    mono = samples[:MAX_WAVE_SAMPLES]
    mono = mono.mean(axis=1) if mono.ndim == 2 else mono
    if not mono.size:
        return ""
    parts = np.array_split(np.nan_to_num(mono), min(WAVE_STEPS, mono.size))
    half = WAVE_HEIGHT / 2
    lines = []
    for step, part in enumerate(parts):
        low, high = (half - half * float(np.clip(value, -1, 1)) for value in (part.min(), part.max()))
        lines.append(f"M{step + 0.5:g} {high - 0.5:.1f}V{low + 0.5:.1f}")
    return "".join(lines)


def wav_samples(content: bytes) -> NDArray[np.float32] | None:
    """(frames, channels) float32, -1 to 1, of a WAV file of whole numbers or floats; None where it is none.

    Only for drawing: it reads what is there, and never fails on what is missing.
    """
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        return None
    place, form, body = 12, b"", b""
    while place + 8 <= len(content):
        name, size = content[place : place + 4], int.from_bytes(content[place + 4 : place + 8], "little")
        part = content[place + 8 : place + 8 + size]
        form, body = (part if name == b"fmt " else form), (part if name == b"data" else body)
        place += 8 + size + size % 2
    if len(form) < 16:
        return None
    code, channels = (int.from_bytes(form[at : at + 2], "little") for at in (0, 2))
    bits = int.from_bytes(form[14:16], "little")
    code = int.from_bytes(form[24:26], "little") if code == 0xFFFE and len(form) >= 26 else code
    body = body[: len(body) // max(bits // 8, 1) * max(bits // 8, 1)]
    values = _values(body, code, bits)
    if values is None or not 1 <= channels <= 64:
        return None
    return values[: len(values) // channels * channels].reshape(-1, channels)


def _values(body: bytes, code: int, bits: int) -> NDArray[np.float32] | None:
    if code == 1 and bits == 8:
        return (np.frombuffer(body, np.uint8).astype(np.float32) - np.float32(128)) / np.float32(128)
    if code == 1 and bits == 24:
        padded = np.zeros((len(body) // 3, 4), np.uint8)
        padded[:, 1:] = np.frombuffer(body, np.uint8).reshape(-1, 3)
        return padded.reshape(-1).view("<i4").astype(np.float32) / np.float32(2**31)
    if code == 1 and bits in {16, 32}:
        return np.frombuffer(body, f"<i{bits // 8}").astype(np.float32) / np.float32(2 ** (bits - 1))
    if code == 3 and bits in {32, 64}:
        with np.errstate(over="ignore"):
            return np.frombuffer(body, f"<f{bits // 8}").astype(np.float32)
    return None
