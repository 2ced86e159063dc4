"""Ranges from calibration records: what each method keeps, in bounded memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from assets.compression.quantize import calibrations
from assets.compression.quantize.calibrate import BINS, Seen
from assets.errors import RejectedError
from tests.assets.foreign_models import foreign

METHODS: Any = ("minmax", "entropy", "percentile")


def seen(*parts: Any) -> Seen:
    found = Seen(spread=True)
    for part in parts:
        assert found.add(np.asarray(part, np.float32))
    return found


def test_minmax_is_what_was_seen_whatever_the_batches() -> None:
    model = foreign("resnet")
    whole = calibrations(model.model, [model.feeds], METHODS)
    parts = calibrations(model.model, ({"pixels": model.feeds["pixels"][at : at + 3]} for at in (0, 3, 6)), METHODS)
    assert whole["minmax"].records == parts["minmax"].records == 8
    pixels = model.feeds["pixels"]
    assert whole["minmax"].ranges["pixels"] == (pixels.min(), pixels.max())
    for name, (low, high) in whole["minmax"].ranges.items():
        assert parts["minmax"].ranges[name] == pytest.approx((low, high), rel=1e-5, abs=1e-6)
        for method in METHODS:
            least, most = whole[method].ranges[name]
            assert low <= least <= most <= high


def test_a_histogram_grows_by_doubling_and_keeps_every_count() -> None:
    random = np.random.default_rng(0)
    small, large = random.normal(size=5000), 1e6 * random.normal(size=5000)
    found = seen(small * 1e-6, small, large, np.zeros(7))
    assert found.counts is not None
    assert len(found.counts) == BINS
    assert found.counts.sum() + found.zeros == 15_007
    assert found.limit >= np.abs(large).max()


def test_percentiles_cut_rare_numbers_and_few_records_lose_none() -> None:
    random = np.random.default_rng(0)
    normal = random.normal(size=200_000)
    low, high = seen(normal, [1000.0]).range("percentile")
    true_low, true_high = np.quantile(normal, [5e-5, 1 - 5e-5])
    assert (low, high) == pytest.approx((true_low, true_high), abs=2 * 2 * 1000 / BINS)
    few = random.normal(size=100).astype(np.float32)
    assert seen(few).range("percentile") == (few.min(), few.max())


def test_entropy_cuts_tails_and_nothing_of_few_values() -> None:
    random = np.random.default_rng(0)
    normal = np.maximum(random.normal(size=50_000), 0)
    low, high = seen(normal, [60.0, 61.0]).range("entropy")
    assert low == 0
    assert 2.5 < high < 30
    digits = random.integers(0, 17, 4000) / 8 - 1  # a picture of 17 greys
    assert seen(digits).range("entropy") == (-1.0, 1.0)


@pytest.mark.parametrize("method", METHODS)
def test_empty_constant_and_zero_tensors_have_ranges(method: Any) -> None:
    assert seen(np.zeros((0, 4))).range(method) == (0.0, 0.0)
    assert seen(np.zeros(9)).range(method) == (0.0, 0.0)
    low, high = seen(np.full(9, 3.0)).range(method)
    assert low <= high == 3.0


def test_records_are_run_in_pieces_that_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib

    module = importlib.import_module("assets.compression.quantize.calibrate")
    monkeypatch.setattr(module, "MOST_BYTES", 1)
    model = foreign("gru")
    assert calibrations(model.model, [model.feeds], ["minmax"])["minmax"].records == 8


def test_other_methods_come_from_the_same_pass() -> None:
    model = foreign("lstm")  # int64 input
    found = calibrations(model.model, iter([model.feeds]), ["minmax", "entropy"])
    assert set(found) == {"minmax", "entropy"}
    assert found["entropy"].method == "entropy"


@pytest.mark.parametrize(
    ("batches", "why"),
    [
        ([], "at least one record"),
        ([{"pixels": np.zeros((0, 3, 32, 32), np.float32)}], "at least one record"),
        ([{"pixels": np.full((2, 3, 32, 32), np.nan, np.float32)}], "not finite"),
        ([{"image": np.zeros((2, 3, 32, 32), np.float32)}], "have no 'pixels'"),
        ([{"pixels": np.zeros((2, 3, 32), np.float32)}], "does not take the records"),
        ([{"pixels": np.zeros((2, 3, 32, 32), np.float64)}], "does not take the records"),
    ],
)
def test_records_without_ranges_are_refused(batches: Any, why: str) -> None:
    with pytest.raises(RejectedError, match=why):
        calibrations(foreign("resnet").model, batches, METHODS)
