"""Thumbnails, waves and charts: made anew, bounded, and of any input."""

from __future__ import annotations

import base64
import io
import re
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from assets.pages.thumbnails import THUMBNAIL, sound_samples, thumbnail, wave_path
from assets.quality.drift.features import Feature, Tally, choose_bins
from assets.quality.report.charts import HEIGHT, WIDTH, chart, polyline
from tests.assets.quality.report.conftest import sound

NUMBERS = re.compile(r"[MVHLhZ0-9. -]*")
Numbers = np.ndarray[tuple[int], np.dtype[np.float64]]


def png(size: int) -> bytes:
    pixels = np.random.default_rng(size).integers(0, 256, (size, size), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def test_thumbnails_are_made_anew() -> None:
    assert thumbnail(b"junk", 1) is None
    made = thumbnail(png(900) + b"<script>alert(1)</script>", 3)
    assert made is not None
    assert made.startswith("data:image/jpeg;base64,")
    assert len(made) < 16_000
    assert Image.open(io.BytesIO(base64.b64decode(made.split(",")[1]))).size == (THUMBNAIL, THUMBNAIL)


def test_tiny_pictures_keep_every_pixel() -> None:
    made = thumbnail(png(28), 1)
    assert made is not None
    assert made.startswith("data:image/png;base64,")
    again = np.asarray(Image.open(io.BytesIO(base64.b64decode(made.split(",")[1]))))
    assert (again == np.asarray(Image.open(io.BytesIO(png(28))))).all()


@pytest.mark.parametrize(("code", "bits"), [(1, 8), (1, 16), (1, 24), (1, 32), (3, 32), (3, 64)])
def test_waves_of_every_sample_format(code: int, bits: int) -> None:
    tone = np.sin(np.arange(800) / 9) / 2
    if code == 3:
        body = tone.astype(f"<f{bits // 8}").tobytes()
    elif bits == 8:
        body = (tone * 127 + 128).astype(np.uint8).tobytes()
    else:
        whole = (tone * (2 ** (bits - 1) - 1)).astype("<i4")
        body = b"".join(value.tobytes()[: bits // 8] for value in whole)
    head = struct.pack(
        "<4sI4s4sIHHIIHH4sI", b"RIFF", 0, b"WAVE", b"fmt ", 16, code, 1, 8000, 0, 0, bits, b"data", len(body)
    )
    samples = sound_samples(head + body)
    assert samples is not None
    assert np.abs(samples[:, 0] - tone).max() < 0.02


@given(st.binary(max_size=120))
def test_junk_is_no_wave(tail: bytes) -> None:
    for content in (tail, b"RIFF1234WAVE" + tail, sound(np.random.default_rng(0))[:44] + tail):
        samples = sound_samples(content)
        assert samples is None or NUMBERS.fullmatch(wave_path(samples))


def test_a_wave_is_bounded() -> None:
    path = wave_path(np.random.default_rng(0).uniform(-9, 9, (500_000, 2)).astype(np.float32))
    assert len(path) < 3000
    assert NUMBERS.fullmatch(path)
    assert wave_path(np.zeros((0, 1), np.float32)) == ""


def feature(values: Numbers, like: Feature | None = None) -> Feature:
    bins = choose_bins(values)
    tally = Tally(bins if like is None else bins._replace(edges=like.edges, fences=like.fences))
    tally.add(values)
    return tally.feature("a")


@given(
    arrays(np.float64, st.integers(0, 50), elements=st.floats(-1e300, 1e300)),
    arrays(np.float64, st.integers(0, 50), elements=st.floats(-1e300, 1e300)),
)
def test_any_two_distributions_can_be_drawn(before: Numbers, now: Numbers) -> None:
    old = feature(before)
    made = chart(feature(now, old), old, None)
    assert NUMBERS.fullmatch(made.now + made.then)
    places = [float(value) for value in re.findall(r"H(-?[0-9.]+)", made.now)]
    assert all(0 <= place <= WIDTH for place in places)
    assert all(-0.1 <= float(value) <= HEIGHT for value in re.findall(r"V(-?[0-9.]+)", made.now + made.then))
    for bar in made.bars:
        assert 0 <= bar.now <= 100.1
    assert made.marks == tuple(made.marks)


def test_skewed_values_are_drawn_bin_by_bin() -> None:
    generator = np.random.default_rng(0)
    assert chart(feature(generator.lognormal(0, 2, 3000)), None, None).by_bin
    assert not chart(feature(generator.normal(0, 2, 3000)), None, None).by_bin
    assert [bar.name for bar in chart(feature(np.tile([0.0, 1.0, 4.0], 50)), None, None).bars] == ["0", "1", "4"]


def test_private_features_show_a_shape_without_numbers() -> None:
    made = chart(Feature("a", "word", 0, words={"secret": 5, "hidden": 3}, private=True), None, None)
    assert [bar.name for bar in made.bars] == ["value 1", "value 2"]


def test_lines_have_gaps() -> None:
    path = polyline([None, 1.0, None, 2.0, 3.0], 50, 20, 4)
    assert path.count("M") == 2
    assert path.count("L") == 1
    assert NUMBERS.fullmatch(path)
