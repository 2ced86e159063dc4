"""The golden self-test passes what answers as released, and fails everything else with a reason."""

from __future__ import annotations

import base64
import dataclasses
import io
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from PIL import Image

from edge.contracts import AnswerSpec, GoldenRecord, GoldenSet, InputSpec, from_bytes, to_bytes
from edge.errors import RejectedError
from edge.runtime.onnx import OnnxSession
from edge.runtime.preprocess import golden_tensor
from edge.runtime.selftest import self_test
from edge.runtime.signature import Signature
from tests.edge.onnx_models import CLASSES, SHAPE, conv_net

SPEC = InputSpec("image", "input", SHAPE, (0.5,), (0.5,))
SHA = "a" * 64


def picture(seed: int) -> str:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (8, 8), dtype=np.uint8)).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> OnnxSession:
    path = tmp_path_factory.mktemp("models") / "net.onnx"
    onnx.save(conv_net(), path)
    return OnnxSession(path)


@pytest.fixture(scope="module")
def golden(session: OnnxSession) -> GoldenSet:
    records = []
    for seed in range(40):  # more than one batch
        answer = session.run(golden_tensor(SPEC, picture(seed))[np.newaxis])[0]
        records.append(GoldenRecord(picture(seed), tuple(map(float, answer)), "0"))
    return GoldenSet(tuple(records), max_abs_diff=1e-3, min_agreement=1.0)


class Answers:
    """A session that answers what it is told."""

    runtime, threads, signature = "fake 1", 1, Signature("input", SHAPE, "logits", CLASSES)

    def __init__(self, value: float) -> None:
        self.value = value

    def run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.full((len(batch), CLASSES), self.value, np.float32)


class Fails(Answers):
    def run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        raise RejectedError("the plan fails when run")


def test_the_same_model_passes_and_is_timed(session: OnnxSession, golden: GoldenSet) -> None:
    outcome = self_test(session, golden, SPEC, SHA)
    assert outcome.passed
    assert (outcome.records, outcome.agreement, outcome.artifact) == (40, 1.0, SHA)
    assert outcome.max_abs_diff <= 1e-4
    assert outcome.latency is not None
    assert 0 < outcome.latency.median_ms <= outcome.latency.p95_ms
    assert (outcome.latency.batch, outcome.latency.threads) == (1, 1)
    assert outcome.latency.machine


def test_another_model_fails(tmp_path: Path, golden: GoldenSet) -> None:
    path = tmp_path / "other.onnx"
    onnx.save(conv_net(seed=1), path)
    outcome = self_test(OnnxSession(path), golden, SPEC, SHA)
    assert not outcome.passed
    assert "expected" in outcome.reason


def test_a_small_drift_of_the_outputs_fails(session: OnnxSession, golden: GoldenSet) -> None:
    first = golden.records[0]
    moved = dataclasses.replace(first, expected=(*first.expected[:-1], first.expected[-1] - 0.5))
    outcome = self_test(session, dataclasses.replace(golden, records=(moved, *golden.records[1:])), SPEC, SHA)
    assert not outcome.passed
    assert outcome.max_abs_diff == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_answers_that_are_no_numbers_fail(golden: GoldenSet, value: float) -> None:
    outcome = self_test(Answers(value), golden, SPEC, SHA)
    assert not outcome.passed
    assert "40 of 40" in outcome.reason
    assert np.isfinite(outcome.max_abs_diff)  # a report must be able to carry it


def test_another_label_fails_however_near_the_outputs_are(golden: GoldenSet) -> None:
    others = tuple(dataclasses.replace(record, expected=(0.9, 1.0, 1.0, 1.0)) for record in golden.records)
    outcome = self_test(Answers(1.0), dataclasses.replace(golden, records=others, max_abs_diff=1e9), SPEC, SHA)
    assert not outcome.passed
    assert outcome.agreement == 0.0
    assert "label" in outcome.reason


def test_an_empty_golden_set_proves_nothing(session: OnnxSession) -> None:
    outcome = self_test(session, GoldenSet((), 1.0, 0.0), SPEC, SHA)
    assert not outcome.passed
    assert "empty" in outcome.reason


def test_a_session_that_fails_is_an_outcome(golden: GoldenSet) -> None:
    assert self_test(Fails(0), golden, SPEC, SHA).reason == "the plan fails when run"


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"input": "!"}, "golden record 1: "), ({"expected": (1.0,)}, "golden record 1: expects 1 outputs")],
)
def test_a_broken_golden_record_is_named(
    session: OnnxSession, golden: GoldenSet, change: dict[str, object], reason: str
) -> None:
    broken = dataclasses.replace(golden.records[1], **change)  # type: ignore[arg-type]
    outcome = self_test(session, dataclasses.replace(golden, records=(golden.records[0], broken)), SPEC, SHA)
    assert not outcome.passed
    assert outcome.reason.startswith(reason)


def test_the_golden_set_survives_being_sent(session: OnnxSession, golden: GoldenSet) -> None:
    assert self_test(session, from_bytes(GoldenSet, to_bytes(golden)), SPEC, SHA).passed


def test_another_input_shape_is_an_outcome(session: OnnxSession, golden: GoldenSet) -> None:
    outcome = self_test(session, golden, dataclasses.replace(SPEC, shape=(1, 4, 4)), SHA)
    assert not outcome.passed
    assert "expected float32" in outcome.reason


class Sums:
    """Answers the sum of a row, a little off, in the shape that is asked for."""

    runtime, threads = "fake 1", 1

    def __init__(self, picture: tuple[int, ...] = (), off: float = 0.0) -> None:
        self.signature = Signature("x", (2,), "y", 1 if not picture else 4, picture)
        self.off = off

    def run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        sums = batch.sum(axis=1).reshape(-1, *[1] * len(self.signature.answer)) + self.off
        return np.broadcast_to(sums, (len(batch), *self.signature.answer)).astype(np.float32)


TABLE = InputSpec("table", "x", (2,), (0.0, 0.0), (1.0, 1.0), ("a", "b"))


@pytest.mark.parametrize(
    ("answer", "picture"),
    [(AnswerSpec("number"), ()), (AnswerSpec("anomaly", 0.5), ()), (AnswerSpec("image"), (1, 2, 2))],
)
def test_numbers_scores_and_pictures_agree_within_the_tolerance(answer: AnswerSpec, picture: tuple[int, ...]) -> None:
    count = 4 if picture else 1
    records = [GoldenRecord(f'{{"a": {at}, "b": 1}}', (at + 1.0,) * count, "") for at in range(9)]
    records.append(GoldenRecord('{"a": 9, "b": 1}', (90.0,) * count, ""))  # one in ten is answered otherwise
    golden = GoldenSet(tuple(records), max_abs_diff=0.1, min_agreement=0.9)
    outcome = self_test(Sums(picture, 0.05), golden, TABLE, SHA, answer)
    assert outcome.passed
    assert outcome.agreement == pytest.approx(0.9)
    assert outcome.max_abs_diff == pytest.approx(80, abs=0.1)
    worse = self_test(Sums(picture, 0.2), golden, TABLE, SHA, answer)
    assert not worse.passed
    assert "answered as expected" in worse.reason
    broken = self_test(Sums(picture, float("nan")), golden, TABLE, SHA, answer)
    assert "10 of 10" in broken.reason


def test_an_output_of_another_size_is_named() -> None:
    golden = GoldenSet((GoldenRecord('{"a": 1, "b": 1}', (2.0, 2.0), ""),), 0.1, 0.9)
    assert "expects 2 outputs" in self_test(Sums(), golden, TABLE, SHA, AnswerSpec("number")).reason
