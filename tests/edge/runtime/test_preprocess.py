"""Pictures and rows to tensors: the sound ones exactly, every other one refused."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import re
import struct
import subprocess
import sys
import threading
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from edge.contracts import InputSpec
from edge.errors import RejectedError
from edge.runtime.preprocess import (
    MAX_DEVIATIONS,
    PictureHeader,
    decode_image,
    golden_tensor,
    image_tensor,
    read_picture,
    record_tensor,
    row_tensor,
    table_tensor,
)

BAD = Path(__file__).parents[4] / "shared" / "data" / "bad" / "images"
GREY = InputSpec("image", "input", (1, 4, 6), (0.5,), (0.25,))
COLOUR = InputSpec("image", "input", (3, 4, 6), (0.5, 0.4, 0.3), (0.25, 0.2, 0.1))
TABLE = InputSpec("table", "x", (2,), (10.0, 0.0), (2.0, 1.0), ("a", "b"))


def encoded(picture: Image.Image, format_: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, format_, **options)
    return file.getvalue()


def grey(height: int = 4, width: int = 6) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.arange(height * width, dtype=np.uint8).reshape(height, width) * 10


def png_header(width: int, height: int) -> bytes:
    """A PNG that declares a size and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 10)) + chunk(b"IEND", b"")


def test_grey_pixels_are_normalized_exactly() -> None:
    tensor = record_tensor(GREY, encoded(Image.fromarray(grey())))
    assert tensor.dtype == np.float32
    assert tensor.flags.c_contiguous
    np.testing.assert_allclose(tensor[0], (grey() / 255 - 0.5) / 0.25, rtol=1e-5)


def test_colour_channels_keep_their_order() -> None:
    pixels = np.zeros((4, 6, 3), np.uint8)
    pixels[..., 0] = 255
    tensor = record_tensor(COLOUR, encoded(Image.fromarray(pixels)))
    np.testing.assert_allclose(tensor[:, 0, 0], [(1 - 0.5) / 0.25, -0.4 / 0.2, -0.3 / 0.1], rtol=1e-5)


def test_another_size_is_resized() -> None:
    tensor = record_tensor(GREY, encoded(Image.fromarray(np.full((40, 60), 100, np.uint8))))
    np.testing.assert_allclose(tensor, (100 / 255 - 0.5) / 0.25, rtol=1e-5)


def test_exif_orientation_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # lying on its side: 6x4 becomes 4x6
    turned = decode_image(encoded(Image.fromarray(grey(4, 6)), exif=exif), 1)
    np.testing.assert_array_equal(turned[..., 0], np.rot90(grey(4, 6), -1))


def test_alpha_is_laid_on_white() -> None:
    pixels = np.zeros((4, 6, 4), np.uint8)
    pixels[0, 0] = (10, 20, 30, 255)
    decoded = decode_image(encoded(Image.fromarray(pixels)), 3)
    assert decoded[0, 0].tolist() == [10, 20, 30]
    assert decoded[1, 1].tolist() == [255, 255, 255]


@pytest.mark.parametrize("channels", [1, 3])
def test_a_palette_becomes_its_colours(channels: int) -> None:
    picture = Image.fromarray(np.stack([grey()] * 3, axis=-1)).quantize(64)
    decoded = decode_image(encoded(picture), channels)
    np.testing.assert_array_equal(decoded[..., 0], grey())


def test_a_transparent_palette_is_laid_on_white() -> None:
    picture = Image.fromarray(np.zeros((4, 6), np.uint8)).convert("P")
    assert (decode_image(encoded(picture, transparency=0), 3) == 255).all()


def test_cmyk_is_not_inverted() -> None:
    decoded = decode_image(encoded(Image.new("CMYK", (6, 4), (0, 0, 0, 0)), "JPEG"), 3)
    assert decoded.min() > 250


def test_sixteen_bits_are_scaled_to_eight() -> None:
    picture = Image.fromarray(grey().astype(np.uint16) * 257)
    np.testing.assert_array_equal(decode_image(encoded(picture), 1)[..., 0], grey())


def test_inverted_cmyk_is_not_inverted() -> None:
    """Adobe writes CMYK in JPEG inverted and marks it; Pillow's writer does so too."""
    ink = (30, 200, 10, 40)
    marked = encoded(Image.new("CMYK", (16, 16), ink), "JPEG", quality=95)
    assert b"Adobe" in marked
    colour = decode_image(marked, 3).mean(axis=(0, 1))
    expected = np.asarray(Image.new("CMYK", (1, 1), ink).convert("RGB"))[0, 0]
    np.testing.assert_allclose(colour, expected, atol=4)


