"""What two lines are judged by beside their own metrics: the last cycle of test engines, and a judge of made digits."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from assets.evaluation.answers import answers, logits, open_session
from assets.line.config import parse_line
from assets.loading.held_out import open_held_out
from assets.records.dataset import DatasetVersion
from assets.records.line_store import BoundLine, bind
from assets.storage.store import Store
from assets.tasks.task import load_task
from assets.training.documents import TrainedModel
from assets.training.train import train
from tests.benchmarks.train.asked import CONFIDENCE, JUDGE_ACCURACY, LEAST_SHARE, MOST_SHARE, Row

SAMPLES = 10_000
BATCH = 500


def engines(line: BoundLine, dataset: DatasetVersion, model: TrainedModel, target: float) -> Iterator[Row]:
    """RMSE on the last window of each test engine: true and predicted life capped, and both as they are.

    The cap is the usual one of FD001 (Heimes 2008, PHM): early in its life nothing tells how long an engine will live.
    """
    cap = line.config.features.cap
    assert cap is not None
    uncapped = line.config.model_copy(update={"features": line.config.features.model_copy(update={"cap": None})})
    test = open_held_out(line.store, dataset, "test", model.input, line.config)
    truth = np.asarray(open_held_out(line.store, dataset, "test", model.input, uncapped).y, np.float64)
    outputs = answers(open_session(line.store.fetch(model.onnx)), test)
    for name, predicted, true, asked in (
        (f"rmse, both capped at {cap:g}", np.minimum(outputs, cap), np.minimum(truth, cap), target),
        ("rmse, neither capped", outputs, truth, None),
    ):
        found = load_task("series_regression").metrics.metrics("test", predicted.astype(np.float32), true, ())
        (one,) = (metric for metric in found if metric.name == "rmse")
        yield Row(line.name, name, one.value, None, None, None, one.low, one.high, asked, "lower", one.records)


class DigitJudge:
    """A classifier of real MNIST, trained here, that says what generated pictures show and how sure it is."""

    def __init__(self, line: BoundLine, dataset: DatasetVersion) -> None:
        began = time.monotonic()
        attributes = {
            "data": line.config.data.model_dump(mode="json", exclude_unset=True),
            "model": {"family": "cnn", "width": 32, "depth": 4},
            "training": {"epochs": 3, "batch_size": 128, "learning_rate": 0.004, "channels_last": True},
        }
        judge = parse_line(f"{line.name}-judge", attributes, "the benchmark")
        model = train(bind(line.store, judge), dataset, lambda text: None)
        self._session, self._spec = open_session(line.store.fetch(model.onnx)), model.input
        accuracy = model.evidence.metric("accuracy", "test")
        minutes = (time.monotonic() - began) / 60
        self.row = Row(
            line=line.name,
            metric="judge's accuracy on real test pictures",
            value=accuracy.value,
            train_minutes=minutes,
            low=accuracy.low,
            high=accuracy.high,
            target=JUDGE_ACCURACY,
            records=accuracy.records,
        )

    def look(self, store: Store, model: TrainedModel, seed: int) -> Iterator[Row]:
        """What the judge sees in 10,000 pictures that the exported generator makes."""
        generator, draw = open_session(store.fetch(model.onnx)), np.random.default_rng(seed)
        shares = np.zeros(10)
        sure: list[NDArray[np.float64]] = []
        for _ in range(0, SAMPLES, BATCH):
            noise = draw.standard_normal((BATCH, *model.input.shape), dtype=np.float32)
            likely = _softmax(logits(self._session, self._normalized(logits(generator, noise))))
            sure.append(likely.max(axis=1))
            shares += np.bincount(likely.argmax(axis=1), minlength=10) / SAMPLES
        for name, value, target, better in (
            ("mean top-class confidence", float(np.concatenate(sure).mean()), CONFIDENCE, "higher"),
            ("share of the rarest class", float(shares.min()), LEAST_SHARE, "higher"),
            ("share of the most common class", float(shares.max()), MOST_SHARE, "lower"),
        ):
            yield Row(model.line, name, value, target=target, better=better, records=SAMPLES)

    def _normalized(self, pictures: NDArray[np.float32]) -> NDArray[np.float32]:
        mean = np.array(self._spec.mean, np.float32).reshape(1, -1, 1, 1)
        std = np.array(self._spec.std, np.float32).reshape(1, -1, 1, 1)
        return ((pictures - mean) / std).astype(np.float32)


def _softmax(values: NDArray[np.float32]) -> NDArray[np.float64]:
    powers = np.exp(values.astype(np.float64) - values.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
