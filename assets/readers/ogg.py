"""Whether an Ogg file is whole: every page there, in order, with its own checksum.

libsndfile leaves damaged pages of Vorbis out without a word and gives a shorter sound, so they are looked at before.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from assets.errors import RejectedError

_HEAD = struct.Struct("<4sBBQIIIB")
"""OggS, version, flags, position, stream, number, checksum, segments."""
_FIRST, _LAST = 2, 4
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_REMEDY = "copy it again, or export it anew"


def check_ogg(content: bytes) -> None:
    """Raise RejectedError where an Ogg is cut off or damaged, or holds more than one stream; "reason; remedy"."""
    stream, flags = None, 0
    for number, (flags, found, said) in enumerate(_pages(content)):
        if stream is None and flags & _FIRST:
            stream = found
        if found != stream:
            raise RejectedError("it is Ogg with more than one stream; export its sound alone")
        if said != number:
            raise RejectedError(f"page {number:,} of its Ogg is missing; {_REMEDY}")
    if not flags & _LAST:
        raise RejectedError("it is Ogg without its last page, so it is cut off; copy it again")


def _pages(content: bytes) -> Iterator[tuple[int, int, int]]:
    """Each page's flags, stream and number."""
    at = 0
    while at < len(content):
        if len(content) - at < _HEAD.size:
            raise RejectedError(f"it is Ogg, cut off after {at:,} bytes; {_REMEDY}")
        mark, _, flags, _, stream, number, checksum, segments = _HEAD.unpack_from(content, at)
        body = at + _HEAD.size + segments
        end = body + sum(content[at + _HEAD.size : body])
        if mark != b"OggS" or end > len(content) or checksum != _checksum(content[at:end]):
            raise RejectedError(f"its Ogg is cut off or damaged after {at:,} bytes; {_REMEDY}")
        yield flags, stream, number
        at = end


def _checksum(page: bytes) -> int:
    """Ogg's CRC-32: zlib's polynomial with the bits of each byte the other way round, from 0, its own place zero."""
    blank = page[:22] + bytes(4) + page[26:]
    found = zlib.crc32(blank.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int.from_bytes(found.to_bytes(4, "little").translate(_REVERSED), "big")
