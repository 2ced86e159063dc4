"""Sound files: WAV with PCM of 8, 16, 24 or 32 bits or floats, walked chunk by chunk, every size checked.

A header that promises more than the file holds is refused, before memory is spent on it. Where it never was written, as
of a recording through a pipe, the sound goes to the file's end.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assets.errors import RejectedError
from assets.records.limits import MAX_SOUND_SECONDS

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_GUID_END = b"\x00\x00\x00\x00\x10\x00\x80\x00\x00\xaa\x00\x38\x9b\x71"
_MAX_CHUNKS = 1_000
MAX_RATE = 768_000
_PIPED = 0x7FFFF000
"""Sizes from here on, 2 GiB, stand for one that is not known: ffmpeg leaves 2^32 - 1, sox and arecord about 2^31."""
_REMEDY = "export it as WAV, PCM of 16 bits"
_OTHERS = {
    b"RF64": "it is RF64, a WAV of more than 4 GiB",
    b"BW64": "it is BW64, a WAV of more than 4 GiB",
    b"RIFX": "it is RIFX, a WAV in the other byte order",
    b"FORM": "it is AIFF",
    b"ID3\x03": "it is MP3",
    b"ID3\x04": "it is MP3",
    b".snd": "it is AU",
}


@dataclass(frozen=True)
class Sound:
    """A decoded sound.

    Attributes:
        rate: samples per second.
        bits: of a sample as stored.
        samples: (samples, channels) float32, -1 to 1 for whole-number formats.
    """

    rate: int
    bits: int
    samples: NDArray[np.float32]


@dataclass(frozen=True)
class _Format:
    code: int
    channels: int
    rate: int
    bits: int


def read_wav(content: bytes) -> Sound:
    """Decode a WAV file completely.

    Raises:
        RejectedError: not such a file, cut off, of another format, longer than `MAX_SOUND_SECONDS`, or with samples
            that are no numbers; "reason; remedy".
    """
    found, data = _chunks(content)
    width = found.channels * found.bits // 8
    if len(data) % width:
        raise RejectedError(f"its {len(data):,} bytes of sound are no whole number of samples; {_REMEDY}")
    if not data:
        raise RejectedError("it holds no sound; record it again")
    if len(data) // width > MAX_SOUND_SECONDS * found.rate:
        seconds = len(data) // width / found.rate
        raise RejectedError(f"{seconds:,.0f} seconds are more than {MAX_SOUND_SECONDS:,}; cut it into parts")
    samples = _decode(data, found)
    if not np.isfinite(samples).all():
        raise RejectedError(f"some of its samples are not numbers; {_REMEDY}")
    return Sound(found.rate, found.bits, samples.reshape(-1, found.channels))


def _chunks(content: bytes) -> tuple[_Format, memoryview]:
    """The format, and the bytes of the sound."""
    if not content:
        raise RejectedError("the file is empty; copy it again")
    if content[:4] in _OTHERS:
        raise RejectedError(f"{_OTHERS[content[:4]]}; {_REMEDY}")
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        raise RejectedError(f"its bytes are no WAV; {_REMEDY}")
    found: _Format | None = None
    at = 12
    for _ in range(_MAX_CHUNKS):
        if at + 8 > len(content):
            break
        name, size = struct.unpack_from("<4sI", content, at)
        at += 8
        if name == b"data":
            if found is None:
                raise RejectedError(f"its sound comes before its format; {_REMEDY}")
            if _was_never_written(size, content, at):
                size = len(content) - at
            if size > len(content) - at:
                raise RejectedError(
                    f"its header promises {size:,} bytes of sound, {len(content) - at:,} are there; copy it again"
                )
            return found, memoryview(content)[at : at + size]
        if size > len(content) - at:
            raise RejectedError(f"its part {name!r} is cut off; copy it again")
        if name == b"fmt ":
            found = _format(content[at : at + size])
        at += size + size % 2
    raise RejectedError(f"it has no sound in it; {_REMEDY}")


def _was_never_written(size: int, content: bytes, at: int) -> bool:
    """Whether a recorder that wrote into a pipe could not come back to say how long the sound is.

    It leaves the greatest sizes or none, for the whole file too.
    """
    (whole,) = struct.unpack_from("<I", content, 4)
    never = whole >= _PIPED or whole <= at - 8
    return never and (size >= _PIPED or (not size and at < len(content)))


def _format(part: bytes) -> _Format:
    if len(part) < 16:
        raise RejectedError(f"its format is cut off; {_REMEDY}")
    code, channels, rate, _, align, bits = struct.unpack_from("<HHIIHH", part)
    if code == _EXTENSIBLE:
        if len(part) < 40 or part[26:40] != _GUID_END:
            raise RejectedError(f"its format is of no known kind; {_REMEDY}")
        code = int.from_bytes(part[24:26], "little")
    if code not in {_PCM, _FLOAT}:
        raise RejectedError(f"its sound is packed (format {code}); {_REMEDY}")
    if bits not in ({8, 16, 24, 32} if code == _PCM else {32, 64}):
        raise RejectedError(f"samples of {bits} bits are not read; {_REMEDY}")
    if channels not in {1, 2}:
        raise RejectedError(f"it has {channels} channels; mix it down to one or two")
    if not 1 <= rate <= MAX_RATE:
        raise RejectedError(f"{rate:,} samples per second make no sense; {_REMEDY}")
    if align != channels * bits // 8:
        raise RejectedError(f"its format contradicts itself ({align} bytes for a sample of each channel); {_REMEDY}")
    return _Format(code, channels, rate, bits)


def _decode(data: memoryview, found: _Format) -> NDArray[np.float32]:
    if found.code == _FLOAT:
        with np.errstate(over="ignore"):
            return np.frombuffer(data, dtype=f"<f{found.bits // 8}").astype(np.float32)
    if found.bits == 8:
        return (np.frombuffer(data, dtype=np.uint8).astype(np.float32) - np.float32(128)) / np.float32(128)
    if found.bits == 24:
        parts = np.frombuffer(data, dtype=np.uint8).reshape(-1, 3)
        wide = np.zeros((len(parts), 4), dtype=np.uint8)
        wide[:, 1:] = parts  # the upper three bytes of 32 bits, so that the sign is right
        return wide.view("<i4").reshape(-1).astype(np.float32) / np.float32(2**31)
    whole = np.frombuffer(data, dtype=np.dtype(f"<i{found.bits // 8}")).astype(np.float32)
    return whole / np.float32(2 ** (found.bits - 1))
