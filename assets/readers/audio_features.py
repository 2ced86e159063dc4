"""What a sound is like in numbers: loudness, peak, clipping, silence, and where it lies among other sounds.

The embedding is made of the sound's spectrum in 32 mel bands (frames of 25 ms, a step of 10 ms, in decibels): mean and
spread of each band, and the mean of eight wider bands in each of eight equal parts of its time, from the first loud
frame to the last, so that it does not matter when a word is said. Each is taken without its own mean, so that a louder
copy lies where the original does. It has length 1; a sound without any spread has none.
"""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.typing import NDArray

from assets.readers.wav import Sound

DIMENSIONS = 128
FLOOR_DB = -100.0
"""Loudness of silence: nothing is quieter."""
SILENT = 0.001
"""A sample nearer to zero than this (-60 dBFS) is silent."""
_BANDS, _PARTS, _WIDE = 32, 8, 8
_FRAMES = 2_000
_TOP_HZ = 8_000.0


def sound_facts(sound: Sound) -> dict[str, float]:
    """See `assets.records.chunks.fact_fields`. A sample is clipped where it is as large as its format holds."""
    samples = sound.samples
    power = float(np.mean(np.square(samples, dtype=np.float64)))
    size = np.abs(samples)
    top = np.float32(1 - 2.0 ** (1 - sound.bits)) if sound.bits < 32 else np.float32(1)
    return {
        "rate": float(sound.rate),
        "channels": float(samples.shape[1]),
        "seconds": len(samples) / sound.rate,
        "loudness": max(FLOOR_DB, 10 * math.log10(power)) if power > 0 else FLOOR_DB,
        "peak": float(size.max()),
        "clipped": float(np.mean(size >= top)),
        "silent": float(np.mean(size < SILENT)),
    }


def sound_embedding(sound: Sound) -> NDArray[np.float32] | None:
    """(DIMENSIONS,) float32 of length 1; None where the sound is the same all over, as silence is."""
    bands = _loud(_mel(sound))
    parts = [part if len(part) else bands[-1:] for part in np.array_split(bands, _PARTS)]
    wide = np.stack([part.mean(axis=0).reshape(_WIDE, -1).mean(axis=1) for part in parts])
    means = bands.mean(axis=0)
    pieces = [means - means.mean(), bands.std(axis=0), (wide - wide.mean()).reshape(-1)]
    vector = np.concatenate(pieces)
    length = float(np.linalg.norm(vector))
    return (vector / length).astype(np.float32) if length > 1e-6 else None


def _loud(bands: NDArray[np.float64]) -> NDArray[np.float64]:
    """From the first loud frame to the last; all, where hardly any is louder than the others."""
    loudness = bands.mean(axis=1)
    low, high = float(np.percentile(loudness, 10)), float(loudness.max())
    loud = np.flatnonzero(loudness > low + 0.4 * (high - low))
    return bands[loud[0] : loud[-1] + 1] if len(loud) > _PARTS else bands


def _mel(sound: Sound) -> NDArray[np.float64]:
    """(frames, bands) decibels, a few frames in memory at a time; a short sound is one frame."""
    mono = sound.samples.mean(axis=1, dtype=np.float32)
    peak = float(np.abs(mono).max())
    if peak > 0:
        mono = mono / np.float32(peak)
    size, step = max(2, sound.rate // 40), max(1, sound.rate // 100)
    if len(mono) < size:
        mono = np.pad(mono, (0, size - len(mono)))
    frames = np.lib.stride_tricks.sliding_window_view(mono, size)[::step]
    window, filters = np.hanning(size).astype(np.float32), _filters(size, sound.rate)
    found = []
    for start in range(0, len(frames), _FRAMES):
        spectrum = np.fft.rfft(frames[start : start + _FRAMES] * window, axis=1)
        power = np.square(np.abs(spectrum)) @ filters
        found.append(10 * np.log10(np.maximum(power, 1e-6)))
    return np.concatenate(found)


@functools.lru_cache(16)
def _filters(size: int, rate: int) -> NDArray[np.float64]:
    """(frequencies, bands) triangles, evenly spaced in mel up to 8 kHz or half the rate."""
    frequencies = np.fft.rfftfreq(size, 1 / rate)
    top = min(_TOP_HZ, rate / 2)
    edges = 700 * (10 ** (np.linspace(0, 2595 * math.log10(1 + top / 700), _BANDS + 2) / 2595) - 1)
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    rising = (frequencies[:, None] - low) / (middle - low)
    falling = (high - frequencies[:, None]) / (high - middle)
    return np.maximum(0, np.minimum(rising, falling))
