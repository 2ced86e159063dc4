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
_SOUNDS = (b"RIFF", b"fLaC", b"OggS")


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


def sound_samples(content: bytes) -> NDArray[np.float32] | None:
    """(frames, channels) float32, -1 to 1, of the begin of a WAV, FLAC or Ogg file.

    Only for drawing: it takes what is there. None where that is no sound, or of a length that was never written.
    """
    if content[:4] not in _SOUNDS:
        return None
    import soundfile

    try:
        with soundfile.SoundFile(io.BytesIO(content)) as opened:
            frames = min(opened.frames, MAX_WAVE_SAMPLES // opened.channels)
            found: NDArray[np.float32] = opened.read(frames, dtype="float32", always_2d=True)
    except soundfile.SoundFileError:
        return None
    return found
