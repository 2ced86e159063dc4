"""Exact copies by id: which one stays, labels that clash, and known records."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assets.quality.checks.copies import find_copies


def _id(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def _train(rows: int) -> np.ndarray:
    return np.zeros(rows, dtype=np.int8)


def test_first_copy_stays(make_spool: Any, make_earlier: Any) -> None:
    spool = make_spool(5, chunk=2, id=[_id("a"), _id("b"), _id("a"), _id("a"), _id("c")], label=list("xyxxy"))
    found = find_copies(spool, ("x", "y"), _train(5), make_earlier())
    assert list(found.columns["_copy_of"]) == [None, None, "f0", "f0", None]
    assert list(found.columns["_labels_of_id"]) == [1] * 5
    assert [(finding.kind, finding.row, finding.other_row) for finding in found.findings] == [
        ("copy", 2, 0),
        ("copy", 3, 0),
    ]


def test_of_copies_on_two_sides_the_test_one_stays(make_spool: Any, make_earlier: Any) -> None:
    spool = make_spool(4, id=[_id("a")] * 3 + [_id("b")], label=["x"] * 4)
    found = find_copies(spool, ("x", "y"), np.array([0, 1, 2, 0], dtype=np.int8), make_earlier())
    assert list(found.columns["_copy_of"]) == ["f2", "f2", None, None]
    assert [(finding.kind, finding.row) for finding in found.findings] == [("leak", 0), ("copy", 1)]


def test_a_record_that_is_bad_otherwise_is_no_first_copy(make_spool: Any, make_earlier: Any) -> None:
    spool = make_spool(3, id=[_id("a")] * 3, label=["?", "x", "x"])
    sound = np.array([False, True, True])
    found = find_copies(spool, ("x", "y"), _train(3), make_earlier(), sound)
    assert list(found.columns["_copy_of"]) == [None, None, "f1"]
    none = find_copies(spool, ("x", "y"), _train(3), make_earlier(), np.zeros(3, dtype=bool))
    assert list(none.columns["_copy_of"]) == [None] * 3


def test_labels_that_clash_are_counted_unknown_ones_are_not(make_spool: Any, make_earlier: Any) -> None:
    spool = make_spool(6, id=[_id("a")] * 3 + [_id("b")] * 2 + [_id("c")], label=["x", "y", "z", "x", "", "x"])
    found = find_copies(spool, ("x", "y"), _train(6), make_earlier())
    assert list(found.columns["_labels_of_id"]) == [2, 2, 2, 1, 1, 1]


def test_known_records_have_the_first_earlier_label(make_spool: Any, make_earlier: Any) -> None:
    spool = make_spool(3, id=[_id("a"), _id("b"), None], label=["x"] * 3)
    earlier = make_earlier(3, id=[_id("b"), _id("q"), _id("b")], label=["y", "x", "x"])
    found = find_copies(spool, ("x", "y"), _train(3), earlier)
    assert list(found.columns["_known_label"]) == [None, "y", None]


def test_ids_that_share_eight_bytes_are_no_copies(make_spool: Any, make_earlier: Any) -> None:
    ids = [b"12345678" + bytes(23) + bytes([last]) for last in (1, 2, 1, 3)]
    earlier = make_earlier(2, id=[ids[1], ids[3]], label=["x", "y"])
    found = find_copies(make_spool(4, id=ids, label=["x"] * 4), ("x", "y"), _train(4), earlier)
    assert list(found.columns["_copy_of"]) == [None, None, "f0", None]
    assert list(found.columns["_known_label"]) == [None, "x", None, "y"]


def test_nothing_one_and_missing_ids(make_spool: Any, make_earlier: Any) -> None:
    for rows in (0, 1, 3):
        found = find_copies(make_spool(rows, id=[None] * rows), ("x", "y"), _train(rows), make_earlier())
        assert not found.findings
        assert {len(column) for column in found.columns.values()} == {rows}
        assert list(found.columns["_copy_of"]) == [None] * rows


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3), st.integers(0, 2), st.booleans()), min_size=1, max_size=30)
)
def test_it_says_what_a_slow_loop_says(make_spool: Any, make_earlier: Any, rows: list[tuple[int, ...]]) -> None:
    # ids 0 to 4 share their first 8 bytes
    spool = make_spool(
        len(rows), chunk=7, id=[bytes(31) + bytes([row[0]]) for row in rows], label=["xyz?"[row[1]] for row in rows]
    )
    sides = np.array([row[2] for row in rows], dtype=np.int8)
    sound = np.array([row[3] for row in rows])
    found = find_copies(spool, ("x", "y", "z"), sides, make_earlier(), sound)
    of_id = defaultdict(list)
    for place, row in enumerate(rows):
        of_id[row[0]].append(place)
    for places in of_id.values():
        labels = {rows[place][1] for place in places} - {3}
        good = [place for place in places if sound[place]]
        stays = min(good, key=lambda place: (-sides[place], place), default=None)
        for place in places:
            assert found.columns["_labels_of_id"][place] == max(1, len(labels))
            expected = None if place not in good or place == stays else f"f{stays}"
            assert found.columns["_copy_of"][place] == expected