@pytest.mark.parametrize("format_", ["PNG", "TIFF"])
@pytest.mark.parametrize("orders", ["<u2", ">u2"])
def test_sixteen_bits_of_either_order(format_: str, orders: str) -> None:
    values = (grey().astype(np.uint16) * 257).astype(orders)
    mode = "I;16" if orders == "<u2" else "I;16B"
    picture = Image.frombytes(mode, (6, 4), values.tobytes())
    np.testing.assert_array_equal(decode_image(encoded(picture, format_), 1)[..., 0], grey())


def test_a_transparent_grey_of_sixteen_bits_is_laid_on_white() -> None:
    picture = Image.fromarray(grey().astype(np.uint16) * 257)
    content = encoded(picture)
    clear = struct.pack(">I", 2) + b"tRNS" + struct.pack(">H", 10 * 257)
    clear += struct.pack(">I", zlib.crc32(clear[4:]))
    at = content.index(b"IDAT") - 4
    decoded = decode_image(content[:at] + clear + content[at:], 1)[..., 0]
    assert decoded[0, 1] == 255
    assert decoded[0, 2] == 20


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.full((4, 6), 0.5, np.float32), 128),
        (np.full((4, 6), 65535, np.int32), 255),
        (np.full((4, 6), 200.0, np.float32), None),
        (np.full((4, 6), -0.5, np.float32), None),
        (np.full((4, 6), 70_000, np.int32), None),
        (np.full((4, 6), -1, np.int32), None),
        (np.full((4, 6), np.nan, np.float32), None),
        (np.full((4, 6), np.inf, np.float32), None),
    ],
)
def test_other_numbers_have_a_known_range_or_are_refused(values: np.ndarray[Any, Any], expected: int | None) -> None:
    content = encoded(Image.fromarray(values), "TIFF")
    if expected is None:
        with pytest.raises(RejectedError, match="export"):
            decode_image(content, 3)
    else:
        assert (decode_image(content, 3) == expected).all()


def test_grey_with_alpha_is_laid_on_white() -> None:
    pixels = np.zeros((4, 6, 2), np.uint8)
    pixels[0, 0] = (70, 255)
    decoded = decode_image(encoded(Image.fromarray(pixels, "LA")), 1)
    assert decoded[0, 0, 0] == 70
    assert decoded[1, 1, 0] == 255


@pytest.mark.parametrize("turn", range(1, 9))
def test_every_orientation(turn: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = turn
    content = encoded(Image.fromarray(grey()), "PNG", exif=exif)
    with Image.open(io.BytesIO(content)) as picture:
        from PIL import ImageOps

        expected = np.asarray(ImageOps.exif_transpose(picture))
    np.testing.assert_array_equal(decode_image(content, 1)[..., 0], expected)


def test_a_turned_picture_keeps_its_transparent_colour() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = Image.fromarray(grey()).convert("L")
    decoded = decode_image(encoded(picture, transparency=0, exif=exif), 1)
    assert decoded.shape == (6, 4, 1)
    assert decoded[0, 3, 0] == 255


@pytest.mark.parametrize("exif", [b"Exif\0\0", b"Exif\0\0MM\0*\xff\xff\xff\xff", b"Exif\0\0II*\0\x08\0\0\0\xff\xff"])
def test_a_broken_exif_is_no_reason_to_refuse(exif: bytes) -> None:
    content = encoded(Image.fromarray(grey()), "JPEG", quality=95, exif=exif)
    assert decode_image(content, 1).shape == (4, 6, 1)


def test_of_several_frames_the_first() -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ((250, 0, 0), (0, 250, 0))]
    content = encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    assert decode_image(content, 3)[0, 0].tolist() == [250, 0, 0]
    content = encoded(frames[0], "TIFF", save_all=True, append_images=frames[1:])
    assert decode_image(content, 3)[0, 0].tolist() == [250, 0, 0]


def test_the_header_says_how_a_picture_is_stored() -> None:
    header, picture = read_picture(encoded(Image.new("LA", (6, 4))), 3)
    assert header == PictureHeader(6, 4, "LA", "PNG")
    assert picture.mode == "RGB"
    phone = encoded(Image.new("RGB", (16, 8)), "MPO", save_all=True, append_images=[Image.new("RGB", (16, 8))])
    assert read_picture(phone, 3)[0] == PictureHeader(16, 8, "RGB", "JPEG")


