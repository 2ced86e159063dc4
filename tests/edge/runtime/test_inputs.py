"""Series, texts and noise to tensors: the sound ones exactly, every other one refused, in bounded time."""

from __future__ import annotations

import json
import subprocess
import sys
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.contracts import InputSpec
from edge.errors import RejectedError
from edge.runtime.inputs.words import MAX_TEXT_CHARS, text_tensor, words
from edge.runtime.preprocess import golden_tensor, input_type, record_tensor

SERIES = InputSpec("series", "x", (3, 2), (1.0, 0.0), (2.0, 1.0), ("a", "b"))
TEXT = InputSpec("text", "x", (12,), (), (), buckets=97)
BYTES = InputSpec("text", "x", (12,), (), (), buckets=256, unit="byte")
NOISE = InputSpec("noise", "x", (2,), (), ())


def packed(*values: float) -> bytes:
    return np.asarray(values, dtype="<f8").tobytes()


def test_a_stored_window_is_normalized_by_column() -> None:
    tensor = record_tensor(SERIES, packed(1, 10, 3, 20, 5, 30))
    assert tensor.dtype == np.float32
    np.testing.assert_array_equal(tensor, [[0, 10], [1, 20], [2, 30]])


def test_of_more_rows_the_last_count_and_of_fewer_the_first_is_repeated() -> None:
    more = record_tensor(SERIES, packed(99, 99, 1, 10, 3, 20, 5, 30))
    np.testing.assert_array_equal(more, record_tensor(SERIES, packed(1, 10, 3, 20, 5, 30)))
    fewer = record_tensor(SERIES, packed(3, 20, 5, 30))
    np.testing.assert_array_equal(fewer, [[1, 20], [1, 20], [2, 30]])


def test_golden_windows_texts_and_noise_are_read_as_records_are() -> None:
    rows = [[1.5, 10.25], [3.1, 20.0], [5.0, -3e-7]]
    golden = golden_tensor(SERIES, json.dumps([{"a": a, "b": b} for a, b in rows]))
    np.testing.assert_array_equal(golden, record_tensor(SERIES, packed(*rows[0], *rows[1], *rows[2])))
    np.testing.assert_array_equal(golden, golden_tensor(SERIES, json.dumps(rows)))
    text = "Grüße, WORLD 2026 — 日本語!"
    np.testing.assert_array_equal(golden_tensor(TEXT, text), record_tensor(TEXT, text.encode()))
    np.testing.assert_array_equal(golden_tensor(NOISE, "[0.5, -1]"), record_tensor(NOISE, packed(0.5, -1)))
    assert [input_type(spec) for spec in (SERIES, TEXT, NOISE)] == [np.float32, np.int64, np.float32]


@pytest.mark.parametrize(
    ("spec", "data", "reason"),
    [
        (SERIES, b"", "found 0 bytes"),
        (SERIES, b"\0" * 15, "found 15 bytes"),
        (SERIES, packed(1, 2, 3, float("nan")), "row 2: column 'b': not a finite number"),
        (SERIES, packed(1, 2, float("inf"), 4, 5, 6), "row 2: column 'a': not a finite number"),
        (SERIES, b"\0" * (16 * 100_001), "at most 100,000"),
        (NOISE, packed(1), "found 8"),
        (NOISE, packed(1, float("nan")), "noise is 2 numbers"),
        (TEXT, b"ok \xff", "byte 3"),
        (TEXT, b"a" * (MAX_TEXT_CHARS + 1), "at most 1,000,000"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_other_bytes_are_refused_with_the_place(spec: InputSpec, data: bytes, reason: str) -> None:
    with pytest.raises(RejectedError, match=reason):
        record_tensor(spec, data)


@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=12).filter(lambda x: not len(x) % 2)
)
def test_any_finite_window_gives_finite_inputs(values: list[float]) -> None:
    tensor = record_tensor(SERIES, packed(*values))
    assert tensor.shape == (3, 2)
    assert np.isfinite(tensor).all()


def test_tokens_are_words_shapes_of_numbers_and_single_marks() -> None:
    assert list(words("Hello, WORLD!! call 0800-555 now")) == [
        "hello", ",", "world", "!", "!", "call", "0000", "-", "000", "now",
    ]  # fmt: skip
    assert list(words("\uff26\uff55\uff4c\uff4c\u3000\ufb01ne STRASSE Straße")) == [
        "full",
        "fine",
        "strasse",
        "strasse",
    ]
    assert list(words("日本語 ひらがな")) == [*"日本語", *"ひらがな"]
    assert list(words("नमस्ते दुनिया")) == ["नमस्ते", "दुनिया"]  # vowel signs stay with their letters
    assert list(words("fr\u200bee\u00ad e\u0301 \u00e9")) == ["free", "é", "é"]  # invisible ones hide no word
    assert list(words("9" * 50)) == ["0" * 16]
    assert list(words(" \t\n\u3000")) == []


def test_a_token_is_its_hash_and_the_rest_is_padding() -> None:
    numbers = text_tensor(TEXT, "spam spam egg")
    spam, egg = (zlib.crc32(word) % 97 + 1 for word in (b"spam", b"egg"))
    np.testing.assert_array_equal(numbers, [spam, spam, egg, *[0] * 9])
    np.testing.assert_array_equal(text_tensor(BYTES, "aé"), [98, 0xC3 + 1, 0xA9 + 1, *[0] * 9])
    assert (text_tensor(TEXT, "a b " * 50) > 0).all()


@given(st.text(st.characters(), max_size=200))
def test_any_text_gives_the_same_numbers_within_bounds(text: str) -> None:
    for spec in (TEXT, BYTES):
        numbers = text_tensor(spec, text)
        assert numbers.shape == (12,)
        assert numbers.dtype == np.int64
        assert 0 <= numbers.min() <= numbers.max() <= spec.buckets
        used = int((numbers > 0).sum())
        assert not numbers[used:].any()  # padding is at the end only
        np.testing.assert_array_equal(numbers, text_tensor(spec, text))
    np.testing.assert_array_equal(text_tensor(TEXT, text), text_tensor(TEXT, f" {text}\n"))
    assert all(words(text))


def test_tokens_do_not_depend_on_the_process() -> None:
    code = """
from edge.runtime.inputs.words import InputSpec, text_tensor
print(text_tensor(InputSpec("text", "x", (5,), (), (), buckets=997), "to be or NOT to"))
"""
    found = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, check=True, env={"PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1


@pytest.mark.timeout(60)  # what grows with the square of the length takes hours
@pytest.mark.parametrize(
    "text",
    [
        "\u0301\u0316" * 400_000,  # marks whose order Unicode sorts: quadratic in one run
        "\ufdfa" * 500_000,  # 18 characters each in NFKC
        "a" * MAX_TEXT_CHARS,
        " " * MAX_TEXT_CHARS,
        "\u200b" * MAX_TEXT_CHARS,
        "!" * MAX_TEXT_CHARS,
        "\U0001f469\u200d" * 400_000,
    ],
    ids=["marks", "ligature", "letters", "blanks", "invisible", "marks2", "emoji"],
)
def test_hostile_texts_are_read_without_growing(text: str) -> None:
    numbers = text_tensor(InputSpec("text", "x", (4096,), (), (), buckets=16), text)
    assert numbers.max() <= 16
