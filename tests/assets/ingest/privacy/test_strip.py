"""Pictures without metadata: the very pixels, the very orientation, and nothing that says where or by whom."""

from __future__ import annotations

import functools
import io
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from assets.errors import RejectedError
from assets.ingest.privacy.strip import strip_picture
from edge.runtime.preprocess import decode_image

SECRET = b"52.5170N 13.3889E Ann"
PROFILE = b"a colour profile" * 20
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF")
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><tiff:Orientation>6</tiff:Orientation>%s</x:xmpmeta>' % SECRET


def _picture(mode: str = "RGB") -> Image.Image:
    values = np.random.default_rng(0).integers(0, 255, (37, 53, 3), dtype=np.uint8)
    return Image.fromarray(values).convert(mode)


@functools.cache
def _told(form: str, orientation: int) -> bytes:
    """A picture that says a lot about itself."""
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    exif[0x010E] = SECRET.decode()
    if form != "TIFF":
        exif[0x8825] = {1: "N", 2: (52.0, 31.0, 1.0)}
    more: dict[str, object] = {"exif": exif}
    if form == "PNG":
        info = PngImagePlugin.PngInfo()
        info.add_text("Comment", SECRET.decode())
        info.add_itxt("Author", SECRET.decode(), zip=True)
        more["pnginfo"] = info
    if form == "JPEG":
        more |= {"comment": SECRET, "progressive": True}
    file = io.BytesIO()
    _picture().save(file, form, icc_profile=PROFILE, **more)
    return file.getvalue() + SECRET


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("orientation", range(9))
def test_pixels_and_orientation_stay_and_the_rest_goes(form: str, orientation: int) -> None:
    data = _told(form, orientation)
    stripped = strip_picture(data)
    assert SECRET not in stripped
    assert np.array_equal(decode_image(stripped, 3), decode_image(data, 3))
    assert strip_picture(stripped) == stripped
    with Image.open(io.BytesIO(stripped)) as picture:
        assert picture.info["icc_profile"] == PROFILE
        if form != "TIFF":
            assert set(picture.getexif()) <= {0x0112}
            assert not picture.getexif().get_ifd(0x8825)


@pytest.mark.parametrize("form", FORMATS)
def test_an_orientation_that_xmp_says_stays(form: str) -> None:
    file = io.BytesIO()
    if form == "PNG":
        info = PngImagePlugin.PngInfo()
        info.add_itxt("XML:com.adobe.xmp", XMP.decode())
        _picture().save(file, form, pnginfo=info)
    elif form == "TIFF":
        _picture().save(file, form, tiffinfo={700: XMP})
    else:
        _picture().save(file, form, xmp=XMP)
    stripped = strip_picture(file.getvalue())
    assert SECRET not in stripped
    assert decode_image(stripped, 3).shape == decode_image(file.getvalue(), 3).shape == (53, 37, 3)


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "LA", "RGBA", "I;16"])
@pytest.mark.parametrize("form", [*FORMATS, "BMP"])
def test_every_kind_of_pixels_stays(form: str, mode: str) -> None:
    for compression in (None, "tiff_lzw", "tiff_deflate", "packbits") if form == "TIFF" else (None,):
        file = io.BytesIO()
        try:
            _picture(mode).save(file, form, **({"compression": compression} if compression else {}))
        except OSError:
            pytest.skip(f"{form} does not hold {mode}")
        stripped = strip_picture(file.getvalue())
        assert np.array_equal(decode_image(stripped, 3), decode_image(file.getvalue(), 3))
        assert form == "TIFF" or stripped == file.getvalue()  # where nothing is said, nothing changes


def test_what_hides_behind_a_bmp_goes() -> None:
    file = io.BytesIO()
    _picture().save(file, "BMP")
    assert strip_picture(file.getvalue() + SECRET) == file.getvalue()


@pytest.mark.parametrize("start", [b"GIF89a", b"8BPS", b"\0\0\0\x18ftypheic", b"junk" + b"Exif\0\0", b"II+\0"])
def test_other_pictures_are_refused(start: bytes) -> None:
    with pytest.raises(RejectedError, match=r"; (export|save) it"):
        strip_picture(start + b"." * 100)


@pytest.mark.parametrize("data", [b"", b"hello", b"\xff\xd8\xff", b"BM", b"RIFF", b"\0" * 40])
def test_what_is_no_picture_says_nothing(data: bytes) -> None:
    assert len(strip_picture(data)) <= len(data)


def test_a_cut_picture_stays_refused() -> None:
    for form in FORMATS:
        whole = _told(form, 6)[: -len(SECRET)]
        for end in range(0, len(whole) - 40, len(whole) // 15):
            try:
                stripped = strip_picture(whole[:end])
            except RejectedError:
                continue
            assert SECRET not in stripped
            if not _is_read(whole[:end]):
                assert not _is_read(stripped)


def _is_read(data: bytes) -> bool:
    try:
        decode_image(data, 3)
    except RejectedError:
        return False
    return True


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_a_tiff_whose_values_overlap_is_refused(share: float) -> None:
    """Each value becomes a copy of its own: one that reaches over the pixels made the file nearly twice as large."""
    data = _told("TIFF", 3)
    size = len(data)
    assert len(strip_picture(data)) <= size + 64
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    entries = [start + 2 + 12 * number for number in range(count)]
    profile = next(at for at in entries if struct.unpack_from("<H", data, at) == (34675,))
    longer = bytearray(data)
    struct.pack_into("<II", longer, profile + 4, int(size * share), 8)
    with pytest.raises(RejectedError, match="damaged TIFF"):
        strip_picture(bytes(longer))


@settings(max_examples=300)
@given(form=st.sampled_from(FORMATS), at=st.integers(0, 10**6), value=st.binary(min_size=1, max_size=8))
def test_damage_never_lets_anything_else_happen(form: str, at: int, value: bytes) -> None:
    data = bytearray(_told(form, 3))
    at %= len(data)
    data[at : at + len(value)] = value
    try:
        stripped = strip_picture(bytes(data))
    except RejectedError:
        return
    assert len(stripped) <= len(data) + 64


@given(
    st.sampled_from([b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\xff\0\0\0WEBP", b"II*\0", b"MM\0*", b"BM"]),
    st.binary(),
)
def test_any_bytes_at_all(start: bytes, rest: bytes) -> None:
    try:
        stripped = strip_picture(start + rest)
    except RejectedError:
        return
    assert len(stripped) <= len(start) + len(rest) + 64
