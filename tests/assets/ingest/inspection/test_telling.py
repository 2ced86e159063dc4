"""Columns that say the answer are no inputs; what may be an honest strong input is asked about."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.ingest.inspection.telling import Telling, telling_columns


def tell(pairs: list[tuple[object, object]], *, regression: bool = False) -> Telling:
    rows = [(str(cell), str(label)) for cell, label in pairs]
    return telling_columns(("a", "kind"), rows, ["a"], "kind", regression)


def labels(count: int, classes: str, seed: int = 0) -> list[str]:
    random = Random(seed)
    return [random.choice(classes) for _ in range(count)]


@settings(max_examples=40)
@given(st.integers(2, 6), st.permutations(range(6)), st.integers(0, 99))
def test_the_target_under_other_names_is_the_target_again(classes: int, codes: list[int], seed: int) -> None:
    kinds = "abcdef"[:classes]
    found = tell([(codes[kinds.index(label)], label) for label in labels(40 * classes, kinds, seed)])
    assert "the target again" in found.answers["a"]


def test_reasons_for_a_class_say_the_answer() -> None:
    random = Random(1)
    rows = [(random.choice(["heat", "wear"]) if label == "1" else "none", label) for label in labels(300, "0001")]
    assert "each of its 3 values comes with one class only" in tell(rows).answers["a"]


def test_strong_inputs_are_asked_about_and_kept() -> None:
    random = Random(2)
    odours = [
        (random.choice(["foul", "none"]) if label == "p" else random.choice(["none", "nut"]), label)
        for label in labels(400, "pe")
    ]
    found = tell(odours)
    assert not found.answers and "in " in found.asked["a"]
    numbers = [(random.randrange(5) + 5 * (label == "b"), label) for label in labels(400, "ab")]
    assert (tell(numbers).answers, set(tell(numbers).asked)) == ({}, {"a"})


@given(st.lists(st.sampled_from("abc"), min_size=2, max_size=200), st.integers(0, 9))
def test_names_of_rows_and_chance_tell_nothing(kinds: list[str], seed: int) -> None:
    assert tell(list(enumerate(kinds))) == Telling()
    random = Random(seed)
    mixed = [(random.choice("xyz"), label) for label in [*kinds, *"abc"] for _ in range(6)]
    assert not tell(mixed).answers


@pytest.mark.parametrize(("factor", "shift", "found"), [(2, 0, True), (-0.5, 7, True), (1.8, 32, True), (0, 1, False)])
def test_a_number_that_is_the_target_scaled(factor: float, shift: float, found: bool) -> None:
    random = Random(3)
    values = [random.random() for _ in range(90)]
    assert bool(tell([(f"{v * factor + shift:.4f}", f"{v:.4f}") for v in values], regression=True).answers) is found
    noisy = [(f"{v + random.random() / 50:.4f}", f"{v:.4f}") for v in values]
    assert not tell(noisy, regression=True).answers
