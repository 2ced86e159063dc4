"""Picture files that cost far more time or memory than their pixels do; found in their bytes before they are decoded.

Measured with Pillow 13: a TIFF of 1.5 MB with one huge tile took 1.5 GB, one of 16 MB with 2,000,000 strips 11 s, and
each scan of a progressive JPEG costs a pass over the whole picture (200 scans of 64 megapixels: 9 s).
"""

from __future__ import annotations

import struct

from edge.errors import RejectedError

MAX_SCANS = 100
"""Scans of a JPEG file. Encoders write 1 to 20; each preview inside the file adds its own."""

MAX_PIECES = 65_536
"""Strips or tiles of a TIFF picture, and values of any other tag but raw bytes."""

MAX_TAGS = 4096
"""Entries of a TIFF directory."""

_TILE_WIDTH, _TILE_LENGTH, _WIDTH, _LENGTH = 322, 323, 256, 257
_RAW = {1, 2, 6, 7}


def refuse_traps(data: bytes) -> None:
    """Raise RejectedError for a JPEG with too many scans, or a TIFF whose first picture has absurd pieces."""
    if data[:2] == b"\xff\xd8":
        if (scans := data.count(b"\xff\xda")) > MAX_SCANS:
            raise RejectedError(f"a JPEG of {scans:,} scans, at most {MAX_SCANS} are decoded; export the picture again")
    elif data[:2] in {b"II", b"MM"}:
        _check_directory(data)


def _check_directory(data: bytes) -> None:
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in {b"+\0", b"\0+"}
    try:
        (start,) = struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)
        (count,) = struct.unpack_from(order + ("Q" if big else "H"), data, start)
        if count > MAX_TAGS:
            raise RejectedError(f"a TIFF of {count:,} tags, at most {MAX_TAGS:,} are read; export the picture again")
        entry, place = (order + "HHQ", 12) if big else (order + "HHI", 8)
        size = 20 if big else 12
        values: dict[int, int] = {}
        for index in range(count):
            at = start + (8 if big else 2) + index * size
            tag, kind, many = struct.unpack_from(entry, data, at)
            if many > MAX_PIECES and kind not in _RAW:
                raise RejectedError(
                    f"its TIFF tag {tag} has {many:,} values, at most {MAX_PIECES:,} are read; save it with larger "
                    "strips or tiles"
                )
            if many == 1 and kind in {3, 4, 16}:
                form = {3: "H", 4: "I", 16: "Q"}[kind]
                (values[tag],) = struct.unpack_from(order + form, data, at + place)
    except (struct.error, OverflowError):  # cut or pointing out of the file: Pillow says what is wrong
        return
    picture = values.get(_WIDTH, 0) * values.get(_LENGTH, 0)
    tile = values.get(_TILE_WIDTH, 0) * values.get(_TILE_LENGTH, 0)
    if tile > 4 * picture + 1024**2:
        raise RejectedError(
            f"its TIFF tiles of {tile:,} pixels are far larger than the picture of {picture:,}; export it again"
        )
