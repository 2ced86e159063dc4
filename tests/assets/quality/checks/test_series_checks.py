"""Time order, gaps, time zones and units of time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assets.line.data import DataContract, PrivacyPolicy, SeriesData
from assets.quality.checks.series_checks import find_series_trouble
from assets.quality.rules_by_kind import with_remedy

CLOCK = 1.7e9


def _contract(max_gap: float | None = None, **more: Any) -> DataContract:
    series = SeriesData(unit="u", time="t", columns=("c",), target="y", max_gap=max_gap)
    return DataContract(reader="series", series=series, **more)


def _found(make_spool: Any, times: Any, groups: Any = None, contract: DataContract | None = None) -> Any:
    spool = make_spool(len(times), chunk=7, time=list(times), group=groups or ["u"] * len(times))
    return find_series_trouble(spool, contract or _contract())


def _marked(found: Any) -> dict[int, str]:
    return {row: why for row, why in enumerate(found.columns["_order"]) if why}


def test_order_is_asked_of_each_unit(make_spool: Any) -> None:
    found = _found(make_spool, [1, 1, 2, 2, 3, 3], list("ababab"))
    assert not found.findings
    found = _found(make_spool, [1, 5, 2, 3, 1, 2, 3, 4], list("aaaabbbb"))
    assert set(_marked(found)) == {1}  # without it the unit is in order; 2 and 3 are not to blame
    (finding,) = found.findings
    assert (finding.kind, finding.row, finding.other) == ("order", 1, "a")


def test_repeated_times(make_spool: Any) -> None:
    found = _found(make_spool, [1, 2, 2, 3, 2])
    assert set(_marked(found)) == {2, 4}
    assert "same time" in _marked(found)[2]


def test_two_files_that_number_their_units_from_one_are_named(make_spool: Any) -> None:
    files = [f"{name}.csv#{row}" for name in ("line 1; a#b", "c") for row in (2, 3, 4)] + ["d.csv#2", "d.csv#3"]
    spool = make_spool(8, chunk=3, time=[1, 2, 3, 1, 2, 3, 2, 1], group=[*"uuuuuu", *"vv"], file=files)
    found = find_series_trouble(spool, _contract())
    texts = _marked(found)
    assert set(texts) == {3, 4, 5, 6} or set(texts) == {3, 4, 5, 7}
    reason, remedy = with_remedy(texts[4], "")
    assert reason == "its unit has another reading of the same time, which is in line 1; a#b.csv and c.csv"
    assert "if each file numbers its units anew, say `unit_ids: file`" in remedy
    (alone,) = set(texts) - {3, 4, 5}
    assert with_remedy(texts[alone], "usual") == ("it comes after a later reading of its unit", "usual")


def test_readings_that_returned_are_placed_by_their_time(make_spool: Any) -> None:
    origin = ["a" * 64] * 3 + ["b" * 64] * 3
    spool = make_spool(6, time=[5, 2, 2, 2, 900, 1], group=["u"] * 6, origin=origin)
    found = find_series_trouble(spool, _contract(max_gap=1))
    assert set(_marked(found)) == {2}  # of one unit at one time; the other batch's unit is another
    assert {finding.kind for finding in found.findings} == {"order"}


def test_a_unit_in_descending_order(make_spool: Any) -> None:
    found = _found(make_spool, [5, 4, 3, 2, 1])
    assert len(_marked(found)) == 4
    assert "descending" in found.findings[0].detail


def test_gaps_by_the_usual_step_and_by_the_contract(make_spool: Any) -> None:
    times = [*range(20), *range(50, 70)]
    found = _found(make_spool, times)
    assert np.flatnonzero(~np.isnan(found.columns["_gap"])).tolist() == [20]
    assert [(finding.kind, finding.row) for finding in found.findings] == [("gap", 20)]
    assert not _found(make_spool, times, contract=_contract(31)).findings
    assert len(_found(make_spool, times, contract=_contract(0.5)).findings) == 39
    irregular = np.cumsum(np.random.default_rng(0).pareto(0.4, 100) + 1e-3)
    assert not [finding for finding in _found(make_spool, irregular).findings if finding.kind == "gap"]


def test_readings_in_another_time_zone(make_spool: Any) -> None:
    times = CLOCK + np.arange(200) * 60.0
    assert not _found(make_spool, times).findings
    shifted = times.copy()
    shifted[80:120] += 2 * 3600
    found = [finding for finding in _found(make_spool, shifted).findings if finding.kind == "unit"]
    assert [(finding.row, "2 h" in finding.detail) for finding in found] == [(80, True)]
    autumn = times.copy()
    autumn[100:] -= 3600
    found = [finding for finding in _found(make_spool, autumn).findings if finding.kind == "unit"]
    assert "summer" in found[0].detail
    assert not [finding for finding in _found(make_spool, np.arange(200) % 100).findings if finding.kind == "unit"]


def test_seconds_and_milliseconds(make_spool: Any) -> None:
    times = CLOCK + np.arange(100) * 60.0
    mixed = np.where(np.arange(100) >= 50, times * 1000, times)
    found = [finding for finding in _found(make_spool, mixed).findings if finding.kind == "unit"]
    assert [(finding.row, finding.other_row) for finding in found] == [(50, -1)]
    assert "milliseconds" in found[0].detail
    assert not _found(make_spool, times * 1000).findings


def test_private_units_are_not_named(make_spool: Any) -> None:
    contract = _contract(privacy=PrivacyPolicy(private=("u",)))
    found = _found(make_spool, [3, 1, 2], ["ann"] * 3, contract)
    assert found.findings
    assert "ann" not in repr(found.findings)


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_nothing_and_nulls(make_spool: Any, rows: int) -> None:
    for times in ([None] * rows, [1e308, -1e308, 1e308][:rows]):
        found = _found(make_spool, times, [None] * rows)
        assert {len(column) for column in found.columns.values()} == {rows}


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 12)), max_size=40))
def test_without_the_marked_readings_units_are_in_order(make_spool: Any, readings: list[tuple[str, int]]) -> None:
    found = _found(make_spool, [time for _, time in readings], [unit for unit, _ in readings])
    bad = _marked(found)
    for unit in "ab":
        kept = [time for row, (name, time) in enumerate(readings) if name == unit and row not in bad]
        assert kept == sorted(set(kept))
        if sorted(set(all_ := [time for name, time in readings if name == unit])) == all_:
            assert kept == all_
