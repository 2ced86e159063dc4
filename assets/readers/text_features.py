"""What a text looks like in numbers: its length, its letters, and where it lies among other texts.

The embedding counts runs of 3 and of 5 characters (small letters, one space between words) in 128 buckets chosen by a
fixed hash, dampened by a square root and of length 1: the same on every machine, close for texts with the same words.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DIMENSIONS = 128
_RUNS = (3, 5)
_TOGETHER = 1_000_000  # characters, so that memory stays flat


@dataclass(frozen=True)
class Lettering:
    """Of several texts.

    Attributes:
        chars, words, letters: (texts,) float64: characters, words (between spaces), share of letters and spaces.
        embeddings: (texts, DIMENSIONS) float32 of length 1; zeros where a text is blank.
    """

    chars: NDArray[np.float64]
    words: NDArray[np.float64]
    letters: NDArray[np.float64]
    embeddings: NDArray[np.float32]


def lettering(texts: Sequence[str]) -> Lettering:
    """What texts (without lone surrogates) look like."""
    chars = np.array([len(text) for text in texts], dtype=np.float64)
    split = [text.lower().split() for text in texts]
    words = np.array([len(parts) for parts in split], dtype=np.float64)
    letters = np.zeros(len(texts))
    embeddings = np.zeros((len(texts), DIMENSIONS), dtype=np.float32)
    start = 0
    while start < len(texts):
        stop, size = start + 1, int(chars[start])
        while stop < len(texts) and size + chars[stop] <= _TOGETHER:
            size += int(chars[stop])
            stop += 1
        letters[start:stop] = _letters(texts[start:stop])
        embeddings[start:stop] = _embeddings([f" {' '.join(parts)} " if parts else "" for parts in split[start:stop]])
        start = stop
    return Lettering(chars, words, letters, embeddings)


def _letters(texts: Sequence[str]) -> NDArray[np.float64]:
    codes, rows = _codes(texts)
    good = np.bincount(rows, weights=_is_letter()[codes], minlength=len(texts))
    return good / np.maximum(np.bincount(rows, minlength=len(texts)), 1)


def _embeddings(texts: Sequence[str]) -> NDArray[np.float32]:
    codes, rows = _codes(texts)
    counts = np.zeros(len(texts) * DIMENSIONS)
    for run in _RUNS:
        if len(codes) < run:
            continue
        last = len(codes) - run + 1
        inside = rows[:last] == rows[run - 1 :]
        hashed = np.full(last, run, dtype=np.uint32)
        for offset in range(run):
            hashed = (hashed ^ codes[offset : offset + last]) * np.uint32(16777619)
            hashed ^= hashed >> np.uint32(15)
        hashed = hashed[inside]
        sign = np.where(hashed & np.uint32(1 << 20), 1.0, -1.0)
        place = rows[:last][inside] * DIMENSIONS + (hashed % np.uint32(DIMENSIONS)).astype(np.int64)
        counts += np.bincount(place, weights=sign, minlength=len(counts))
    dampened = (np.sign(counts) * np.sqrt(np.abs(counts))).reshape(len(texts), DIMENSIONS)
    length = np.linalg.norm(dampened, axis=1, keepdims=True)
    return (dampened / np.where(length > 0, length, 1)).astype(np.float32)


def _codes(texts: Sequence[str]) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Every character's code point, and which text it is of."""
    codes = np.frombuffer("".join(texts).encode("utf-32-le"), dtype="<u4")
    return codes, np.repeat(np.arange(len(texts)), [len(text) for text in texts])


@functools.cache
def _is_letter() -> NDArray[np.bool_]:
    """Of each code point, whether it is a letter or a space."""
    return np.array([chr(code).isalpha() or chr(code).isspace() for code in range(0x110000)], dtype=np.bool_)
