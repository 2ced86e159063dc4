"""What makes two records the same one, and which of equal ones count: as a slow loop over batches says."""

from __future__ import annotations

import hashlib
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.records.dataset import Counting
from assets.records.identity import (
    Occurrences,
    among,
    is_counted,
    is_known,
    keys_of_texts,
    replaced_keys,
)

PAIRS = st.tuples(st.integers(0, 3), st.sampled_from(["", "x", "y"]))
BATCHES = st.lists(st.lists(st.lists(PAIRS, max_size=6), min_size=1, max_size=3), max_size=5)
"""Batches of pieces of pairs: a batch may be read from several shards."""


def _id(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


@settings(max_examples=200, deadline=None)
@given(BATCHES, st.sampled_from(["by_id", "once", "per_batch", "all"]))
def test_what_counts_is_what_a_slow_loop_counts(batches: list[list[list[tuple[int, str]]]], counting: Counting) -> None:
    seen, before = Occurrences(), Counter[object]()
    for batch in batches:
        here = Counter[object]()
        for piece in batch:
            ids, labels = [_id(number) for number, _ in piece], [label for _, label in piece]
            nth, earlier = seen.take(keys_of_texts(ids, None if counting == "by_id" else labels))
            counted, known = is_counted(counting, nth, earlier), is_known(counting, nth, earlier)
            for place, pair in enumerate(piece):
                what = pair[0] if counting == "by_id" else pair
                here[what] += 1
                again = {"all": False, "per_batch": here[what] <= before[what]}.get(counting, before[what] > 0)
                assert known[place] == again
                assert counted[place] == (not again and (counting in ("per_batch", "all") or here[what] == 1))
        seen.end_batch()
        before = Counter({what: max(count, before[what]) for what, count in (before | here).items()})


@pytest.mark.parametrize(("counting", "records"), [("once", 2), ("per_batch", 4), ("all", 9)])
def test_the_dataset_is_the_union_of_pairs_and_occurrences(counting: Counting, records: int) -> None:
    seen, total = Occurrences(), 0
    for batch in (["x", "x", "y"], ["x", "x", "x"], ["y", "x", "x"]):
        total += int(is_counted(counting, *seen.take(keys_of_texts([_id(0)] * 3, batch))).sum())
        seen.end_batch()
    assert total == records


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.text(max_size=3))), st.lists(st.tuples(st.integers(0, 5), st.text())))
def test_keys_are_equal_exactly_where_pairs_are(one: list[tuple[int, str]], two: list[tuple[int, str]]) -> None:
    keys = [keys_of_texts([_id(number) for number, _ in pairs], [label for _, label in pairs]) for pairs in (one, two)]
    assert among(keys[0], np.unique(keys[1])).tolist() == [pair in two for pair in one]


def test_the_last_word_on_a_pair_holds() -> None:
    cat, dog = (keys_of_texts([_id(1)], [label]) for label in ("cat", "dog"))
    gone, stands = np.array([True]), np.array([False])
    assert among(cat, replaced_keys([(cat, gone)])).all()
    back = replaced_keys([(cat, gone), (np.concatenate([dog, cat]), np.array([True, False]))])
    assert among(dog, back).all()
    assert not among(cat, back).any()
    assert not len(replaced_keys([(cat, stands)]))


def test_a_text_that_is_no_id_is_refused() -> None:
    with pytest.raises(ValueError, match="non-hexadecimal"):
        keys_of_texts(["zz"], ["x"])
    with pytest.raises(ValueError, match="cannot reshape"):
        keys_of_texts(["ab"], ["x"])