def test_pixels_are_asked_for_before_they_are_decoded() -> None:
    asked = []

    @contextlib.contextmanager
    def room(pixels: int) -> Iterator[None]:
        asked.append(pixels)
        yield

    read_picture(encoded(Image.fromarray(grey())), 1, room)
    assert asked == [24]


def test_warnings_of_threads_come_back() -> None:
    """`warnings.catch_warnings` in two threads at once may leave the filters of one of them for good."""
    content = encoded(Image.fromarray(np.zeros((300, 300), np.uint8)))
    before = list(warnings.filters)
    threads = [threading.Thread(target=lambda: [decode_image(content, 3) for _ in range(20)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(warnings.filters) == before


def test_one_bit_pictures_are_black_and_white() -> None:
    assert set(np.unique(decode_image(encoded(Image.fromarray(grey() > 50)), 1))) == {0, 255}


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "BMP", "WEBP", "TIFF"])
def test_every_format_is_read(format_: str) -> None:
    assert decode_image(encoded(Image.fromarray(grey()), format_), 3).shape == (4, 6, 3)


@pytest.mark.parametrize(
    "data",
    [b"", b"\0", b"<html></html>", encoded(Image.fromarray(grey()), "GIF"), b"\x89PNG\r\n\x1a\n", png_header(0, 0)],
    ids=["empty", "zero", "html", "gif", "signature", "no-pixels"],
)
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(RejectedError) as caught:
        decode_image(data, 3)
    assert "0x" not in str(caught.value)  # no buffer's address
    assert "object at" not in str(caught.value)


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "BMP"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_cut_picture_is_refused(format_: str, share: float) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(pixels), format_)
    with pytest.raises(RejectedError, match="not a readable picture"):
        decode_image(data[: int(len(data) * share)], 3)


@settings(max_examples=60, deadline=None)
@given(
    at=st.integers(0, 200), value=st.integers(0, 255), format_=st.sampled_from(["PNG", "JPEG", "BMP", "TIFF", "WEBP"])
)
def test_a_changed_byte_is_read_or_refused(at: int, value: int, format_: str) -> None:
    data = bytearray(encoded(Image.fromarray(grey()), format_))
    data[at % len(data)] = value
    try:
        decoded = decode_image(bytes(data), 3)
    except RejectedError:
        return
    assert decoded.shape[2] == 3


