"""Wrong labels planted in real sets: most are found, few right ones are suspected."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_digits

from assets.line.data import AudioData, DataContract, ImageData, TableData, TextData
from assets.quality.checks.label_suspects import find_label_suspects
from assets.readers.pictures import measure_stack

SHARED = Path(__file__).parents[5] / "shared/data"
TEN = tuple(f"k{place}" for place in range(10))
PICTURES = DataContract(reader="image_folder", classes=TEN, image=ImageData(height=8, width=8, channels=1))


def _plant(labels: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """2 % of labels replaced by another class, and which."""
    draw = np.random.default_rng(0)
    wrong = draw.choice(len(labels), len(labels) // 50, replace=False)
    planted = labels.copy()
    planted[wrong] = (planted[wrong] + draw.integers(1, classes, len(wrong))) % classes
    return planted, np.isin(np.arange(len(labels)), wrong)


def _shares(found: Any, wrong: np.ndarray) -> tuple[float, float]:
    """Share of the wrong labels that were found, and share of all records that are suspected falsely."""
    suspected = np.array([label is not None for label in found.columns["_suspect"]])
    assert sum(finding.row >= 0 for finding in found.findings) == suspected.sum()
    return float((suspected & wrong).sum() / wrong.sum()), float((suspected & ~wrong).sum() / len(wrong))


def test_digits(make_spool: Any) -> None:
    data = load_digits()
    labels, wrong = _plant(data.target, 10)
    points = measure_stack((data.images * 15.9).astype(np.uint8)[..., None]).embedding
    spool = make_spool(len(labels), label=[TEN[label] for label in labels], embedding=list(points))
    found = find_label_suspects(spool, PICTURES)
    right, false = _shares(found, wrong)
    assert right >= 0.9
    assert false <= 0.005
    suggested = found.columns["_suspect"][wrong]
    assert np.mean([label == TEN[true] for label, true in zip(suggested, data.target[wrong], strict=True)]) >= 0.85
    assert list(find_label_suspects(spool, PICTURES).columns["_suspect"]) == list(found.columns["_suspect"])


def test_mnist(make_spool: Any) -> None:
    folder = SHARED / "mnist"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not here")
    raw = gzip.decompress((folder / "t10k-images-idx3-ubyte.gz").read_bytes())
    pixels = np.frombuffer(raw, dtype=np.uint8, offset=16).reshape(-1, 28, 28, 1)[5000:8000]
    raw = gzip.decompress((folder / "t10k-labels-idx1-ubyte.gz").read_bytes())
    labels, wrong = _plant(np.frombuffer(raw, dtype=np.uint8, offset=8)[5000:8000].astype(int), 10)
    spool = make_spool(3000, label=[TEN[label] for label in labels], embedding=list(measure_stack(pixels).embedding))
    right, false = _shares(find_label_suspects(spool, PICTURES), wrong)
    assert right >= 0.8
    assert false <= 0.02


def test_messages(make_spool: Any) -> None:
    path = SHARED / "text/sms-spam/sms_spam.csv"
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    with path.open(encoding="utf-8") as file:
        rows = list({row["text"]: row["label"] for row in csv.DictReader(file)}.items())
    labels, wrong = _plant(np.array([int(label == "spam") for _, label in rows]), 2)
    contract = DataContract(reader="text", classes=("ham", "spam"), text=TextData())
    spool = make_spool(
        len(rows), label=[("ham", "spam")[label] for label in labels], facts={"text": [text for text, _ in rows]}
    )
    right, false = _shares(find_label_suspects(spool, contract), wrong)
    assert right >= 0.85
    assert false <= 0.01


def test_a_table(make_spool: Any) -> None:
    data = load_breast_cancer()
    labels, wrong = _plant(data.target, 2)
    facts = {f"c{place}": data.data[:, place] for place in range(30)}
    contract = DataContract(reader="table", classes=("a", "b"), table=TableData(columns=tuple(facts), target="y"))
    spool = make_spool(len(labels), label=["ab"[label] for label in labels], facts=facts)
    right, false = _shares(find_label_suspects(spool, contract), wrong)
    assert right >= 0.5
    assert false <= 0.02


def test_labels_that_nothing_predicts_are_not_doubted(make_spool: Any) -> None:
    draw = np.random.default_rng(0)
    points = draw.normal(size=(500, 8)).astype(np.float32)
    for share in (0.5, 0.03):
        labels = ["k1" if draw.random() < share else "k0" for _ in range(500)]
        found = find_label_suspects(make_spool(500, label=labels, embedding=list(points)), PICTURES)
        assert not found.columns["_suspect"].astype(bool).any()
        (note,) = found.findings
        assert note.row == -1
        assert "not checked" in note.detail


def test_records_beyond_the_sample_are_judged_too(make_spool: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from assets.quality.checks import label_suspects as module

    draw = np.random.default_rng(0)
    truth = draw.integers(0, 2, 900)
    points = (draw.normal(0, 0.3, (900, 4)) + truth[:, None] * 3).astype(np.float32)
    given, wrong = _plant(truth, 2)
    spool = make_spool(900, label=[TEN[label] for label in given], embedding=list(points))
    monkeypatch.setattr(module, "SAMPLE", 300)
    right, false = _shares(find_label_suspects(spool, PICTURES), wrong)
    assert right >= 0.9
    assert false <= 0.003
    monkeypatch.setattr(module, "MOST_JUDGED", 600)
    found = find_label_suspects(spool, PICTURES)
    assert 0.4 < found.columns["_suspect"].astype(bool)[wrong].mean() < 1
    assert "600 of 900" in found.findings[-1].detail


@pytest.mark.parametrize("rows", [0, 1, 100])
def test_odd_batches(make_spool: Any, rows: int) -> None:
    sound = DataContract(reader="audio_folder", classes=("a", "b"), audio=AudioData(rate=8000, seconds=1))
    text = DataContract(reader="text", classes=("a", "b"), text=TextData())
    number = DataContract(reader="table", table=TableData(columns=("c",), target="y"))
    for labels in (["a"] * rows, ["?"] * rows, [""] * rows, ["a", "b"] * (rows // 2) + ["a"] * (rows % 2)):
        for contract, facts in ((sound, {}), (text, {"text": [" ", "x"] * (rows // 2) + [""] * (rows % 2)})):
            spool = make_spool(rows, label=labels, facts=facts, embedding=[None] * rows)
            found = find_label_suspects(spool, contract)
            assert list(found.columns["_suspect"]) == [None] * rows
            assert all(finding.row == -1 for finding in found.findings)
        spool = make_spool(rows, label=["1.5"] * rows, facts={"c": [1.0] * rows})
        assert not find_label_suspects(spool, number).findings
