"""One file, one answer; any other file is refused by name."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from edge.contracts import AnswerSpec, InputSpec
from edge.errors import RejectedError
from edge.runtime import records
from edge.runtime.predict import (
    AnomalyAnswer,
    NumberAnswer,
    PictureAnswer,
    Prediction,
    answered,
    drawn_noise,
    predict,
    softmax,
)
from edge.runtime.signature import Signature

IMAGE = InputSpec("image", "input", (1, 2, 2), (0.0,), (1.0,))
TABLE = InputSpec("table", "x", (2,), (0.0, 0.0), (1.0, 1.0), ("a", "b"))
LABELS = ("low", "high")


class Compares:
    """Answers "high" where the sum of the inputs is above 1."""

    runtime, threads, signature = "fake 1", 1, Signature("x", (2,), "y", 2)

    def run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        total = batch.reshape(len(batch), -1).sum(axis=1)
        return np.stack([1 - total, total - 1], axis=1).astype(np.float32)


def written(tmp_path: Path, name: str, data: bytes | str) -> Path:
    path = tmp_path / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("a,b\n0.1,0.2\n", "low"),
        ("b,extra,a\r\n3,x,1\r\n", "high"),
        ("\ufeffa,b\n3,1\n\n", "high"),
        ('{"a": 1, "b": 3}', "high"),
        ('{"a": "0", "b": 0, "c": []}', "low"),
    ],
)
def test_a_row_is_answered(tmp_path: Path, text: str, label: str) -> None:
    answer = predict(Compares(), TABLE, LABELS, written(tmp_path, "row", text))
    assert isinstance(answer, Prediction)
    assert answer.label == label == next(iter(answer.probabilities))
    assert sum(answer.probabilities.values()) == pytest.approx(1)


def test_a_picture_is_answered(tmp_path: Path) -> None:
    Image.fromarray(np.full((9, 9), 255, np.uint8)).save(tmp_path / "white.png")
    answer = predict(Compares(), IMAGE, LABELS, tmp_path / "white.png")
    assert isinstance(answer, Prediction)
    assert answer.label == "high"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("a,b\n", "0 rows"),
        ("a,b\n1,2\n3,4\n", r"several records \(line 2, line 3, …\)"),
        ("a,b\n1\n", "line 2 has 1 cells"),
        ("a,a\n1,2\n", "named twice"),
        ("a,c\n1,2\n", "'b' is missing"),
        ("a,b\n1,x\n", "'x' is not a number"),
        ("a,b\n1,nan\n", "not a finite number"),
        ('a,b\n"1,2\n', "CSV"),
        ("[1, 2]", "not a JSON object"),
        ("{" * 100, "not a JSON object"),
        (b"\xff\xfe\x00", "not text"),
        (b"a,b\n" + b"1" * (5 * 1024 * 1024), "more than"),
    ],
    ids=lambda value: str(value)[:12],
)
def test_a_bad_row_is_refused_by_name(tmp_path: Path, text: str | bytes, reason: str) -> None:
    with pytest.raises(RejectedError, match=reason) as caught:
        predict(Compares(), TABLE, LABELS, written(tmp_path, "row.csv", text))
    assert "row.csv" in str(caught.value)


def test_a_bad_picture_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(RejectedError, match=r"page\.png: not a readable picture"):
        predict(Compares(), IMAGE, LABELS, written(tmp_path, "page.png", "<html>"))


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, reason in (("nothing", "No such file"), (".", "not a plain file"), ("pipe", "not a plain file")):
        with pytest.raises(RejectedError, match=reason):
            predict(Compares(), TABLE, LABELS, tmp_path / name)


def test_answers_that_fit_no_label_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RejectedError, match="2 outputs for 3 labels"):
        predict(Compares(), TABLE, ("a", "b", "c"), written(tmp_path, "r", '{"a": 1, "b": 2}'))


def test_softmax_does_not_overflow() -> None:
    np.testing.assert_allclose(softmax(np.asarray([1000, 0, -1000], np.float32)), [1, 0, 0], atol=1e-9)


SERIES = InputSpec("series", "x", (3, 2), (0.0, 0.0), (1.0, 1.0), ("a", "b"), {"b": ("off", "on")})
TEXT = InputSpec("text", "x", (6,), (), (), buckets=1000)
NOISE = InputSpec("noise", "x", (4,), (), ())


class Records:
    """Answers what it was told to, and keeps what it was asked."""

    runtime, threads, signature = "fake 1", 1, Signature("x", (1,), "y", 1)

    def __init__(self, answer: object) -> None:
        self.answer = np.asarray(answer, np.float32)
        self.asked: NDArray[np.generic] = np.empty(0)

    def run(self, batch: NDArray[np.generic]) -> NDArray[np.float32]:
        self.asked = batch
        return np.repeat(self.answer[np.newaxis], len(batch), axis=0)


def test_numbers_and_scores_are_answered(tmp_path: Path) -> None:
    row = written(tmp_path, "row", '{"a": 1, "b": 2}')
    assert predict(Records([41.5]), TABLE, (), row, AnswerSpec("number")) == NumberAnswer(41.5)
    found = predict(Records([0.75]), TABLE, ("ok", "bad"), row, AnswerSpec("anomaly", 0.5))
    assert found == AnomalyAnswer(0.75, 0.5)
    assert found.anomalous
    assert not AnomalyAnswer(0.5, 0.5).anomalous
    for answer in (AnswerSpec("number"), AnswerSpec("anomaly", 0.5)):
        with pytest.raises(RejectedError, match="2 outputs for one number"):
            predict(Records([1, 2]), TABLE, (), row, answer)
        with pytest.raises(RejectedError, match="NaN or infinity"):
            predict(Records([np.nan]), TABLE, (), row, answer)


def test_pictures_are_answered_as_png(tmp_path: Path) -> None:
    for channels in (1, 3):
        values = np.linspace(-0.5, 1.5, channels * 20).reshape(channels, 4, 5)
        found = answered(Records(values), drawn_noise(NOISE, 3), (), AnswerSpec("image"), "noise")
        assert isinstance(found, PictureAnswer)
        expected = np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)
        np.testing.assert_array_equal(found.pixels, expected)
        with Image.open(io.BytesIO(found.png())) as read:
            np.testing.assert_array_equal(np.asarray(read).reshape(4, 5, channels), expected)
    noise = written(tmp_path, "noise.json", "[0, 1.5, -2, 0.25]")
    session = Records(np.zeros((1, 2, 2)))
    predict(session, NOISE, (), noise, AnswerSpec("image"))
    np.testing.assert_array_equal(session.asked, [[0, 1.5, -2, 0.25]])
    with pytest.raises(RejectedError, match="no picture"):
        predict(Records(np.zeros((2, 2, 2))), NOISE, (), noise, AnswerSpec("image"))
    np.testing.assert_array_equal(drawn_noise(NOISE, 7), drawn_noise(NOISE, 7))


@pytest.mark.parametrize(
    "text",
    [
        "a,b\n9,on\n1,off\n2,on\n3,on\n",
        "b,a,other\r\noff,1,x\r\non,2,y\r\n\r\non,3,z\r\n",
        '[{"a": 1, "b": "off"}, {"a": 2, "b": "on"}, {"a": 3, "b": "on", "c": []}]',
        '[[1, "off"], [2, "on"], [3, "on"]]',
    ],
)
def test_the_last_rows_of_a_unit_are_answered(tmp_path: Path, text: str) -> None:
    session = Records([7])
    assert predict(session, SERIES, (), written(tmp_path, "s", text), AnswerSpec("number")) == NumberAnswer(7)
    np.testing.assert_array_equal(session.asked, [[[1, 0], [2, 1], [3, 1]]])


def test_a_text_is_answered(tmp_path: Path) -> None:
    session = Records([0, 1])
    found = predict(session, TEXT, LABELS, written(tmp_path, "m.txt", "\ufeffFree PRIZE!\r\n"))
    assert isinstance(found, Prediction)
    assert found.label == "high"
    assert session.asked.dtype == np.int64
    assert (session.asked > 0).sum() == 3


@pytest.mark.parametrize(
    ("spec", "text", "reason"),
    [
        (SERIES, "a,b\n", "1 to 100,000 rows, found 0"),
        (SERIES, "[]", "1 to 100,000 rows, found 0"),
        (SERIES, "a,b\n1,on\n2\n", "line 3 has 1 cells"),
        (SERIES, "a,b\n1,on\n2,up\n", "row 2: column 'b': 'up' is not one of off, on"),
        (SERIES, "[[1, 0, 2]]", "row 1: 3 values, not 2"),
        (SERIES, "[7]", "row 1: not a JSON object of columns, nor a list"),
        (SERIES, '[{"a": 1}]', "row 1: column 'b' is missing"),
        (SERIES, '[[1e999, "on"]]', "not a finite number"),
        (NOISE, "[1, 2]", "noise is 4 numbers"),
        (NOISE, '[1, 2, 3, "x"]', "something else"),
        (NOISE, "[[1, 2], [3, 4]]", "noise is 4 numbers"),
        (NOISE, "[1, [2], 3, 4]", "something else"),
        (NOISE, "[1, 2, 3, 1e12]", "noise is 4 numbers"),
        (NOISE, "[" * 100_000, "not a JSON list"),
        (TEXT, b"\xff\xfe", "not text in UTF-8"),
        (TEXT, " \n ", "empty"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_the_model_does_not_read_is_refused_by_name(
    tmp_path: Path, spec: InputSpec, text: str | bytes, reason: str
) -> None:
    with pytest.raises(RejectedError, match=reason) as caught:
        predict(Records([0]), spec, (), written(tmp_path, "input.dat", text), AnswerSpec("number"))
    assert "input.dat" in str(caught.value)


def test_a_long_series_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many = written(tmp_path, "many.json", json.dumps([[1, "on"]] * 100_001))
    with pytest.raises(RejectedError, match="found 100,001"):
        predict(Records([0]), SERIES, (), many, AnswerSpec("number"))
    monkeypatch.setattr(records, "MAX_SERIES_BYTES", 100)
    with pytest.raises(RejectedError, match="more than 100 bytes"):
        predict(Records([0]), SERIES, (), written(tmp_path, "big.csv", "a,b\n" + "1,on\n" * 30), AnswerSpec("number"))
