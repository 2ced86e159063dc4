"""The reader of idx files: pairs are read whole, or refused whole with what was expected and found."""

from __future__ import annotations

import gzip
import hashlib
import io
import math
import struct
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from assets.line.data import DataContract
from assets.readers import idx, picture_arrays
from assets.readers.idx import read_idx
from assets.readers.images import record_of
from assets.records.batch import LandedFile
from assets.records.reason import Reason
from edge.runtime.preprocess import decode_image
from tests.assets.readers.rows_of_readers import SHARED, InMemory, needs_shared, read_all

IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


def contract(channels: int = 1, classes: tuple[str, ...] = ("zero", "one"), **more: Any) -> DataContract:
    image = {"height": 28, "width": 28, "channels": channels}
    return DataContract(reader="idx", classes=classes, image=image, **more)  # type: ignore[arg-type]


def pictures(count: int = 3, shape: tuple[int, ...] = (5, 4), seed: int = 0) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)


def packed(values: Any, magic: int | None = None) -> bytes:
    array = np.asarray(values, dtype=np.uint8)
    magic = 0x800 + array.ndim if magic is None else magic
    return struct.pack(f">I{array.ndim}I", magic, *array.shape) + array.tobytes()


def reasons(contents: dict[str, bytes]) -> dict[str, str]:
    rows, found = read_all(read_idx, contents, contract())
    assert not rows
    assert all(reason.outcome == "refused" for reason in found)
    return {reason.file: f"{reason.reason}; {reason.remedy}" for reason in found}


def test_a_pair_becomes_records() -> None:
    pixels = pictures()
    rows, none = read_all(read_idx, {IMAGES: packed(pixels), LABELS: packed([1, 0, 1])}, contract())
    assert not none
    assert [row["_label"] for row in rows] == ["one", "zero", "one"]
    assert [row["_file"] for row in rows] == [f"{IMAGES}#{index}" for index in range(3)]
    assert {row["_split"] for row in rows} == {"train"}
    for row, picture in zip(rows, pixels, strict=True):
        np.testing.assert_array_equal(decode_image(row["_input"], 1)[..., 0], picture)
        assert row["_id"] == hashlib.sha256(b"5x4x1\0" + picture.tobytes()).digest()
        assert (row["width"], row["height"], row["mode"], row["format"]) == (4.0, 5.0, "L", "PNG")


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("shape", [(28, 28), (1, 1), (2, 130), (9, 12, 3), (140, 90, 3)])
def test_records_are_those_of_their_pictures(channels: int, shape: tuple[int, ...]) -> None:
    data = contract(channels)
    rows, _ = read_all(read_idx, {IMAGES: packed(pictures(4, shape)), LABELS: packed([0, 1, 0, 1])}, data)
    assert len(rows) == 4
    for row in rows:
        alone = record_of(row["_input"], row["_label"], row["_split"], row["_file"], "", None, data)
        assert row["_id"].hex() == alone.id
        assert row["_phash"] == alone.phash
        assert alone.embedding is not None
        np.testing.assert_allclose(row["_embedding"], alone.embedding, atol=1e-5)
        for name, value in alone.facts.items():
            assert row[name] == (pytest.approx(value) if isinstance(value, float) else value)


@pytest.mark.parametrize(
    ("images", "labels", "split"),
    [
        ("train-images-idx3-ubyte", "train-labels-idx1-ubyte.gz", "train"),
        ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte", "test"),
        ("T10K-IMAGES.IDX3-UBYTE", "t10k-labels.idx1-ubyte", "test"),
        ("emnist-letters-images.idx3-ubyte", "emnist-letters-labels.idx1-ubyte", ""),
        ("MNIST/raw/val-images-idx3-ubyte", "MNIST/raw/val-labels-idx1-ubyte", "validation"),
        ("test/images-idx3-ubyte", "test/labels-idx1-ubyte", "test"),
        ("good-images-idx3-ubyte", "other-labels-idx1-ubyte", ""),
    ],
)
def test_names_say_what_belongs_together(images: str, labels: str, split: str) -> None:
    def content(name: str, values: Any) -> bytes:
        return gzip.compress(packed(values)) if name.endswith(".gz") else packed(values)

    contents = {images: content(images, pictures(2)), labels: content(labels, [0, 1])}
    rows, none = read_all(read_idx, contents, contract())
    assert not none
    assert [(row["_label"], row["_split"]) for row in rows] == [("zero", split), ("one", split)]


