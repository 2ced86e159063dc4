"""A change of unit in one column, all or half of it, with and without accepted data; honest columns are left alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes

from assets.line.data import DataContract, SeriesData, TableData
from assets.quality.checks.units import find_unit_change

CONVERSIONS = {
    "a factor of 1,000": lambda values: values * 1000,
    "Fahrenheit": lambda values: values * 1.8 + 32,
    "millimetres": lambda values: values * 25.4,
}


def _contract(names: Any) -> DataContract:
    return DataContract(reader="table", classes=("a", "b"), table=TableData(columns=tuple(names), target="y"))


def _quantiles(values: np.ndarray) -> list[tuple[float, float]]:
    shares = np.linspace(0, 1, 11)
    return [(float(value), float(share)) for value, share in zip(np.quantile(values, shares), shares, strict=True)]


def _halves() -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Honest columns: one half of breast cancer's records, and the other."""
    data = load_breast_cancer()
    order = np.random.default_rng(0).permutation(len(data.data))
    half = len(order) // 2
    first = {str(name): data.data[order[:half], place] for place, name in enumerate(data.feature_names)}
    second = {str(name): data.data[order[half:], place] for place, name in enumerate(data.feature_names)}
    return first, second


def _found(make_spool: Any, facts: dict[str, np.ndarray], reference: Any = None) -> dict[str, int]:
    rows = len(next(iter(facts.values())))
    found = find_unit_change(make_spool(rows, facts=facts), _contract(facts), reference)
    assert all(finding.kind == "unit" and 0 <= finding.score <= 1 for finding in found.findings)
    return {finding.other: finding.row for finding in found.findings}


@pytest.mark.parametrize("what", CONVERSIONS)
@pytest.mark.parametrize("part", ["all", "half"])
def test_one_column_in_another_unit(make_spool: Any, what: str, part: str) -> None:
    accepted, batch = _halves()
    reference = {name: _quantiles(values) for name, values in accepted.items()}
    assert _found(make_spool, batch, reference) == {}
    for name in ("mean radius", "worst texture", "mean smoothness"):
        values = batch[name]
        converted = CONVERSIONS[what](values)
        changed = converted if part == "all" else np.where(np.arange(len(values)) % 2 == 1, converted, values)
        found = _found(make_spool, batch | {name: changed}, reference)
        assert set(found) == {name}
        assert found[name] == -1 if part == "all" else found[name] % 2 == 1


def test_half_a_column_without_accepted_data(make_spool: Any) -> None:
    _, batch = _halves()
    assert _found(make_spool, batch) == {}
    values = batch["mean radius"]
    rows = np.arange(len(values))
    found = _found(make_spool, batch | {"mean radius": np.where(rows % 2 == 1, values * 1000, values)})
    assert found == {"mean radius": 1}


def test_honest_shifts_are_drift_and_no_change_of_unit(make_spool: Any) -> None:
    data = load_diabetes(scaled=False).data
    facts = {f"c{place}": data[:, place] for place in range(data.shape[1])}
    reference = {name: _quantiles(values) for name, values in facts.items()}
    for change in (lambda v: v + 0.5 * v.std(), lambda v: v.mean() + (v - v.mean()) * 1.3, lambda v: v):
        assert _found(make_spool, {name: change(values) for name, values in facts.items()}, reference) == {}


def test_two_levels_are_no_two_units(make_spool: Any) -> None:
    draw = np.random.default_rng(0)
    levels = np.where(draw.random(500) < 0.5, draw.normal(10, 1, 500), draw.normal(1000, 1, 500))
    facts = {"flag": draw.integers(0, 2, 500) * 1000.0, "levels": levels, "steps": draw.choice([1.0, 10.0, 100.0], 500)}
    assert _found(make_spool, facts) == {}


def test_units_of_a_series_that_measure_otherwise(make_spool: Any) -> None:
    draw = np.random.default_rng(0)
    groups = [f"u{row // 20}" for row in range(800)]
    base = draw.normal(40, 3, 40)[np.arange(800) // 20] + draw.normal(0, 8, 800)
    contract = DataContract(
        reader="series", series=SeriesData(unit="u", time="t", columns=("heat", "other"), target="y")
    )
    facts = {"heat": base, "other": draw.normal(size=800)}
    assert not find_unit_change(make_spool(800, group=groups, facts=facts), contract).findings
    odd = np.arange(800) // 20 % 2 == 1
    facts["heat"] = np.where(odd, base * 1.8 + 32, base)
    (finding,) = find_unit_change(make_spool(800, group=groups, facts=facts), contract).findings
    assert finding.other == "heat"
    assert "20 of 40 units" in finding.detail  # which half was converted, nobody can know


@pytest.mark.parametrize(
    "values",
    [
        [np.nan] * 100,
        [1.0] * 100,
        [1e308, -1e308] * 50,
        [5e-324, 0.0] * 50,
        [np.inf, 1.0] * 50,
        list(range(100)),
        [10.0**power for power in range(-50, 50)],
    ],
)
def test_odd_columns(make_spool: Any, values: list[float]) -> None:
    column = [value if np.isfinite(value) else None for value in values]
    spool = make_spool(100, facts={"c": pa.array(column, pa.float64())})
    for reference in (None, {"c": []}, {"c": [(0.0, 0.0), (1.0, 1.0)]}, {"c": _quantiles(np.arange(50.0))}, {"d": []}):
        for finding in find_unit_change(spool, _contract(["c"]), reference).findings:
            assert finding.other == "c"


def test_few_rows_say_nothing(make_spool: Any) -> None:
    for rows in (0, 1, 20):
        assert _found(make_spool, {"c": np.arange(rows, dtype=float)}) == {}
