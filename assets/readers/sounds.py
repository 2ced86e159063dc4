"""Sound files of every form that is read: WAV by our own reader, FLAC and Ogg (Vorbis, Opus) by libsndfile.

libsndfile takes what it finds: a file that is cut off is a shorter sound to it. So what a file promises is compared
with what comes out, and pages of Ogg are looked at before. A few kilobytes of FLAC may hold hours: samples are counted
before there is memory for them.
"""

from __future__ import annotations

import io

import numpy as np
import soundfile
from numpy.typing import NDArray

from assets.errors import RejectedError
from assets.readers.ogg import check_ogg
from assets.readers.wav import MAX_RATE, Sound, read_wav
from assets.records.limits import MAX_SOUND_SAMPLES, MAX_SOUND_SECONDS

_COMPRESSED = {b"fLaC": "FLAC", b"OggS": "Ogg"}
_BITS = {"PCM_S8": 8, "PCM_16": 16, "PCM_24": 24, "VORBIS": 32, "OPUS": 32}
"""Bits of a sample by what libsndfile calls its form; Vorbis and Opus are decoded to floats."""
_UNKNOWN = 2**62
"""So many frames and more: the header does not say how many, as where it was written to a pipe."""


class _Forward(soundfile.SoundFile):  # type: ignore[misc]
    """Read once, to its end: soundfile seeks after each read, which fails where the length is unknown."""

    def seekable(self) -> bool:
        """Never."""
        return False


def read_sound(content: bytes) -> Sound:
    """Decode a sound file completely; its form is told by its content.

    Raises:
        RejectedError: no such file, cut off, damaged, longer than `MAX_SOUND_SECONDS`, of more than
            `MAX_SOUND_SAMPLES`, or with samples that are no numbers; "reason; remedy".
    """
    form = _COMPRESSED.get(content[:4])
    return read_wav(content) if form is None else _compressed(content, form)


def size_of(content: bytes) -> int:
    """Bytes of a WAV of 16 bits with the same sound, by what the file says; what it takes to decode goes by that."""
    if content[:4] not in _COMPRESSED:
        return len(content)
    try:
        with _Forward(io.BytesIO(content)) as opened:
            samples = int(opened.frames) * int(opened.channels)
    except soundfile.SoundFileError:
        return len(content)
    return max(len(content), 2 * min(samples, MAX_SOUND_SAMPLES))


def _compressed(content: bytes, form: str) -> Sound:
    if form == "Ogg":
        check_ogg(content)
    try:
        with _Forward(io.BytesIO(content)) as opened:
            bits = _BITS.get(opened.subtype)
            if bits is None:
                raise RejectedError(f"it is {form} of a form that is not read ({opened.subtype}); export it as FLAC")
            return Sound(opened.samplerate, bits, _samples(opened))
    except soundfile.SoundFileError as error:
        raise RejectedError(f"it is {form}, but damaged; copy it again, or export it anew") from error


def _checked(channels: int, rate: int, promised: int) -> int:
    """Samples of each channel to ask for: what is promised, or one too many where nothing is. Raises RejectedError."""
    if channels not in {1, 2}:
        raise RejectedError(f"it has {channels} channels; mix it down to one or two")
    if not 1 <= rate <= MAX_RATE:
        raise RejectedError(f"{rate:,} samples per second make no sense; export it anew")
    if promised >= _UNKNOWN:
        return min(MAX_SOUND_SECONDS * rate, MAX_SOUND_SAMPLES // channels) + 1
    _check_count(channels, rate, promised)
    return promised


def _check_count(channels: int, rate: int, count: int) -> None:
    if count <= 0:
        raise RejectedError("it holds no sound; record it again")
    if count > MAX_SOUND_SECONDS * rate:
        raise RejectedError(f"{count / rate:,.0f} seconds are more than {MAX_SOUND_SECONDS:,}; cut it into parts")
    if count * channels > MAX_SOUND_SAMPLES:
        raise RejectedError(
            f"{count * channels:,} samples are more than {MAX_SOUND_SAMPLES:,}; cut it into parts, or lower its rate"
        )


def _samples(opened: _Forward) -> NDArray[np.float32]:
    channels, rate, promised = opened.channels, opened.samplerate, opened.frames
    wanted = _checked(channels, rate, promised)
    samples: NDArray[np.float32] = opened.read(wanted, dtype="float32", always_2d=True)
    if promised < _UNKNOWN and len(samples) != promised:
        raise RejectedError(f"its header promises {promised:,} samples, {len(samples):,} are there; copy it again")
    _check_count(channels, rate, len(samples))
    if not np.isfinite(samples).all():
        raise RejectedError("some of its samples are not numbers; export it anew")
    return samples
