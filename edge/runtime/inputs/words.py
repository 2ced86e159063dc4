"""Texts to token numbers, without a vocabulary: a word's number is a hash of it, so no word of the data is shipped.

Compatible forms become one (Unicode NFKC), letters lose their case, and the text falls into runs of letters with their
marks, single ideographs and kana, runs of digits (of which only the length counts), and single other characters.
Invisible characters are dropped. Python's Unicode tables grow with its versions: characters younger than the device's
tables are no letters there.
"""

from __future__ import annotations

import functools
import itertools
import re
import unicodedata
import zlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from edge.contracts import InputSpec
from edge.errors import RejectedError

PADDING = 0
MAX_TEXT_CHARS = 1_000_000
PIECE = 64
"""Characters that are normalized at once. Longer runs without a space are cut: to sort a run of combining marks takes a
time that grows with the square of its length."""
LONGEST_NUMBER = 16
_LETTER, _SINGLE, _DIGIT, _OTHER, _SPACE, _NOTHING = range(6)
_ALONE = (
    (0x3040, 0x30FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)
"""Scripts written without spaces, in which a character is about a word: kana and ideographs."""


def text_tensor(spec: InputSpec, text: str) -> NDArray[np.int64]:
    """A text as the model's (tokens,) int64: 1 to `spec.buckets`, cut or padded with `PADDING` at its end.

    Raises:
        RejectedError: more than `MAX_TEXT_CHARS` characters.
    """
    if len(text) > MAX_TEXT_CHARS:
        raise RejectedError(f"a text of {len(text):,} characters, at most {MAX_TEXT_CHARS:,} are read; split it")
    numbers = np.full(spec.shape, PADDING, dtype=np.int64)
    if spec.unit == "byte":
        raw = text[: spec.shape[0]].encode("utf-8", "replace")[: spec.shape[0]]
        numbers[: len(raw)] = np.frombuffer(raw, dtype=np.uint8).astype(np.int64) % spec.buckets + 1
        return numbers
    found = [zlib.crc32(word.encode()) % spec.buckets + 1 for word in itertools.islice(words(text), spec.shape[0])]
    numbers[: len(found)] = found
    return numbers


def words(text: str) -> Iterator[str]:
    """A text's tokens in order, found as they are asked for; see the module. Never empty, and at most some 1,200
    characters each (a piece's longest NFKC form)."""
    for run in re.finditer(r"\S+", text):
        for start in range(run.start(), run.end(), PIECE):
            yield from _tokens(text[start : min(start + PIECE, run.end())])


def _tokens(piece: str) -> Iterator[str]:
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", piece).casefold())
    for kind, group in itertools.groupby((one for one in plain if _kind(one) != _NOTHING), key=_kind):
        if kind == _LETTER:
            yield "".join(group)
        elif kind == _DIGIT:
            yield "0" * min(sum(1 for _ in group), LONGEST_NUMBER)
        elif kind != _SPACE:
            yield from group


@functools.lru_cache(maxsize=65_536)
def _kind(character: str) -> int:
    category = unicodedata.category(character)
    if category[0] == "L" and any(low <= ord(character) <= high for low, high in _ALONE):
        return _SINGLE
    if category[0] in "LM":
        return _LETTER
    if category[0] == "N":
        return _DIGIT
    if category in {"Cf", "Cs", "Cn", "Co"}:
        return _NOTHING
    return _OTHER if category[0] in "PS" else _SPACE
