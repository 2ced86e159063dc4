"""Units that earlier batches had: what comes too late, and names that come again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assets.line.data import DataContract, PrivacyPolicy, SeriesData, UnitIds
from assets.quality.checks.continuation import find_late, names_again, seen_before
from assets.quality.earlier_units import EarlierUnits
from assets.quality.rules_by_kind import with_remedy

HOME, OTHER = "a" * 64, "b" * 64


def contract(unit_ids: UnitIds, **privacy: Any) -> DataContract:
    series = SeriesData(unit="u", time="t", columns=("c",), target="y", unit_ids=unit_ids)
    return DataContract(reader="series", series=series, privacy=PrivacyPolicy(**privacy))


def late(spool: Any, unit_ids: UnitIds, earlier: EarlierUnits, known: Any = None, **privacy: Any) -> dict[int, str]:
    mask = np.zeros(spool.rows, dtype=bool) if known is None else np.asarray(known, dtype=bool)
    column = find_late(spool, contract(unit_ids, **privacy), earlier, mask).columns["_earlier"]
    return {row: why for row, why in enumerate(column) if why}


@given(
    st.lists(st.tuples(st.sampled_from("uvw"), st.integers(0, 9), st.booleans()), min_size=1, max_size=20),
    st.dictionaries(st.sampled_from("uv"), st.floats(0, 9)),
)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_global_units_only_go_on(make_spool: Any, rows: list[tuple[str, int, bool]], last: dict[str, float]) -> None:
    names, times, known = zip(*rows, strict=True)
    spool = make_spool(len(rows), chunk=6, time=times, group=names)
    found = late(spool, "global", EarlierUnits(last), known)
    assert set(found) == {row for row, (name, time, old) in enumerate(rows) if not old and time <= last.get(name, -1)}
    assert not late(spool, "batch", EarlierUnits(last), known)
    assert not late(spool, "file", EarlierUnits(last), known)


def test_what_is_late_is_told_with_a_remedy_and_without_what_is_private(make_spool: Any) -> None:
    spool = make_spool(2, time=[1700000000.5, 1700000001.5], group=["m 7", "m 7"])
    earlier = EarlierUnits({"m 7": 1700000000.5})
    reason, remedy = with_remedy(late(spool, "global", earlier)[0], "")
    assert reason == "its unit already has readings up to 1700000000.5 from earlier batches"
    assert remedy.startswith("land only what is later, ")
    assert "`unit_ids: batch`" in remedy
    assert set(late(spool, "global", earlier)) == {0}
    (hidden,) = late(spool, "global", earlier, private=("t",)).values()
    assert "1700000000" not in hidden


@pytest.mark.parametrize("unit_ids", ["batch", "global"])
def test_a_reading_that_returns_goes_where_no_reading_is(make_spool: Any, unit_ids: UnitIds) -> None:
    spool = make_spool(4, time=[5, 6, 5, 5], group=["u", "u", "v", "u"], origin=[HOME, HOME, HOME, OTHER])
    home = "" if unit_ids == "global" else HOME
    earlier = EarlierUnits({"u": 9.0, "v": 9.0}, frozenset({((home, "u"), 5.0)}))
    found = late(spool, unit_ids, earlier)
    assert set(found) == ({0, 3} if unit_ids == "global" else {0})
    assert found[0].startswith("its unit already has another reading of the same time; reject it")
    assert not late(spool, unit_ids, earlier, [True] * 4)


def test_names_that_come_again_are_told(make_spool: Any) -> None:
    spool = make_spool(6, group=["1", "1", "2", "3", "4", "5"], origin=[""] * 5 + [HOME])
    earlier = EarlierUnits({"1": 0.0, "2": 0.0, "3": 0.0, "5": 0.0})
    known = np.asarray([True, False, False, True, False, False])
    holds, text = names_again(spool, contract("batch"), earlier, known)
    assert not holds  # 3 came just as it was, 4 is new, 5 returned
    assert text == (
        "2 units ('1', '2') had their names in earlier batches; each counts as another unit here. If they are the "
        "same, say `unit_ids: global` below `data.series`. 1 of them has readings too that an earlier batch had: those "
        "do not count again, so windows of the new unit go on without them."
    )
    assert "'1'" not in names_again(spool, contract("batch", private=("u",)), earlier, known)[1]
    assert names_again(spool, contract("batch"), EarlierUnits(), known)[0]
    assert names_again(spool, contract("batch"), earlier, np.ones(6, dtype=bool))[0]


def test_a_record_is_known_by_its_id_and_its_label(make_spool: Any, make_earlier: Any) -> None:
    spool = make_spool(5, chunk=2, label=["1.0", "1.0", "1.0", "2.0", None])
    ids = spool.column("_id").to_pylist()
    earlier = make_earlier(3, id=[ids[3], ids[2], b"x" * 32], label=["2.0", "2.0", "1.0"])
    assert seen_before(spool, earlier).tolist() == [False, False, False, True, False]
    assert not seen_before(spool, make_earlier()).any()
