"""The reader of pictures: content decides, folders label, and nothing in a file can crash it."""

from __future__ import annotations

import hashlib
import io
import threading
import time
import tracemalloc
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from assets.errors import LandingError, RejectedError
from assets.line.config import Line
from assets.line.data import DataContract
from assets.readers.images import read_images, record_of
from assets.readers.pool import Room, in_order
from assets.records.batch import LandedFile
from assets.records.chunks import fact_fields
from assets.records.reason import Reason
from assets.records.record import Record
from tests.assets.readers.rows_of_readers import SHARED, InMemory, needs_shared


def read(line: Line, files: dict[str, bytes]) -> list[Record | Reason]:
    landed = [LandedFile(path, hashlib.sha256(data).hexdigest(), len(data)) for path, data in files.items()]
    return list(read_images(landed, InMemory(files), line.config.data))


def contract(channels: int = 3, **more: Any) -> DataContract:
    image = {"height": 8, "width": 8, "channels": channels}
    return DataContract(reader="image_folder", classes=("cat", "dog"), image=image, **more)  # type: ignore[arg-type]


def records(items: list[Record | Reason]) -> list[Record]:
    assert all(isinstance(item, Record) for item in items), items
    return [item for item in items if isinstance(item, Record)]


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
    found = [(item.label, item.split) for item in records(items)]
    assert found == [("cat", ""), ("dog", "train"), ("dog", "validation"), ("cat", "validation"), ("bird", "test")]


def test_an_alias_is_resolved(png: Callable[..., bytes]) -> None:
    data = contract(aliases={"Hund": "dog"})
    assert record_of(png(1), "Hund", "", "x", "", None, data).label == "dog"


def test_a_record_keeps_the_files_bytes_and_is_named_by_its_pixels(pictures: Line, png: Callable[..., bytes]) -> None:
    files = {"cat/1.png": png(1), "cat/2.jpg": png(1, kind="BMP"), "cat/3.png": png(2)}
    first, again, other = records(read(pictures, files))
    assert first.input == png(1)
    assert first.id == again.id != other.id
    pixels = np.asarray(Image.open(io.BytesIO(png(1))))
    assert first.id == hashlib.sha256(b"8x8x1\0" + pixels.tobytes()).hexdigest()
    assert set(first.facts) == {field.name for field in fact_fields(pictures.config.data)}
    assert (first.facts["width"], first.facts["mode"], first.facts["format"]) == (8.0, "L", "PNG")
    assert again.facts["format"] == "BMP"
    assert first.facts["brightness"] == pytest.approx(pixels.mean())
    assert first.facts["contrast"] == pytest.approx(pixels.std())


