"""Almost equal records: planted copies are found, other pictures, texts and rows are left alone."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image, ImageFilter
from sklearn.datasets import load_digits, load_sample_images

from assets.line.data import AudioData, DataContract, ImageData, TableData, TextData
from assets.quality.checks.near_duplicates import find_near_duplicates
from assets.quality.checks.neighbours import close_pairs, typical_distance
from assets.readers.text_features import lettering

SHARED = Path(__file__).parents[5] / "shared/data"
PICTURES = DataContract(reader="image_folder", classes=("a", "b"), image=ImageData(height=8, width=8, channels=1))
TEXTS = DataContract(reader="text", classes=("a", "b"), text=TextData())


def _recompressed(picture: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=75)
    return Image.open(io.BytesIO(buffer.getvalue())).convert(picture.mode)


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "recompressed": _recompressed,
    "smaller": lambda picture: picture.resize((picture.width * 3 // 4, picture.height * 3 // 4)),
    "blurred": lambda picture: picture.filter(ImageFilter.GaussianBlur(0.7)),
    "brighter": lambda picture: picture.point(lambda value: min(255, int(value * 1.1 + 8))),
}


def _photos() -> list[Image.Image]:
    """160 different pieces of two photographs, 64 x 64."""
    pieces = []
    for photo in load_sample_images().images:
        for top in range(0, photo.shape[0] - 64, 48):
            for left in range(0, photo.shape[1] - 64, 64):
                pieces.append(Image.fromarray(photo[top : top + 64, left : left + 64]))
    flat = [float(np.asarray(piece).std()) for piece in pieces]
    return [piece for piece, spread in zip(pieces, flat, strict=True) if spread > 20]


def _earlier(make_earlier: Any, spool: Any, rows: list[int], side: int) -> pa.Table:
    table = spool.take(rows, ["_id", "_label", "_file", "_phash", "_embedding"])
    own = {name[1:]: table.column(name).to_pylist() for name in table.column_names}
    return make_earlier(len(rows), side=[side] * len(rows), **own)


@pytest.mark.parametrize("change", CHANGES)
def test_copies_of_photographs_are_found_and_nothing_else(picture_batch: Any, make_earlier: Any, change: str) -> None:
    photos = _photos()
    copied = list(range(0, len(photos), 10))
    spool = picture_batch(
        [*photos, *(CHANGES[change](photos[place]) for place in copied)], ["a"] * (len(photos) + len(copied))
    )
    sides = np.zeros(spool.rows, dtype=np.int8)
    sides[copied] = 2
    found = find_near_duplicates(spool, PICTURES, sides, make_earlier())
    leaks = {row: file for row, file in enumerate(found.columns["_leak"]) if file}
    expected = {len(photos) + place: f"p{row}.png" for place, row in enumerate(copied)}
    assert leaks == expected
    assert not found.columns["_near"].astype(bool).any()
    assert {finding.kind for finding in found.findings} == {"leak"}
    # The same where the originals were accepted before: then only embeddings and hashes are there.
    earlier = _earlier(make_earlier, spool, copied, 2)
    rest = [row for row in range(spool.rows) if row not in copied]
    later = spool.take(rest, spool.schema.names)
    again = spool.__class__(spool.paths[0].parent / "later", spool.schema)
    with again:
        again.append(later)
        again.finish()
        found = find_near_duplicates(again, PICTURES, np.zeros(again.rows, dtype=np.int8), earlier)
        hits = sum(file is not None for file in found.columns["_leak"][-len(copied) :])
        assert hits >= 0.8 * len(copied)
        assert not found.columns["_leak"][: -len(copied)].astype(bool).any()
        assert all(finding.other_row == -1 for finding in found.findings)


def test_copies_on_one_side_are_near_and_the_first_is_not_marked(picture_batch: Any, make_earlier: Any) -> None:
    photos = _photos()[:40]
    spool = picture_batch([photos[0], _recompressed(photos[0]), *photos[1:]], ["a", "b", *["a"] * 39])
    found = find_near_duplicates(spool, PICTURES, np.zeros(spool.rows, dtype=np.int8), make_earlier())
    assert {row: file for row, file in enumerate(found.columns["_near"]) if file} == {1: "p0.png"}
    (finding,) = found.findings
    assert (finding.kind, finding.row, finding.other_row) == ("near_duplicate", 1, 0)
    assert "label is another one" in finding.detail
    unsound = np.ones(spool.rows, dtype=bool)
    unsound[0] = False
    assert not find_near_duplicates(
        spool, PICTURES, np.zeros(spool.rows, dtype=np.int8), make_earlier(), unsound
    ).findings


def test_tiny_digits_are_no_copies_of_each_other(picture_batch: Any, make_earlier: Any) -> None:
    digits = (load_digits().images * 15.9).astype(np.uint8)
    pictures = [Image.fromarray(digit) for digit in digits]
    copies = [_recompressed(picture) for picture in pictures[:40]]
    spool = picture_batch(pictures + copies, ["a"] * (len(pictures) + 40))
    sides = np.where(np.arange(spool.rows) < 360, 2, 0).astype(np.int8)
    found = find_near_duplicates(spool, PICTURES, sides, make_earlier())
    marked = np.array([file is not None for file in found.columns["_leak"]])
    assert marked[len(pictures) :].sum() >= 32
    assert marked[: len(pictures)].sum() + found.columns["_near"].astype(bool).sum() <= 2
    earlier = _earlier(make_earlier, spool, list(range(360)), 2)
    found = find_near_duplicates(spool, PICTURES, np.zeros(spool.rows, dtype=np.int8), earlier)
    assert found.columns["_leak"][360 : len(pictures)].astype(bool).sum() <= 2


def test_mnist_gives_no_false_alarm(picture_batch: Any, make_earlier: Any) -> None:
    path = SHARED / "mnist/t10k-images-idx3-ubyte.gz"
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    pixels = np.frombuffer(gzip.decompress(path.read_bytes()), dtype=np.uint8, offset=16).reshape(-1, 28, 28)[:3000]
    spool = picture_batch([Image.fromarray(picture) for picture in pixels], ["a"] * len(pixels))
    sides = (np.arange(spool.rows) % 5 == 0).astype(np.int8) * 2
    found = find_near_duplicates(spool, PICTURES, sides, make_earlier())
    assert found.findings == ()


def test_pictures_of_one_scene_are_not_all_copies(picture_batch: Any, make_earlier: Any) -> None:
    draw = np.random.default_rng(0)
    scene = np.asarray(load_sample_images().images[0][100:164, 100:164])
    pictures = []
    for _ in range(120):
        part = scene.copy()
        top, left = draw.integers(0, 48, 2)
        part[top : top + 16, left : left + 16] = draw.integers(0, 255, 3)
        pictures.append(Image.fromarray(part))
    spool = picture_batch([*pictures, _recompressed(pictures[0])], ["a"] * 121)
    found = find_near_duplicates(spool, PICTURES, np.zeros(121, dtype=np.int8), make_earlier())
    assert found.columns["_near"][120] == "p0.png"
    assert found.columns["_near"].astype(bool).sum() <= 15  # a few patches lie at nearly the same place


def _text_batch(make_spool: Any, texts: list[str], **own: Any) -> Any:
    return make_spool(
        len(texts), facts={"text": texts}, embedding=list(lettering(texts).embeddings), label=["a"] * len(texts), **own
    )


def test_texts_that_say_the_same(make_spool: Any, make_earlier: Any) -> None:
    words = (
        "the quick brown fox jumps over lazy dogs while seven wizards quietly mix strange potions near old stone walls"
    )
    draw = np.random.default_rng(0)
    texts = [" ".join(draw.permutation(words.split())[:12]) for _ in range(100)]
    changed = [
        texts[0].upper() + "!!",
        texts[1].replace(" ", "  ") + ".",
        texts[2] + " today",
        texts[3].replace("a", "e"),
    ]
    sides = np.zeros(104, dtype=np.int8)
    sides[:50] = 2
    spool = _text_batch(make_spool, texts + changed)
    found = find_near_duplicates(spool, TEXTS, sides, make_earlier())
    leaks = {row: file for row, file in enumerate(found.columns["_leak"]) if file}
    assert {100: "f0", 101: "f1"}.items() <= leaks.items()
    assert set(leaks) <= {100, 101, 102}
    earlier = _earlier(make_earlier, spool, [0, 1], 2)
    found = find_near_duplicates(spool, TEXTS, np.zeros(104, dtype=np.int8), earlier)
    assert {row for row, file in enumerate(found.columns["_leak"]) if file} <= {100, 101}


def test_rows_that_differ_by_rounding(make_spool: Any, make_earlier: Any) -> None:
    values = np.random.default_rng(0).normal(size=(200, 5))
    values[150] = values[3] * (1 + 1e-9)
    names = [f"c{place}" for place in range(5)]
    contract = DataContract(reader="table", classes=("a", "b"), table=TableData(columns=tuple(names), target="y"))
    sides = np.zeros(200, dtype=np.int8)
    sides[3] = 1
    spool = make_spool(200, facts=dict(zip(names, values.T, strict=True)))
    found = find_near_duplicates(spool, contract, sides, make_earlier())
    assert {row: file for row, file in enumerate(found.columns["_leak"]) if file} == {150: "f3"}
    whole = make_spool(200, facts={name: np.round(values[:, 0]) for name in names})
    assert not find_near_duplicates(whole, contract, sides, make_earlier()).findings


def test_sounds_by_embedding(make_spool: Any, make_earlier: Any) -> None:
    points = np.random.default_rng(0).normal(size=(100, 128)).astype(np.float32)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    points[99] = points[0] + 0.001
    contract = DataContract(reader="audio_folder", classes=("a", "b"), audio=AudioData(rate=8000, seconds=1))
    found = find_near_duplicates(
        make_spool(100, embedding=list(points)), contract, np.zeros(100, dtype=np.int8), make_earlier()
    )
    assert [(finding.row, finding.other_row) for finding in found.findings] == [(99, 0)]


@pytest.mark.parametrize("rows", [0, 1, 2, 40])
def test_records_without_or_with_broken_embeddings(make_spool: Any, make_earlier: Any, rows: int) -> None:
    strange: list[Any] = [None, [float("nan")] * 4, [1e30] * 4, [0.0] * 4, [1.0], [], [1.0] * 4, [1.0] * 4]
    for embeddings in ([None] * rows, [strange[row % 8] for row in range(rows)]):
        sizes = {"width": [8.0] * rows, "height": [None] * rows if rows > 5 else [8.0] * rows}
        sizes["height"] = pa.array(sizes["height"], pa.float64())  # type: ignore[assignment]
        spool = make_spool(rows, facts=sizes, embedding=embeddings, label=["a"] * rows)
        found = find_near_duplicates(
            spool, PICTURES, np.zeros(rows, dtype=np.int8), make_earlier(2, embedding=[None, [1.0] * 4])
        )
        assert {len(column) for column in found.columns.values()} == {rows}


def test_close_pairs_agree_with_a_slow_search(monkeypatch: pytest.MonkeyPatch) -> None:
    from assets.quality.checks import neighbours

    draw = np.random.default_rng(0)
    points = draw.normal(size=(600, 6)).astype(np.float32)
    points = np.concatenate([points, points[:60] + draw.normal(0, 0.01, (60, 6)).astype(np.float32)])
    apart = np.sqrt(((points[:, None] - points[None]) ** 2).sum(axis=2))
    slow = {(i, j) for i, j in zip(*np.nonzero(apart < 0.15), strict=True) if i < j}
    found = close_pairs(points, len(points), 0.15)
    assert set(zip(found.first.tolist(), found.second.tolist(), strict=True)) == slow
    assert np.allclose(found.distance, apart[found.first, found.second], atol=2e-3)
    monkeypatch.setattr(neighbours, "ALL", 100)
    for most in (neighbours.MOST_IN_CELL, 20):
        monkeypatch.setattr(neighbours, "MOST_IN_CELL", most)
        cells = close_pairs(points, len(points), 0.15)
        assert len(slow & set(zip(cells.first.tolist(), cells.second.tolist(), strict=True))) >= 0.9 * len(slow)
    assert 0.2 < typical_distance(points) < 3