def test_gzip_is_told_by_content() -> None:
    contents = {IMAGES: gzip.compress(packed(pictures(2))), f"{LABELS}.gz": packed([0, 1])}
    rows, _ = read_all(read_idx, contents, contract())
    assert len(rows) == 2


def test_files_without_partner_are_refused() -> None:
    found = reasons({IMAGES: packed(pictures()), "t10k-labels-idx1-ubyte": packed([0, 1, 1]), "LICENSE": b"MIT"})
    assert "its labels are missing" in found[IMAGES]
    assert "its images are missing" in found["t10k-labels-idx1-ubyte"]
    assert "not an idx file by its name" in found["LICENSE"]


def test_a_file_twice_is_refused_once() -> None:
    contents = {IMAGES: packed(pictures(2)), f"{IMAGES}.gz": gzip.compress(packed(pictures(2))), LABELS: packed([0, 1])}
    rows, (reason,) = read_all(read_idx, contents, contract())
    assert len(rows) == 2
    assert reason.file == f"{IMAGES}.gz"
    assert IMAGES in reason.reason


@pytest.mark.parametrize("number", [2, 255])
def test_a_number_beyond_the_classes_is_no_class(number: int) -> None:
    contents = {IMAGES: packed(pictures(2)), LABELS: packed([0, number])}
    rows, _ = read_all(read_idx, contents, contract())
    assert [row["_label"] for row in rows] == ["zero", str(number)]
    rows, _ = read_all(read_idx, contents, contract(classes=("2", "255")))
    assert rows[1]["_label"] not in {"2", "255"}


BROKEN = {
    "empty": (b"", "0 bytes"),
    "no header": (b"\0\0\x08\x03\0\0", "its header ends after 6 bytes"),
    "other magic": (packed(pictures(), 0xD03), "0x00000d03, expected 0x00000803"),
    "swapped": (packed([0, 1, 0]), "it holds labels"),
    "announced four": (packed(pictures(), 0x804), "4 dimensions"),
    "cut": (packed(pictures())[:-1], "3x5x4 = 60 values, but holds 59"),
    "more": (packed(pictures()) + b"\0", "3x5x4 = 60 values, but holds more"),
    "none": (packed(np.zeros((0, 5, 4))), "0x5x4"),
    "fewer": (packed(pictures(2)), "it has 2 pictures, but"),
    "huge": (struct.pack(">4I", 0x803, 2**31, 2**31, 2**31), "pixels"),
    "huge count": (struct.pack(">4I", 0x803, 2**32 - 1, 100, 100), "at most"),
    "huge sides": (struct.pack(">4I", 0x803, 3, 2**16, 2**16), "64,000,000"),
    "five": (struct.pack(">6I", 0x805, 3, 1, 1, 1, 1) + b"\0" * 3, "0x00000805"),
}


def test_a_file_packed_twice_is_told() -> None:
    contents = {f"{IMAGES}.gz": gzip.compress(gzip.compress(packed(pictures(2)))), LABELS: packed([0, 1])}
    rows, reasons = read_all(read_idx, contents, contract())
    assert rows == []
    assert "packed by gzip more than once" in reasons[0].reason


@pytest.mark.parametrize("squeeze", [bytes, gzip.compress], ids=["plain", "gz"])
@pytest.mark.parametrize("name", BROKEN)
def test_broken_pictures_are_refused_with_their_labels(name: str, squeeze: Any) -> None:
    content, expected = BROKEN[name]
    if squeeze is gzip.compress and not content:
        content = b""
    found = reasons({IMAGES: squeeze(content), LABELS: packed([0, 1, 0])})
    assert expected in found[IMAGES]
    assert IMAGES in found[LABELS]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (packed([0, 1]), "it has 3 pictures, but"),
        (packed([0, 1, 1])[:-1], "3 = 3 values, but holds 2"),
        (packed(pictures()), "0x00000803, expected 0x00000801"),
        (b"", "0 bytes"),
    ],
)
def test_broken_labels_are_refused_with_their_pictures(content: bytes, expected: str) -> None:
    found = reasons({IMAGES: packed(pictures()), LABELS: content})
    assert set(found) == {IMAGES, LABELS}
    assert any(expected in text for text in found.values())


