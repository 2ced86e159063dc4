"""The paired test: it finds what is better, is silent where nothing is, and says so in a sentence."""

from __future__ import annotations

import re

import numpy as np
import pytest
from numpy.typing import NDArray

from assets.evaluation.hits import hits
from assets.evaluation.intervals import paired_difference
from assets.tasks.compare import compare
from assets.tasks.task import load_task

CLASSES, NUMBERS = load_task("image_classification"), load_task("tabular_regression")


def _logits(rng: np.random.Generator, y: NDArray[np.int64], margin: float) -> NDArray[np.float32]:
    outputs = rng.normal(size=(len(y), 3))
    outputs[np.arange(len(y)), y] += margin
    return outputs.astype(np.float32)


def test_hits_are_compared_by_newcombes_interval() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 300)
    before, after = _logits(rng, y, 1), _logits(rng, y, 2)
    found = compare(CLASSES, "accuracy", before, after, y)
    assert found.gain == found.merit == paired_difference(hits(after, y), hits(before, y))
    assert (found.before, found.after) == (hits(before, y).mean(), hits(after, y).mean())
    assert re.fullmatch(
        r"better by \d+\.\d points of accuracy, 95 % \d+\.\d to \d+\.\d, on 300 records", found.sentence
    )


def test_equal_models_are_rarely_told_apart() -> None:
    rng, told = np.random.default_rng(1), 0
    for _ in range(60):
        y = rng.normal(0, 10, 120)
        before, after = ((y + rng.normal(0, 3, 120)).astype(np.float32)[:, None] for _ in range(2))
        found = compare(NUMBERS, "rmse", before, after, y)
        told += found.verdict != "undecided"
        if found.verdict == "undecided":
            assert found.sentence.startswith("no difference of rmse can be shown on 120 records (gain ")
    assert told <= 8  # 3 are expected


def test_an_error_that_shrinks_is_a_gain() -> None:
    rng = np.random.default_rng(2)
    y = rng.normal(0, 40, 400)
    before, after = ((y + rng.normal(0, spread, 400)).astype(np.float32)[:, None] for spread in (16, 12))
    for metric in ("rmse", "mae", "r2"):
        found = compare(NUMBERS, metric, before, after, y)
        assert found.verdict == "better"
        assert found.gain.low <= found.gain.value <= found.gain.high
    rmse = compare(NUMBERS, "rmse", after, before, y)
    assert rmse.verdict == "worse"
    assert rmse.gain.value == pytest.approx(rmse.before - rmse.after)
    assert re.fullmatch(r"worse by \d\.\d of rmse, 95 % \d\.\d\d? to \d\.\d, on 400 records", rmse.sentence)


def test_a_paired_test_is_sharper_than_two_intervals() -> None:
    rng = np.random.default_rng(3)
    y = rng.integers(0, 3, 500)
    before = _logits(rng, y, 0.8)
    after = before.copy()
    after[np.arange(500), y] += 0.05  # the same model, a little better everywhere
    found = compare(CLASSES, "log_loss", before, after, y)
    one = next(m for m in CLASSES.metrics.metrics("test", before, y, ("a", "b", "c")) if m.name == "log_loss")
    assert found.verdict == "better"
    assert one.low is not None
    assert one.low < found.after  # its own interval alone could not tell


def test_windows_of_one_unit_count_as_one() -> None:
    rng = np.random.default_rng(4)
    groups = np.repeat(np.arange(15), 30)
    y = rng.normal(0, 10, 450)
    of_unit = np.repeat(rng.normal(0, 2, 15), 30)
    before, after = (y + 3).astype(np.float32)[:, None], (y + 3 + of_unit).astype(np.float32)[:, None]
    alone, together = (compare(NUMBERS, "mae", before, after, y, groups=g) for g in (None, groups))
    assert together.gain.high - together.gain.low > 3 * (alone.gain.high - alone.gain.low)
    assert together.gain.value == alone.gain.value


def test_answers_on_other_records_are_refused() -> None:
    with pytest.raises(ValueError, match="same records"):
        compare(CLASSES, "accuracy", np.zeros((3, 2), "f4"), np.zeros((4, 2), "f4"), np.zeros(3, "i8"))
