"""Picture files that would cost far more than their pixels are refused from their bytes, at once."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edge.errors import RejectedError
from edge.runtime.preprocess import decode_image


@pytest.fixture
def undecoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """No picture library is asked: what is refused is refused from its bytes."""
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("a decoder was asked"))


def encoded(picture: Image.Image, format_: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, format_, **options)
    return file.getvalue()


def grey() -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.arange(24, dtype=np.uint8).reshape(4, 6) * 10


def tiff(tags: dict[int, tuple[int, int, bytes]], payload: bytes = b"") -> bytes:
    """A TIFF of one directory: tag to type, count and value bytes; the payload begins at the file's end."""
    end, entries, extra = 8 + 2 + 12 * len(tags) + 4, b"", b""
    for tag, (kind, count, value) in sorted(tags.items()):
        place = value.ljust(4, b"\0") if len(value) <= 4 else struct.pack("<I", end + len(extra))
        extra += value if len(value) > 4 else b""
        entries += struct.pack("<HHI", tag, kind, count) + place
    return struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + entries + bytes(4) + extra + payload


def grey_tags(width: int, height: int, compression: int = 1) -> dict[int, tuple[int, int, bytes]]:
    def word(value: int) -> tuple[int, int, bytes]:
        return 4, 1, struct.pack("<I", value)

    return {256: word(width), 257: word(height), 258: word(8), 259: word(compression), 262: word(1), 277: word(1)}


def test_the_tiff_of_these_tests_is_sound() -> None:
    tags = {**grey_tags(6, 4), 278: (4, 1, struct.pack("<I", 4)), 279: (4, 1, struct.pack("<I", 24))}
    start = len(tiff({**tags, 273: (4, 1, bytes(4))}))
    content = tiff({**tags, 273: (4, 1, struct.pack("<I", start))}, grey().tobytes())
    np.testing.assert_array_equal(decode_image(content, 1)[..., 0], grey())


@pytest.mark.usefixtures("undecoded")
@pytest.mark.parametrize("tag", [273, 324])
def test_a_tiff_of_a_million_pieces_is_refused_before_it_is_decoded(tag: int) -> None:
    many = 1_000_000
    pieces = (4, many, struct.pack("<I", 8) * many)
    tags = {**grey_tags(1000, 1000), tag: pieces, tag + (6 if tag == 273 else 1): (4, many, bytes(4 * many))}
    with pytest.raises(RejectedError, match="1,000,000 values"):
        decode_image(tiff(tags), 3)


def test_a_tiff_of_one_huge_tile_is_refused() -> None:
    side = (4, 1, struct.pack("<I", 40_000))
    tags = {**grey_tags(10, 10, 8), 322: side, 323: side, 324: (4, 1, bytes(4)), 325: (4, 1, bytes(4))}
    with pytest.raises(RejectedError, match="tiles of 1,600,000,000 pixels"):
        decode_image(tiff(tags), 3)
    big = struct.pack("<2sHHHQQ", b"II", 43, 8, 0, 16, 1) + struct.pack("<HHQQ", 273, 16, 10**6, 0)
    with pytest.raises(RejectedError, match="1,000,000 values"):
        decode_image(big, 3)


def test_a_tiff_whose_directories_go_in_a_circle_ends() -> None:
    tags = {**grey_tags(6, 4), 278: (4, 1, struct.pack("<I", 4)), 279: (4, 1, struct.pack("<I", 24))}
    content = bytearray(tiff({**tags, 273: (4, 1, struct.pack("<I", 8))}) + bytes(64))
    content[8 + 2 + 12 * 9 : 8 + 2 + 12 * 9 + 4] = struct.pack("<I", 8)
    assert decode_image(bytes(content), 1).shape == (4, 6, 1)


@pytest.mark.parametrize("content", [b"II", b"MM\0*", b"II*\0\xff\xff\xff\xff", b"II+\0", b"II*\0\x08\0\0\0\xff\xff"])
def test_a_tiff_that_is_cut_is_refused(content: bytes) -> None:
    with pytest.raises(RejectedError):
        decode_image(content, 3)


def test_a_jpeg_of_endless_scans_is_refused_before_it_is_decoded(request: pytest.FixtureRequest) -> None:
    content = encoded(Image.new("L", (2000, 2000)), "JPEG", progressive=True)
    scan = content[content.rindex(b"\xff\xda") : -2]
    assert decode_image(content[:-2] + scan * 5 + b"\xff\xd9", 1).shape == (2000, 2000, 1)
    request.getfixturevalue("undecoded")
    with pytest.raises(RejectedError, match="scans"):
        decode_image(content[:-2] + scan * 5000 + b"\xff\xd9", 3)


def webp_header(width: int, height: int) -> bytes:
    canvas = bytes([2, 0, 0, 0]) + struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    body = b"WEBPVP8X" + struct.pack("<I", len(canvas)) + canvas + b"ANIM" + struct.pack("<I", 6) + bytes(6)
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize("size", [(16383, 16383), (16384, 4096), (1, 1)])
def test_a_webp_that_is_only_a_header_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(RejectedError):
        decode_image(webp_header(*size), 3)
