"""One file, one answer; any other file is refused by name."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from edge.contracts import InputSpec
from edge.errors import RejectedError
from edge.runtime.predict import predict, softmax
from edge.runtime.session import Signature

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
    assert answer.label == label == next(iter(answer.probabilities))
    assert sum(answer.probabilities.values()) == pytest.approx(1)


def test_a_picture_is_answered(tmp_path: Path) -> None:
    Image.fromarray(np.full((9, 9), 255, np.uint8)).save(tmp_path / "white.png")
    assert predict(Compares(), IMAGE, LABELS, tmp_path / "white.png").label == "high"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("a,b\n", "0 rows"),
        ("a,b\n1,2\n3,4\n", "2 rows"),
        ("a,b\n1\n", "line 2 has 1 cells"),
        ("a,a\n1,2\n", "named twice"),
        ("a,c\n1,2\n", "'b' is missing"),
        ("a,b\n1,x\n", "'x' is not a number"),
        ("a,b\n1,nan\n", "not a finite number"),
        ('a,b\n"1,2\n', "CSV"),
        ("[1, 2]", "not a JSON object"),
        ("{" * 100, "not a JSON object"),
        (b"\xff\xfe\x00", "not text"),
        (b"a" * (2 * 1024 * 1024), "more than"),
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