@pytest.mark.parametrize("at", [0.02, 0.5, 0.95])
def test_damaged_gzip_is_refused(at: float) -> None:
    whole = bytearray(gzip.compress(packed(pictures(200, (28, 28)))))
    whole[int(at * len(whole))] ^= 0x55
    found = reasons({f"{IMAGES}.gz": bytes(whole), LABELS: packed([0] * 200)})
    assert f"{IMAGES}.gz" in found
    cut = gzip.compress(packed(pictures(200, (28, 28))))
    assert f"{IMAGES}.gz" in reasons({f"{IMAGES}.gz": cut[: int(at * len(cut))], LABELS: packed([0] * 200)})


@pytest.mark.parametrize("declared", [200 * 1024**2, 2**31])
def test_a_gzip_bomb_takes_no_memory(declared: int) -> None:
    """Zeros pack to a thousandth; what is declared is held against the packed size first."""
    header = struct.pack(">4I", 0x803, declared // 1024, 32, 32)
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb") as file:
        file.write(header)
        for _ in range(50):
            file.write(bytes(1024**2))
    contents = {f"{IMAGES}.gz": buffer.getvalue(), LABELS: packed([0])}
    tracemalloc.start()
    try:
        found = reasons(contents)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert f"{IMAGES}.gz" in found
    assert peak < 8 * 1024**2


def test_large_files_come_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture_arrays, "BLOCK_RECORDS", 7)
    contents = {IMAGES: packed(pictures(20)), LABELS: packed([0, 1] * 10)}
    files = [LandedFile(path, "0" * 64, len(content)) for path, content in contents.items()]
    tables = [item for item in read_idx(files, InMemory(contents), contract()) if not isinstance(item, Reason)]
    assert [table.num_rows for table in tables] == [7, 7, 6]
    whole = pictures(20)
    stored = [value for table in tables for value in table["_input"].to_pylist()]
    for content, picture in zip(stored, whole, strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(content))), picture)


@settings(max_examples=150, deadline=None)
@given(
    at=st.integers(0, 40), noise=st.binary(min_size=1, max_size=4), keep=st.floats(0, 1), which=st.sampled_from([0, 1])
)
def test_mutated_files_give_all_records_or_none(at: int, noise: bytes, keep: float, which: int) -> None:
    contents = [packed(pictures(3)), packed([0, 1, 1])]
    changed = bytearray(contents[which])
    changed[at : at + len(noise)] = noise
    contents[which] = bytes(changed[: max(1, math.ceil(keep * len(changed)))])
    rows, found = read_all(read_idx, {IMAGES: contents[0], LABELS: contents[1]}, contract())
    assert (len(rows), len(found)) in {(3, 0), (0, 2)} or len(rows) > 3


@needs_shared
def test_the_real_sets() -> None:
    ten = tuple(str(digit) for digit in range(10))
    folder = SHARED / "mnist"
    contents = {path.name: path.read_bytes() for path in folder.iterdir() if path.name.startswith("t10k")}
    rows, none = read_all(read_idx, contents, contract(classes=ten))
    assert (len(rows), none) == (10_000, [])
    assert {row["_split"] for row in rows} == {"test"}
    assert len({row["_label"] for row in rows}) == 10


@needs_shared
def test_the_real_bad_files() -> None:
    folder = SHARED / "bad" / "idx"

    def landed(*names: str) -> tuple[int, str]:
        contents = {name: (folder / name).read_bytes() for name in names}
        rows, found = read_all(read_idx, contents, contract(classes=tuple("0123456789")))
        return len(rows), " ".join(f"{reason.file}: {reason.reason}" for reason in found)

    labels = "good-labels-idx1-ubyte"
    assert landed("good-images-idx3-ubyte", labels) == (200, "")
    count, text = landed("wrong-magic-images-idx3-ubyte", labels)
    assert count == 0
    assert "0x00000804" in text
    assert "0x00000803" in text
    count, text = landed("truncated-payload-images-idx3-ubyte", labels)
    assert count == 0
    assert "156,800" in text
    count, text = landed("good-images-idx3-ubyte", "labels-one-short-idx1-ubyte")
    assert count == 0
    assert "200 pictures" in text
    assert "199 labels" in text


def test_the_name_rule_is_quick_on_long_names() -> None:
    assert idx.IDX_NAME.fullmatch("images-" * 36 + "ubyte") is None
