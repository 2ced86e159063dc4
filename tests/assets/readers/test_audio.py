"""The reader of sounds: WAV walked chunk by chunk, whatever its header says."""

from __future__ import annotations

import hashlib
import io
import struct
import tracemalloc
import wave
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from assets.errors import RejectedError
from assets.line.data import DataContract
from assets.readers import wav as wav_reader
from assets.readers.audio import read_audio, record_of, sound_id
from assets.readers.audio_features import sound_embedding, sound_facts
from assets.readers.wav import Sound, read_wav
from tests.assets.readers.rows_of_readers import SHARED, needs_shared, read_all

DATA = DataContract(
    reader="audio_folder",
    classes=("yes", "no"),
    aliases={"ja": "yes"},
    audio={"rate": 8000, "seconds": 1},  # type: ignore[arg-type]
)
TONE: NDArray[np.float64] = 0.5 * np.sin(np.arange(8000) * 0.3) * np.linspace(0.1, 1, 8000)


def chunk(name: bytes, data: bytes, size: int | None = None) -> bytes:
    return name + struct.pack("<I", len(data) if size is None else size) + data + b"\0" * (len(data) % 2)


def form(code: int = 1, channels: int = 1, rate: int = 8000, bits: int = 16, align: int | None = None) -> bytes:
    width = channels * bits // 8 if align is None else align
    return chunk(b"fmt ", struct.pack("<HHIIHH", code, channels, rate, rate * width, width, bits))


def riff(*chunks: bytes, size: int | None = None) -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body) if size is None else size) + body


