"""Equal records of a batch: which one stays of copies, and how many targets an input has."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assets.quality.checks.copies import EqualInputs, find_copies


def _id(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def _train(rows: int) -> np.ndarray:
    return np.zeros(rows, dtype=np.int8)


def test_first_copy_stays(make_spool: Any) -> None:
    spool = make_spool(5, chunk=2, id=[_id("a"), _id("b"), _id("a"), _id("a"), _id("c")], label=list("xyxxy"))
    found = find_copies(spool, _train(5))
    assert list(found.columns["_copy_of"]) == [None, None, "f0", "f0", None]
    assert [(finding.kind, finding.row, finding.other_row) for finding in found.findings] == [
        ("copy", 2, 0),
        ("copy", 3, 0),
    ]


def test_of_copies_on_two_sides_the_test_one_stays(make_spool: Any) -> None:
    spool = make_spool(4, id=[_id("a")] * 3 + [_id("b")], label=["x"] * 4)
    found = find_copies(spool, np.array([0, 1, 2, 0], dtype=np.int8))
    assert list(found.columns["_copy_of"]) == ["f2", "f2", None, None]
    assert [(finding.kind, finding.row) for finding in found.findings] == [("leak", 0), ("copy", 1)]


def test_a_record_that_is_bad_otherwise_is_no_first_copy(make_spool: Any) -> None:
    spool = make_spool(3, id=[_id("a")] * 3, label=["?", "x", "x"])
    sound = np.array([False, True, True])
    found = find_copies(spool, _train(3), sound)
    assert list(found.columns["_copy_of"]) == [None, None, "f1"]
    none = find_copies(spool, _train(3), np.zeros(3, dtype=bool))
    assert list(none.columns["_copy_of"]) == [None] * 3


def test_targets_are_counted_of_classes_or_of_anything_that_is_said(make_spool: Any) -> None:
    spool = make_spool(6, id=[_id("a")] * 3 + [_id("b")] * 2 + [_id("c")], label=["x", "y", "z", "x", "", "x"])
    equal = EqualInputs.of(spool, ("x", "y"))
    assert dict(zip(equal.rows.tolist(), equal.targets.tolist(), strict=True)) == {0: 2, 1: 2, 2: 2, 3: 1, 4: 1}
    assert dict(zip(equal.rows.tolist(), EqualInputs.of(spool, ()).targets.tolist(), strict=True))[0] == 3
    assert equal.repeated == 0
    assert EqualInputs.of(make_spool(4, id=[_id("a")] * 4, label=list("xxyx")), ()).repeated == 2


def test_equal_inputs_under_other_labels_are_no_copies(make_spool: Any) -> None:
    spool = make_spool(4, id=[_id("a")] * 4, label=["1.0", "2.0", "1.0", "3.0"])
    assert list(find_copies(spool, _train(4)).columns["_copy_of"]) == [None, None, "f0", None]


def test_ids_that_share_eight_bytes_are_no_copies(make_spool: Any) -> None:
    ids = [b"12345678" + bytes(23) + bytes([last]) for last in (1, 2, 1, 3)]
    found = find_copies(make_spool(4, id=ids, label=["x"] * 4), _train(4))
    assert list(found.columns["_copy_of"]) == [None, None, "f0", None]


def test_nothing_one_and_missing_ids(make_spool: Any) -> None:
    for rows in (0, 1, 3):
        found = find_copies(make_spool(rows, id=[None] * rows), _train(rows))
        assert not found.findings
        assert {len(column) for column in found.columns.values()} == {rows}
        assert list(found.columns["_copy_of"]) == [None] * rows


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3), st.integers(0, 2), st.booleans()), min_size=1, max_size=30)
)
def test_it_says_what_a_slow_loop_says(make_spool: Any, rows: list[tuple[int, ...]]) -> None:
    # ids 0 to 4 share their first 8 bytes
    spool = make_spool(
        len(rows), chunk=7, id=[bytes(31) + bytes([row[0]]) for row in rows], label=["xyz?"[row[1]] for row in rows]
    )
    sides = np.array([row[2] for row in rows], dtype=np.int8)
    sound = np.array([row[3] for row in rows])
    found = find_copies(spool, sides, sound)
    equal = EqualInputs.of(spool, ("x", "y", "z"))
    targets = dict(zip(equal.rows.tolist(), equal.targets.tolist(), strict=True))
    of_id = defaultdict(list)
    for place, row in enumerate(rows):
        of_id[row[0]].append(place)
    for places in of_id.values():
        labels = {rows[place][1] for place in places} - {3}
        for place in places:
            assert targets.get(place, 1) == max(1, len(labels))
            same = [other for other in places if sound[other] and rows[other][1] == rows[place][1]]
            stays = min(same, key=lambda other: (-sides[other], other), default=None)
            expected = None if not sound[place] or place == stays else f"f{stays}"
            assert found.columns["_copy_of"][place] == expected
