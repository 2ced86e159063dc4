"""What is measured of pictures: the numbers are right, and what looks alike lies together."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from assets.readers.pictures import (
    EMBEDDING,
    LONGEST,
    Measures,
    as_grey,
    measure_picture,
    measure_stack,
    picture_id,
    picture_id_of,
)

Pixels = NDArray[np.uint8]


def scene(seed: int, width: int = 160, height: int = 120) -> Image.Image:
    """Soft shapes in colour, as photographs have."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    picture = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
    noise = rng.normal(0, 4, (height, width, 3))
    return Image.fromarray(np.clip(np.asarray(picture) + noise, 0, 255).astype(np.uint8))


def again(picture: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def distance(first: Measures, second: Measures) -> int:
    return int(first.phash[0] ^ second.phash[0]).bit_count()


def likeness(first: Measures, second: Measures) -> float:
    return float(first.embedding[0] @ second.embedding[0])


CHANGES: dict[str, Any] = {
    "compressed": lambda picture: again(picture, 30),
    "half": lambda picture: picture.resize((80, 60)),
    "odd size": lambda picture: picture.resize((133, 97)),
    "brighter": lambda picture: Image.eval(picture, lambda value: min(255, value * 1.15 + 10)),
    "darker": lambda picture: Image.eval(picture, lambda value: value * 0.7),
    "blurred": lambda picture: picture.filter(ImageFilter.GaussianBlur(2)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changed_copies_stay_near_and_others_far(change: str) -> None:
    originals = [measure_picture(scene(seed)) for seed in range(20)]
    for seed, original in enumerate(originals):
        copy = measure_picture(CHANGES[change](scene(seed)))
        assert distance(original, copy) <= 8
        assert likeness(original, copy) > 0.97
    for first in range(20):
        for second in range(first):
            assert distance(originals[first], originals[second]) > 12
            assert likeness(originals[first], originals[second]) < 0.97


def test_blur_and_darkness_show() -> None:
    sharp = measure_picture(scene(0))
    blurred = measure_picture(scene(0).filter(ImageFilter.GaussianBlur(3)))
    assert blurred.sharpness[0] < sharp.sharpness[0] / 5
    dark = measure_picture(Image.eval(scene(0), lambda value: value // 4))
    assert dark.brightness[0] == pytest.approx(sharp.brightness[0] / 4, rel=0.05)
    assert dark.entropy[0] < sharp.entropy[0]


def test_numbers_are_those_of_the_definitions() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (1, 30, 40, 1), dtype=np.uint8)
    found = measure_stack(pixels)
    grey = pixels[0, ..., 0].astype(float)
    inner = grey[1:-1, 1:-1]
    waves = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * inner
    shares = np.bincount(pixels.reshape(-1), minlength=256) / pixels.size
    shares = shares[shares > 0]
    assert found.brightness[0] == pytest.approx(grey.mean())
    assert found.contrast[0] == pytest.approx(grey.std())
    assert found.sharpness[0] == pytest.approx(waves.var(), rel=1e-4)
    assert found.entropy[0] == pytest.approx(-(shares * np.log2(shares)).sum())


def test_a_large_picture_is_measured_smaller() -> None:
    wide = measure_picture(scene(3, 4 * LONGEST, LONGEST))
    assert wide.brightness[0] == pytest.approx(np.asarray(scene(3, 4 * LONGEST, LONGEST).convert("L")).mean(), abs=1)


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("size", [(1, 1), (1, 127), (127, 1), (2, 3), (5000, 2), (300, 200), (28, 28)])
def test_flat_and_odd_pictures_have_numbers(mode: str, size: tuple[int, int]) -> None:
    found = measure_picture(Image.new(mode, size, 128 if mode == "L" else (128, 128, 128)))
    assert (found.brightness[0], found.contrast[0], found.sharpness[0], found.entropy[0]) == (128, 0, 0, 0)
    assert found.phash[0] == 0
    assert found.embedding.shape == (1, EMBEDDING)
    assert not found.embedding.any()


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    channels=st.sampled_from([1, 3]),
    seed=st.integers(0, 1000),
)
def test_a_stack_is_measured_as_each_picture_is(height: int, width: int, channels: int, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (3, height, width, channels), dtype=np.uint8)
    together = measure_stack(pixels)
    for index, each in enumerate(pixels):
        alone = measure_picture(Image.fromarray(each[..., 0] if channels == 1 else each))
        for name in ("brightness", "contrast", "sharpness", "entropy"):
            assert getattr(together, name)[index] == pytest.approx(getattr(alone, name)[0], rel=1e-5, abs=1e-6)
        np.testing.assert_allclose(together.embedding[index], alone.embedding[0], atol=1e-4)
        assert int(together.phash[index] ^ alone.phash[0]).bit_count() <= 1
        length = float(np.linalg.norm(together.embedding[index]))
        assert length == pytest.approx(1, abs=1e-4) or length == 0


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 1000), width=st.integers(1, 900), height=st.integers(1, 300), channels=st.sampled_from([1, 3])
)
def test_an_id_does_not_depend_on_how_it_is_taken(seed: int, width: int, height: int, channels: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)
    assert picture_id_of(Image.fromarray(pixels[..., 0] if channels == 1 else pixels)) == picture_id(pixels)


def test_grey_is_pillows() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    np.testing.assert_array_equal(as_grey(pixels), np.asarray(Image.fromarray(pixels).convert("L")))


def test_neighbours_share_their_class() -> None:
    """What finds wrong labels: of digits that lie near each other, most are the same."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    embedding = measure_stack((digits.images * 255 / 16).astype(np.uint8)[..., None]).embedding
    likeness_of_all = embedding @ embedding.T
    np.fill_diagonal(likeness_of_all, -1)
    nearest = np.argsort(-likeness_of_all, axis=1)[:, :5]
    votes = [np.bincount(digits.target[row], minlength=10).argmax() for row in nearest]
    assert (np.asarray(votes) == digits.target).mean() > 0.97