def wav(samples: NDArray[np.float64], bits: int = 16, *, floating: bool = False, rate: int = 8000) -> bytes:
    """A WAV of (samples,) or (samples, channels) values from -1 to 1."""
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    if floating:
        data = samples.astype(f"<f{bits // 8}").tobytes()
    elif bits == 8:
        data = np.clip(np.rint(samples * 128) + 128, 0, 255).astype(np.uint8).tobytes()
    else:
        whole = np.clip(np.rint(samples * 2.0 ** (bits - 1)), -(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1)
        raw = whole.astype("<i8").reshape(-1, 1).view(np.uint8).reshape(-1, 8)
        data = raw[:, : bits // 8].tobytes()
    return riff(form(3 if floating else 1, channels, rate, bits), chunk(b"data", data))


@pytest.mark.parametrize(
    ("bits", "floating"), [(8, False), (16, False), (24, False), (32, False), (32, True), (64, True)]
)
def test_samples_come_back(bits: int, floating: bool) -> None:
    for samples in (TONE, np.stack([TONE, -TONE], axis=1)):
        sound = read_wav(wav(samples, bits, floating=floating))
        expected = samples.reshape(len(samples), -1)
        assert (sound.rate, sound.bits, sound.samples.shape) == (8000, bits, expected.shape)
        assert np.abs(sound.samples - expected).max() <= 2.0 ** (1 - min(bits, 24))


def test_more_bits_keep_the_id() -> None:
    coarse = np.rint(TONE * 2**15) / 2**15
    ids = {
        sound_id(read_wav(wav(coarse, bits, floating=floating)))
        for bits, floating in ((16, False), (24, False), (32, False), (32, True))
    }
    assert len(ids) == 1
    assert sound_id(read_wav(wav(coarse, rate=16000))) not in ids
    assert sound_id(read_wav(wav(np.stack([coarse[::2], coarse[1::2]], axis=1)))) not in ids


def test_what_python_writes_is_read() -> None:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(44100)
        file.writeframes(np.arange(200, dtype="<i2").tobytes())
    sound = read_wav(buffer.getvalue())
    assert (sound.samples * 2**15).reshape(-1).tolist() == list(range(200))


def test_other_parts_are_stepped_over() -> None:
    data = chunk(b"data", bytes(20))
    extensible = struct.pack("<HHIIHHHHI", 0xFFFE, 1, 8000, 16000, 2, 16, 22, 16, 4) + b"\x01\0" + wav_reader._GUID_END
    for content in (
        riff(chunk(b"LIST", b"odd"), form(), chunk(b"fact", bytes(4)), data, chunk(b"id3 ", b"x")),
        riff(chunk(b"fmt ", extensible), data),
        riff(form(), data) + b"left over",
    ):
        assert read_wav(content).samples.shape == (10, 1)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "the file is empty"),
        (b"ID3\x04xxxx", "it is MP3; export it as WAV"),
        (b"RF64\xff\xff\xff\xffWAVE", "it is RF64"),
        (b"<html>", "its bytes are no WAV"),
        (b"RIFF\0\0\0\0AVI ", "its bytes are no WAV"),
        (riff(), "it has no sound in it"),
        (riff(form()), "it has no sound in it"),
        (riff(chunk(b"data", bytes(4)), form()), "its sound comes before its format"),
        (riff(form(), chunk(b"data", b"")), "it holds no sound"),
        (riff(form(), chunk(b"data", bytes(4), 2**32 - 1)), "promises 4,294,967,295 bytes of sound, 4 are there"),
        (riff(form(), chunk(b"data", bytes(100)))[:-50], "promises 100 bytes of sound, 50 are there"),
        (riff(chunk(b"LIST", b"", 10**9), form()), "its part b'LIST' is cut off"),
        (riff(chunk(b"fmt ", bytes(8)), chunk(b"data", bytes(4))), "its format is cut off"),
        (riff(form(2), chunk(b"data", bytes(4))), "its sound is packed (format 2)"),
        (riff(form(85), chunk(b"data", bytes(4))), "its sound is packed (format 85)"),
        (
            riff(chunk(b"fmt ", struct.pack("<HHIIHH", 0xFFFE, 1, 8000, 1, 2, 16)), b""),
            "its format is of no known kind",
        ),
        (riff(form(bits=12), chunk(b"data", bytes(4))), "samples of 12 bits"),
        (riff(form(channels=6), chunk(b"data", bytes(24))), "it has 6 channels; mix it down"),
        (riff(form(channels=0, align=2), chunk(b"data", bytes(4))), "it has 0 channels"),
        (riff(form(rate=0), chunk(b"data", bytes(4))), "0 samples per second"),
        (riff(form(rate=2**30), chunk(b"data", bytes(4))), "samples per second make no sense"),
        (riff(form(align=7), chunk(b"data", bytes(14))), "its format contradicts itself"),
        (riff(form(), chunk(b"data", bytes(3))), "no whole number of samples"),
        (riff(form(3, bits=32), chunk(b"data", struct.pack("<f", float("nan")))), "are not numbers"),
        (riff(form(3, bits=64), chunk(b"data", struct.pack("<d", 1e300))), "are not numbers"),
        (riff(form(rate=1, bits=8), chunk(b"data", bytes(4000))), "4,000 seconds are more than 3,600"),
        (riff(*[chunk(b"LIST", b"")] * 1500, form()), "it has no sound in it"),
    ],
)
def test_what_is_no_sound_is_refused(content: bytes, expected: str) -> None:
    with pytest.raises(RejectedError) as caught:
        read_wav(content)
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("data_size", "whole"),
    [(0xFFFFFFFF, 0xFFFFFFFF), (0x7FFFFFDB, 0x7FFFFFFF), (0x80000000, 0x80000024), (0, 0), (0, 36), (0, 28)],
)
def test_a_recording_through_a_pipe_is_read_to_its_end(data_size: int, whole: int) -> None:
    usual = wav(TONE)
    piped = riff(form(), chunk(b"data", usual[44:], data_size), size=whole)
    np.testing.assert_array_equal(read_wav(piped).samples, read_wav(usual).samples)
    with pytest.raises(RejectedError, match="it holds no sound"):
        read_wav(riff(form(), chunk(b"data", b"", 0), size=whole))


def test_a_header_that_lies_costs_no_memory() -> None:
    content = riff(form(), chunk(b"data", bytes(8), 2**31))
    tracemalloc.start()
    with pytest.raises(RejectedError):
        read_wav(content)
    assert tracemalloc.get_traced_memory()[1] < 1e6
    tracemalloc.stop()


def test_facts_say_what_is_heard() -> None:
    samples = np.array([[1.0, 0.0], [-1.0, 0.0], [0.5, 0.0], [0.0, 0.0]], dtype=np.float32)
    assert sound_facts(Sound(8, 16, samples)) == {
        "rate": 8.0,
        "channels": 2.0,
        "seconds": 0.5,
        "loudness": pytest.approx(10 * np.log10(2.25 / 8)),
        "peak": 1.0,
        "clipped": 0.25,
        "silent": 0.625,
    }
    silence = Sound(8000, 16, np.zeros((8000, 1), dtype=np.float32))
    assert sound_facts(silence)["loudness"] == -100.0
    assert sound_embedding(silence) is None


