"""The reader of pictures: content decides, folders label, and nothing in a file can crash it."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from assets.errors import RejectedError
from assets.ingest.contract import LandedFile, Record
from assets.ingest.images import read_images
from assets.line import Line
from assets.quality.contract import Reason


def read(line: Line, files: dict[str, bytes]) -> list[Record | Reason]:
    landed = [LandedFile(path, hashlib.sha256(data).hexdigest(), len(data)) for path, data in files.items()]
    return list(read_images(landed, lambda file: files[file.path], line.config.data))


def test_folders_give_class_and_split(pictures: Line, png: Callable[..., bytes]) -> None:
    items = read(
        pictures,
        {
            "cat/1.png": png(1),
            "train/dog/2.png": png(2),
            "VAL/dog/3.png": png(3),
            "valid/cat/4.png": png(4),
            "test/bird/5.png": png(5),
        },
    )
    found = [(item.label, item.split) for item in items if isinstance(item, Record)]
    assert found == [("cat", ""), ("dog", "train"), ("dog", "validation"), ("cat", "validation"), ("bird", "test")]


def test_a_record_keeps_the_files_bytes_and_is_named_by_its_pixels(pictures: Line, png: Callable[..., bytes]) -> None:
    first, again, other = read(pictures, {"cat/1.png": png(1), "cat/2.jpg": png(1, kind="BMP"), "cat/3.png": png(2)})
    assert isinstance(first, Record)
    assert isinstance(again, Record)
    assert isinstance(other, Record)
    assert first.input == png(1)
    assert first.id == again.id != other.id
    pixels = np.asarray(Image.open(io.BytesIO(png(1))))
    assert first.id == hashlib.sha256(b"8x8x1\0" + pixels.tobytes()).hexdigest()
    assert first.facts == {"width": 8, "height": 8, "mean": pixels.mean(), "std": np.float64(first.facts["std"])}
    np.testing.assert_allclose(first.facts["std"], pixels.std())


def test_the_shape_is_part_of_the_id(pictures: Line) -> None:
    def blank(width: int, height: int) -> bytes:
        buffer = io.BytesIO()
        Image.new("L", (width, height), 7).save(buffer, "PNG")
        return buffer.getvalue()

    wide, tall = read(pictures, {"cat/a.png": blank(8, 2), "cat/b.png": blank(2, 8)})
    assert isinstance(wide, Record)
    assert isinstance(tall, Record)
    assert wide.id != tall.id


def test_what_is_no_picture_is_refused_with_its_reason(pictures: Line, png: Callable[..., bytes]) -> None:
    bomb = io.BytesIO()
    Image.new("1", (16_000, 16_000)).save(bomb, "PNG")
    items = read(
        pictures,
        {
            "cat/page.jpg": b"<!doctype html><html></html>",
            "cat/empty.png": b"",
            "cat/cut.png": png(1, size=64)[:2000],
            "cat/bomb.png": bomb.getvalue(),
            "loose.png": png(1),
            "archive/2024/cat/x.png": png(1),
            "archive/cat/x.png": png(1),
        },
    )
    assert all(isinstance(item, Reason) and item.outcome == "refused" for item in items)
    texts = [f"{item.reason} | {item.remedy}" for item in items if isinstance(item, Reason)]
    for text, expected in zip(
        texts,
        (
            "not a readable picture",
            "empty",
            "not a readable picture",
            "pixels",
            "no class",
            "declares no",
            "archive",
        ),
        strict=True,
    ):
        assert expected in text
        assert " at 0x" not in text  # no object's address
        assert all(text.split(" | "))


def test_a_file_that_may_not_be_read_is_refused_and_the_rest_goes_on(pictures: Line, png: Callable[..., bytes]) -> None:
    def reading(file: LandedFile) -> bytes:
        if file.path == "cat/1.png":
            raise RejectedError("the file is missing; land it again")
        return png(2)

    files = [LandedFile(path, "0" * 64, 1) for path in ("cat/1.png", "cat/2.png")]
    first, second = read_images(files, reading, pictures.config.data)
    assert first == Reason("cat/1.png", "whole file", "refused", "the file is missing", "land it again")
    assert isinstance(second, Record)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(["PNG", "JPEG", "BMP", "WEBP", "TIFF"]),
    cuts=st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=4)), max_size=4),
    keep=st.floats(0.05, 1),
)
def test_mutated_pictures_are_records_or_refusals(
    pictures: Line, png: Callable[..., bytes], kind: str, cuts: list[tuple[float, bytes]], keep: float
) -> None:
    data = bytearray(png(3, size=16, kind=kind))
    for place, noise in cuts:
        start = int(place * (len(data) - 1))
        data[start : start + len(noise)] = noise
    (item,) = read(pictures, {"cat/x": bytes(data[: max(1, int(keep * len(data)))])})
    if isinstance(item, Record):
        assert np.isfinite(list(item.facts.values())).all()
    else:
        assert item.reason
        assert item.remedy