@pytest.mark.parametrize("channels", [1, 3])
def test_the_id_of_a_large_picture_is_that_of_its_pixels(channels: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (301, 517, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    record = record_of(buffer.getvalue(), "cat", "", "x", "", None, contract(channels))
    expected = pixels if channels == 3 else np.asarray(Image.fromarray(pixels).convert("L"))[..., None]
    assert record.id == hashlib.sha256(f"301x517x{channels}".encode() + b"\0" + expected.tobytes()).hexdigest()


def test_the_shape_is_part_of_the_id(pictures: Line) -> None:
    def blank(width: int, height: int) -> bytes:
        buffer = io.BytesIO()
        Image.new("L", (width, height), 7).save(buffer, "PNG")
        return buffer.getvalue()

    wide, tall = records(read(pictures, {"cat/a.png": blank(8, 2), "cat/b.png": blank(2, 8)}))
    assert wide.id != tall.id


def test_facts_say_how_the_file_is_stored() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    Image.new("CMYK", (20, 10)).save(buffer, "JPEG", exif=exif)
    facts = record_of(buffer.getvalue(), "cat", "", "x", "", None, contract()).facts
    assert (facts["width"], facts["height"], facts["mode"], facts["format"]) == (20.0, 10.0, "CMYK", "JPEG")


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
    expected = (
        "not a readable picture",
        "empty",
        "not a readable picture",
        "pixels",
        "no class",
        "no class",
        "archive",
    )
    for text, part in zip(texts, expected, strict=True):
        assert part in text
        assert " at 0x" not in text  # no object's address
        assert all(text.split(" | "))


class Faulty(InMemory):
    def __init__(self, contents: dict[str, bytes], path: str, error: Exception) -> None:
        super().__init__(contents)
        self._path, self._error = path, error

    def read(self, file: LandedFile, limit: int) -> bytes:
        if file.path == self._path:
            raise self._error
        return super().read(file, limit)

    def open(self, file: LandedFile) -> BinaryIO:
        raise NotImplementedError


def test_a_file_that_may_not_be_read_is_refused_and_the_rest_goes_on(pictures: Line, png: Callable[..., bytes]) -> None:
    contents = {"cat/1.png": b"", "cat/2.png": png(2)}
    source = Faulty(contents, "cat/1.png", RejectedError("the file is missing; land it again"))
    files = [LandedFile(path, "0" * 64, 1) for path in contents]
    first, second = read_images(files, source, pictures.config.data)
    assert first == Reason("cat/1.png", "whole file", "refused", "the file is missing", "land it again")
    assert isinstance(second, Record)


def test_a_damaged_landing_zone_is_no_verdict(pictures: Line, png: Callable[..., bytes]) -> None:
    contents = {"cat/1.png": png(1), "cat/2.png": png(2)}
    files = [LandedFile(path, "0" * 64, 1) for path in contents]
    with pytest.raises(LandingError):
        list(read_images(files, Faulty(contents, "cat/2.png", LandingError("lost")), pictures.config.data))


def test_memory_is_flat_in_the_number_of_files(png: Callable[..., bytes]) -> None:
    content = png(1, size=256, kind="PNG")
    files = [LandedFile(f"cat/{index}.png", "0" * 64, len(content)) for index in range(60)]
    contents = {file.path: content for file in files}
    seen = []
    tracemalloc.start()
    try:
        for index, _ in enumerate(read_images(files, InMemory(contents), contract(1))):
            if index in {20, 59}:
                seen.append(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()
    assert seen[1] < seen[0] + 2_000_000


def test_work_stays_in_order_and_a_few_items_ahead() -> None:
    begun: list[int] = []

    def work(item: int) -> int:
        begun.append(item)
        time.sleep(0.001 * (item % 3))
        return item

    results = in_order(work, range(1000))
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    results.close()  # type: ignore[attr-defined]
    assert len(begun) < 1000


def test_room_is_shared_and_one_too_large_waits_to_be_alone() -> None:
    room, inside, most = Room(10), [0], [0]
    lock = threading.Lock()

    def use(amount: int) -> None:
        with room.reserve(amount):
            with lock:
                inside[0] += min(amount, 10)
                most[0] = max(most[0], inside[0])
            time.sleep(0.001)
            with lock:
                inside[0] -= min(amount, 10)

    threads = [threading.Thread(target=use, args=(amount,)) for amount in (4, 6, 10_000, 3, 7, 10, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 0 < most[0] <= 10


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
        assert np.isfinite([value for value in item.facts.values() if isinstance(value, float)]).all()
        assert item.embedding is not None
        assert np.isfinite(item.embedding).all()
    else:
        assert item.reason
        assert item.remedy


@pytest.mark.parametrize("path", ["cat/a\nb.png", "cat/<script>alert(1)<.png", "cat/\u202e.png", "\n/x.png"])
def test_odd_names_are_only_names(pictures: Line, png: Callable[..., bytes], path: str) -> None:
    try:
        (item,) = read(pictures, {path: png(1)})
    except ValueError:
        return  # no such file lands
    assert isinstance(item, Record)


@needs_shared
def test_the_real_bad_pictures() -> None:
    folder = SHARED / "bad" / "images"
    files = {f"cat/{path.name}": path.read_bytes() for path in sorted(folder.iterdir())}
    landed = [LandedFile(path, hashlib.sha256(data).hexdigest(), len(data)) for path, data in files.items()]
    items = list(read_images(landed, InMemory(files), contract()))
    refused = {item.file: item.reason for item in items if isinstance(item, Reason)}
    assert {path.removeprefix("cat/") for path in refused} == {
        "bomb_16000x16000_8bit.png",
        "html_named.jpg",
        "truncated_half.jpg",
        "zero_byte.jpg",
    }
    (named,) = [item for item in items if isinstance(item, Record) and item.file == "cat/png_named.jpg"]
    assert named.facts["format"] == "PNG"