def test_clipping_is_seen_in_every_format() -> None:
    loud = np.clip(TONE * 8, -1, 1)
    for bits, floating in ((8, False), (16, False), (24, False), (32, False), (32, True)):
        assert 0.3 < sound_facts(read_wav(wav(loud, bits, floating=floating)))["clipped"] < 0.9
        assert sound_facts(read_wav(wav(TONE, bits, floating=floating)))["clipped"] == 0


def test_a_louder_or_later_copy_lies_near() -> None:
    chance = np.random.default_rng(0)
    noise = np.convolve(chance.normal(size=8000), np.ones(8) / 8, "same") * np.hanning(8000) * 0.3

    def vector(samples: NDArray[np.float64]) -> NDArray[np.float32]:
        found = sound_embedding(read_wav(wav(samples)))
        assert found is not None
        assert found.shape == (128,)
        assert np.linalg.norm(found) == pytest.approx(1, abs=1e-5)
        return found

    original = vector(noise)
    assert original @ vector(noise / 2) > 0.99
    assert original @ vector(np.concatenate([np.zeros(1600), noise])) > 0.9
    assert original @ vector(TONE) < 0.9


def test_very_short_and_odd_sounds_have_facts() -> None:
    for rate in (1, 7, 8000, 192_000):
        for count in (1, 2, 100):
            sound = read_wav(wav(TONE[:count], rate=rate))
            assert sound_facts(sound)["seconds"] == count / rate
            vector = sound_embedding(sound)
            assert vector is None or np.isfinite(vector).all()


def test_folders_declare_class_and_split() -> None:
    good = wav(TONE)
    contents = {"train/ja/1.wav": good, "no/2.bin": good, "no/3.wav": b"x", "4.wav": good, "x/y/5.wav": good}
    rows, reasons = read_all(read_audio, contents, DATA)
    assert [(row["_split"], row["_label"], row["_file"]) for row in rows] == [
        ("train", "yes", "train/ja/1.wav"),
        ("", "no", "no/2.bin"),
    ]
    assert rows[0]["_input"] == good
    assert rows[0]["seconds"] == 1.0
    assert len(rows[0]["_embedding"]) == 128
    assert [reason.file for reason in reasons] == ["no/3.wav", "4.wav", "x/y/5.wav"]
    assert "put sounds in" in reasons[1].remedy


def test_a_stored_sound_becomes_a_record_again() -> None:
    content = wav(TONE)
    record = record_of(content, "ja", "test", "r#1", "g", None, DATA)
    assert (record.label, record.split, record.group, record.input) == ("yes", "test", "g", content)
    samples = read_wav(content).samples
    assert record.id == hashlib.sha256(b"8000x1\0" + samples.astype("<f4").tobytes()).hexdigest()
    with pytest.raises(RejectedError):
        record_of(b"x", "yes", "", "r#1", "", None, DATA)


@settings(max_examples=200, deadline=None)
@given(
    changes=st.lists(st.tuples(st.integers(0, 59), st.binary(min_size=1, max_size=4)), max_size=4),
    cut=st.integers(0, 60),
    head=st.booleans(),
)
def test_any_bytes_are_sounds_or_refusals(changes: list[tuple[int, bytes]], cut: int, head: bool) -> None:
    content = bytearray(wav(TONE[:8]) if head else b"")
    for at, data in changes:
        content[at : at + len(data)] = data
    try:
        record = record_of(bytes(content[: len(content) - cut]), "yes", "", "x.wav", "", None, DATA)
    except RejectedError as error:
        assert "; " in str(error)
        return
    facts: dict[str, Any] = dict(record.facts)
    assert all(np.isfinite(value) for value in facts.values())


@needs_shared
def test_the_real_words() -> None:
    folder = SHARED / "speech-commands"
    contents = {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.glob("*/*/*.wav"))}
    rows, reasons = read_all(read_audio, contents, DATA)
    assert (len(rows), reasons) == (120, [])
    assert {(row["rate"], row["channels"], row["seconds"]) for row in rows} == {(16000.0, 1.0, 1.0)}
    vectors = np.array([row["_embedding"] for row in rows])
    near = vectors @ vectors.T
    np.fill_diagonal(near, -1)
    labels = np.array([row["_label"] for row in rows])
    assert (labels[near.argmax(axis=1)] == labels).mean() > 0.5  # of six classes
