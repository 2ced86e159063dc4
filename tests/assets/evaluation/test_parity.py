"""One verdict on two models' answers; what is not a number never passes."""

import numpy as np
import pytest
from numpy.typing import NDArray

from assets.evaluation.parity import ALL_LOST, LARGEST, Outputs, compare_answers

PARENT, CHILD = "a" * 64, "b" * 64
BEFORE = np.array([[0.0, 1.0], [2.0, 0.5]], np.float32)


def half(before: Outputs, after: Outputs) -> float:
    del before, after
    return 0.5


def test_what_was_lost_and_how_far_the_answers_are_apart() -> None:
    found = compare_answers(BEFORE, BEFORE + np.float32(0.25), half)
    assert (found.drop, found.difference, found.records, found.flaw) == (0.5, 0.25, 2, "")
    verdict = found.verdict("compile", "simulated", PARENT, CHILD, passed=True, note="why")
    assert (verdict.stage, verdict.kind, verdict.parent, verdict.child) == ("compile", "simulated", PARENT, CHILD)
    assert (verdict.passed, verdict.metric_drop, verdict.max_abs_diff, verdict.records) == (True, 0.5, 0.25, 2)
    assert verdict.note == "why"


def test_the_caller_says_what_passes() -> None:
    found = compare_answers(BEFORE, BEFORE, lambda before, after: 0.0)
    assert found.verdict("export", "measured", PARENT, CHILD, passed=False, note="why").passed is False


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("which", ["before", "after"])
def test_an_answer_that_is_no_number_fails_and_loses_everything(value: float, which: str) -> None:
    broken = BEFORE.copy()
    broken[1, 1] = value
    pair = (broken, BEFORE) if which == "before" else (BEFORE, broken)

    def never(before: NDArray[np.float32], after: NDArray[np.float32]) -> float:
        raise AssertionError("no metric is taken of what is no number")

    found = compare_answers(*pair, never)
    verdict = found.verdict("prune", "measured", PARENT, CHILD, passed=True, note="why")
    assert (verdict.passed, verdict.metric_drop, verdict.max_abs_diff) == (False, ALL_LOST, LARGEST)
    assert verdict.note == "an answer is NaN or infinite; why"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_metric_that_is_no_number_fails_and_loses_everything(value: float) -> None:
    found = compare_answers(BEFORE, BEFORE, lambda before, after: value)
    verdict = found.verdict("quantize", "measured", PARENT, CHILD, passed=True, note="why")
    assert (verdict.passed, verdict.metric_drop, verdict.max_abs_diff) == (False, ALL_LOST, 0.0)
    assert verdict.note == "the metric is NaN or infinite; why"


def test_answers_too_far_apart_for_a_number_fail() -> None:
    far = np.full_like(BEFORE, LARGEST)
    found = compare_answers(far, -far, lambda before, after: 0.0)
    verdict = found.verdict("export", "measured", PARENT, CHILD, passed=True, note="why")
    assert (verdict.passed, verdict.metric_drop, verdict.max_abs_diff) == (False, ALL_LOST, LARGEST)
    assert verdict.note == "the answers' difference is NaN or infinite; why"
