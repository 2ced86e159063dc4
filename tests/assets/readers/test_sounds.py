"""Sounds of every form: FLAC and Ogg decoded by libsndfile, whole or refused, and never more than fits."""

from __future__ import annotations

import functools
import io

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from assets.errors import RejectedError
from assets.line.data import DataContract
from assets.readers import sounds
from assets.readers.audio import read_audio, sound_id
from assets.readers.sounds import read_sound, size_of
from assets.readers.wav import read_wav
from tests.assets.readers.rows_of_readers import read_all

WAVES: NDArray[np.int16] = np.rint(9000 * np.sin(np.outer(np.arange(12_000), (0.05, 0.31)))).astype(np.int16)
FORMS = (("FLAC", "PCM_S8"), ("FLAC", "PCM_16"), ("FLAC", "PCM_24"), ("OGG", "VORBIS"), ("OGG", "OPUS"))


def encode(samples: NDArray[np.generic], form: str, subtype: str | None = None, rate: int = 48_000) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=form, subtype=subtype)
    return file.getvalue()


@functools.cache
def waves(form: str, subtype: str) -> bytes:
    return encode(WAVES, form, subtype)


def unmeasured(content: bytes) -> bytes:
    """A FLAC as a pipe gets it: its number of samples and its digest were never written."""
    return content[:21] + bytes([content[21] & 0xF0]) + bytes(20) + content[42:]


def reason(content: bytes) -> str:
    with pytest.raises(RejectedError, match="; ") as caught:
        read_sound(content)
    return str(caught.value)


@pytest.mark.parametrize(("form", "subtype"), FORMS)
def test_every_form_is_read(form: str, subtype: str) -> None:
    sound = read_sound(waves(form, subtype))
    assert (sound.rate, sound.samples.shape, sound.samples.dtype) == (48_000, WAVES.shape, np.float32)
    assert np.abs(sound.samples - WAVES / 2**15).max() < (0.2 if form == "OGG" else 0.01)


@settings(max_examples=60, deadline=None)
@given(
    bits=st.sampled_from([8, 16, 24]),
    values=st.lists(st.integers(-(2**23), 2**23 - 1), min_size=1, max_size=300),
    channels=st.integers(1, 2),
    rate=st.sampled_from([8_000, 44_100]),
)
def test_a_flac_is_the_record_that_its_wav_is(bits: int, values: list[int], channels: int, rate: int) -> None:
    samples = (np.repeat(np.array(values, np.int32), channels) >> (24 - bits) << (32 - bits)).reshape(-1, channels)
    flac = read_sound(encode(samples, "FLAC", "PCM_S8" if bits == 8 else f"PCM_{bits}", rate))
    wav = read_sound(encode(samples, "WAV", "PCM_U8" if bits == 8 else f"PCM_{bits}", rate))
    assert flac.samples.tobytes() == wav.samples.tobytes()
    assert sound_id(flac) == sound_id(wav)
    assert flac.bits == wav.bits == bits


@settings(max_examples=60, deadline=None)
@given(
    form=st.sampled_from(["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"]),
    raw=st.binary(min_size=1, max_size=400),
    channels=st.integers(1, 2),
)
def test_libsndfile_reads_the_very_values_of_a_wav_that_we_do(form: str, raw: bytes, channels: int) -> None:
    size = {"PCM_U8": 1, "PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4, "DOUBLE": 8}[form] * channels
    raw = bytes(size) + raw + bytes(-len(raw) % size)  # one that begins with OggS is an Ogg to libsndfile
    head = encode(np.zeros((len(raw) // size, channels)), "WAV", form)
    content = head[: len(head) - len(raw)] + raw
    try:
        ours = read_wav(content).samples
    except RejectedError:  # floats that are no numbers
        return
    theirs, _ = soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)
    assert ours.tobytes() == theirs.tobytes()


@settings(max_examples=150, deadline=None)
@given(
    form=st.sampled_from(FORMS),
    place=st.floats(0, 1, exclude_max=True),
    kind=st.sampled_from(["cut", "changed", "gone", "more"]),
    piece=st.binary(min_size=1, max_size=40),
)
def test_damage_is_refused_or_changes_no_sample(form: tuple[str, str], place: float, kind: str, piece: bytes) -> None:
    content = waves(*form)
    at = int(place * len(content))
    behind = {"cut": len(content), "changed": at + len(piece), "gone": at + len(piece), "more": at}[kind]
    damaged = content[:at] + (piece if kind in {"changed", "more"} else b"") + content[behind:]
    try:
        found = read_sound(damaged)
    except RejectedError as error:
        assert "; " in str(error)
        return
    whole = read_sound(content)
    assert found.samples.tobytes() == whole.samples.tobytes()


def test_an_ogg_without_a_page_is_refused() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 200_000)
    content, other = (encode(noise, "OGG", subtype) for subtype in ("VORBIS", "OPUS"))
    starts = [at for at in range(len(content)) if content.startswith(b"OggS", at)]
    assert len(starts) > 3
    assert "without its last page" in reason(content[: starts[-1]])
    assert "page 2 of its Ogg is missing" in reason(content[: starts[2]] + content[starts[3] :])
    assert "more than one stream" in reason(content + other)
    assert "damaged after" in reason(content[:100] + b"x" + content[101:])


def test_a_flac_of_unknown_length_is_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    content = unmeasured(waves("FLAC", "PCM_16"))
    assert read_sound(content).samples.tobytes() == read_sound(waves("FLAC", "PCM_16")).samples.tobytes()
    monkeypatch.setattr(sounds, "MAX_SOUND_SAMPLES", 20_000)
    assert "more than 20,000" in reason(content)


def test_hours_of_silence_are_refused_before_they_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    content = encode(np.zeros(4_000_000, np.int16), "FLAC")
    assert len(content) < 40_000
    assert size_of(content) == 8_000_000
    monkeypatch.setattr(sounds._Forward, "read", lambda *_, **__: pytest.fail("it was decoded"))
    monkeypatch.setattr(sounds, "MAX_SOUND_SAMPLES", 1_000_000)
    assert "4,000,000 samples are more than 1,000,000" in reason(content)
    monkeypatch.setattr(sounds, "MAX_SOUND_SECONDS", 60)
    assert "83 seconds are more than 60" in reason(content)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"fLaC", "it is FLAC, but damaged"),
        (b"OggS", "it is Ogg, cut off after 0 bytes"),
        (encode(np.zeros((100, 3), np.int16), "FLAC"), "it has 3 channels"),
        (b"", "the file is empty"),
        (b"ID3\x04xxxx", "it is MP3"),
    ],
)
def test_what_is_not_read_is_said(content: bytes, expected: str) -> None:
    assert expected in reason(content)
    assert size_of(content) >= len(content)


def test_a_folder_of_mixed_forms_is_read() -> None:
    data = DataContract(
        reader="audio_folder",
        classes=("yes", "no"),
        audio={"rate": 48_000, "seconds": 0.25},  # type: ignore[arg-type]
    )
    contents = {f"{'yes' if number % 2 else 'no'}/{number}.x": waves(*form) for number, form in enumerate(FORMS)} | {
        "no/9.wav": encode(WAVES, "WAV", "PCM_16"),
        "no/8.ogg": b"OggSjunk",
    }
    rows, reasons = read_all(read_audio, contents, data)
    assert [row["_file"] for row in rows] == [name for name in contents if name != "no/8.ogg"]
    assert [one.file for one in reasons] == ["no/8.ogg"]
    same = [row["_id"] for row in rows if row["_file"] in {"yes/1.x", "no/9.wav"}]
    assert same[0] == same[1]
