"""Class balance: counts, one class, none, and how far the classes are apart."""

from __future__ import annotations

from typing import Any

import numpy as np

from assets.quality.checks.balance import class_balance


def test_counts_of_classes_sides_and_others(make_spool: Any) -> None:
    spool = make_spool(7, chunk=3, label=["a", "a", "a", "b", "", "typo", "a"])
    balance = class_balance(spool, ("a", "b", "c"), np.array([0, 0, 2, 2, 0, 0, 1], dtype=np.int8))
    assert balance.counts == {"a": 4, "b": 1, "c": 0}
    assert balance.splits == {"train": {"a": 2}, "validation": {"a": 1}, "test": {"a": 1, "b": 1}}
    assert (balance.other, balance.missing, balance.imbalance) == (1, 1, 4.0)
    assert balance.untested() == ("b",)
    assert balance.single is None


def test_one_class_no_class_and_no_record(make_spool: Any) -> None:
    one = class_balance(make_spool(3, label=["a"] * 3), ("a", "b"), np.zeros(3, dtype=np.int8))
    assert (one.single, one.imbalance) == ("a", 1.0)
    for rows in (0, 2):
        none = class_balance(make_spool(rows, label=["z"] * rows), ("a", "b"), np.zeros(rows, dtype=np.int8))
        assert (none.single, none.other) == (None, rows)
    regression = class_balance(make_spool(2, label=["1.5", ""]), (), np.zeros(2, dtype=np.int8))
    assert (regression.counts, regression.other, regression.missing) == ({}, 1, 1)


def test_only_sound_records_count(make_spool: Any) -> None:
    sound = np.array([True, False, True])
    balance = class_balance(make_spool(3, label=["a", "a", "b"]), ("a", "b"), np.zeros(3, dtype=np.int8), sound)
    assert balance.counts == {"a": 1, "b": 1}