@pytest.mark.parametrize("side", [9_000, 60_000])  # above our limit, and above Pillow's own
def test_a_bomb_is_refused_in_bounded_memory(side: int) -> None:
    code = """
import resource, sys
from edge.errors import RejectedError
from edge.runtime.preprocess import decode_image
from PIL import Image
Image.init()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    decode_image(sys.stdin.buffer.read(), 3)
except RejectedError as error:
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(grown, error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], input=png_header(side, side), capture_output=True, check=True, timeout=280
    )
    grown, text = done.stdout.decode().split(" ", 1)
    assert "64,000,000" in text
    assert int(grown) < 20_000  # kB; the pixels would take 81 MB and 3.6 GB


@pytest.mark.skipif(not BAD.is_dir(), reason="the folder of bad pictures is not here")
@pytest.mark.parametrize("name", ["truncated_half.jpg", "zero_byte.jpg", "html_named.jpg", "bomb_16000x16000_8bit.png"])
def test_bad_pictures_are_refused(name: str) -> None:
    with pytest.raises(RejectedError) as caught:
        decode_image((BAD / name).read_bytes(), 3)
    assert not re.search(r"0x[0-9a-f]{6}", str(caught.value))


@pytest.mark.skipif(not BAD.is_dir(), reason="the folder of bad pictures is not here")
@pytest.mark.parametrize("name", ["png_named.jpg", "rgba_alpha.png", "cmyk.jpg", "exif_orientation_6.jpg"])
def test_odd_but_sound_pictures_are_read(name: str) -> None:
    tensor = record_tensor(COLOUR, (BAD / name).read_bytes())
    assert tensor.shape == (3, 4, 6)
    assert np.isfinite(tensor).all()


def test_a_row_is_normalized_in_the_order_of_its_columns() -> None:
    np.testing.assert_allclose(row_tensor(TABLE, {"b": 3, "a": "12.0", "other": "x"}), [1.0, 3.0])
    stored = np.asarray([12.0, 3.0], dtype="<f8").tobytes()
    np.testing.assert_array_equal(record_tensor(TABLE, stored), row_tensor(TABLE, {"a": 12, "b": 3}))


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"a": 1}, "'b' is missing"),
        ({"a": 1, "b": "x"}, "'x' is not a number"),
        ({"a": 1, "b": None}, "None is not a number"),
        ({"a": 1, "b": True}, "True is not a number"),
        ({"a": 1, "b": "1_0"}, "'1_0' is not a number"),
        ({"a": 1, "b": ""}, "'' is not a number"),
        ({"a": 1, "b": [1]}, "is not a number"),
        ({"a": 1, "b": 10**400}, "is not a number"),
        ({"a": 1, "b": "nan"}, "not a finite number"),
        ({"a": 1, "b": float("inf")}, "not a finite number"),
        ({"a": 1, "b": "1e400"}, "not a finite number"),
    ],
)
def test_a_bad_cell_is_named(row: dict[str, Any], reason: str) -> None:
    with pytest.raises(RejectedError, match=re.escape(reason)):
        row_tensor(TABLE, row)


WORDS = InputSpec("table", "x", (2,), (0.0, 0.0), (1.0, 1.0), ("a", "b"), {"b": ("low", "high", "1", "true")})


def test_words_become_their_position() -> None:
    for word, position in (("low", 0), ("high", 1), (1, 2), ("1", 2), (1.0, 2), (True, 3)):
        np.testing.assert_array_equal(row_tensor(WORDS, {"a": 5, "b": word}), [5, position])
    np.testing.assert_array_equal(golden_tensor(WORDS, '{"a": 5, "b": "high"}'), [5, 1])
    for wrong in ("LOW", "", None, [], 0, 2, 0.5, "low ", float("nan")):
        with pytest.raises(RejectedError, match=r"column 'b': .* is not one of low, high, 1, true"):
            row_tensor(WORDS, {"a": 5, "b": wrong})
    with pytest.raises(RejectedError, match="column 'b' is missing"):
        row_tensor(WORDS, {"a": 5})


def test_categories_are_words_of_columns() -> None:
    for categories in ({"c": ("x", "y")}, {"b": ()}, {"b": ("x", "x")}):
        with pytest.raises(ValueError, match="categories"):
            InputSpec("table", "x", (2,), (0.0, 0.0), (1.0, 1.0), ("a", "b"), categories)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=2))
def test_any_finite_row_gives_finite_inputs(values: list[float]) -> None:
    tensor = table_tensor(TABLE, values)
    assert tensor.dtype == np.float32
    assert np.abs(tensor).max() <= MAX_DEVIATIONS


@pytest.mark.parametrize("data", [b"", b"\0" * 15, b"\0" * 24, struct.pack("<2d", 1.0, float("nan"))])
def test_a_stored_row_of_another_size_or_with_nan_is_refused(data: bytes) -> None:
    with pytest.raises(RejectedError):
        record_tensor(TABLE, data)


def test_golden_inputs_are_read_as_records_are() -> None:
    picture = encoded(Image.fromarray(grey()))
    golden = golden_tensor(GREY, base64.b64encode(picture).decode())
    np.testing.assert_array_equal(golden, record_tensor(GREY, picture))
    np.testing.assert_array_equal(golden_tensor(TABLE, '{"a": 12, "b": 3}'), row_tensor(TABLE, {"a": 12, "b": 3}))


@pytest.mark.parametrize("text", ["", "ü", "!!!", "abc", base64.b64encode(b"no picture").decode()])
def test_a_golden_input_that_is_no_picture_is_refused(text: str) -> None:
    with pytest.raises(RejectedError):
        golden_tensor(GREY, text)


@pytest.mark.parametrize("text", ["", "[]", "1", "{", "[" * 100_000, json.dumps({"a": 1}), '{"a": NaN, "b": 1}'])
def test_a_golden_row_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(RejectedError):
        golden_tensor(TABLE, text)


def test_pixels_of_the_right_size_are_not_resampled() -> None:
    pixels = grey()[..., np.newaxis]
    np.testing.assert_allclose(image_tensor(GREY, pixels)[0], (grey() / 255 - 0.5) / 0.25, rtol=1e-5)
