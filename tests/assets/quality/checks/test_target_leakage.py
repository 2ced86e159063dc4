"""Columns that predict the label alone are found; strong honest columns are not."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import datasets

from assets.line.data import DataContract, TableData
from assets.quality.checks.target_leakage import find_target_leakage

AI4I = Path(__file__).parents[5] / "shared/data/predictive-maintenance/ai4i2020/ai4i2020_rows_0001-7000.csv"


def _contract(columns: Any, classes: tuple[str, ...] = ("a", "b"), **more: Any) -> DataContract:
    return DataContract(reader="table", classes=classes, table=TableData(columns=tuple(columns), target="y", **more))


def _found(make_spool: Any, facts: dict[str, Any], labels: list[str], contract: DataContract) -> dict[str, str]:
    found = find_target_leakage(make_spool(len(labels), label=labels, facts=facts), contract)
    assert all(finding.row == -1 and 0 <= finding.score <= 1 for finding in found.findings)
    return {finding.other: finding.detail for finding in found.findings}


@pytest.mark.parametrize("name", ["breast_cancer", "wine", "iris", "digits"])
def test_honest_columns_are_not_flagged_and_a_planted_copy_is(make_spool: Any, name: str) -> None:
    data = getattr(datasets, f"load_{name}")()
    facts = {f"c{place}": data.data[:, place] for place in range(data.data.shape[1])}
    labels = [f"k{value}" for value in data.target]
    classes = tuple(sorted(set(labels)))
    order = np.random.default_rng(0).permutation(len(labels))
    facts = {key: values[order] for key, values in facts.items()}
    labels = [labels[row] for row in order]
    assert _found(make_spool, facts, labels, _contract(facts, classes)) == {}
    facts["copy"] = data.target[order] * 1.7 + np.random.default_rng(0).normal(0, 0.1, len(labels))
    assert set(_found(make_spool, facts, labels, _contract(facts, classes))) == {"copy"}


def test_an_id_of_sorted_rows(make_spool: Any) -> None:
    noise = np.random.default_rng(0).normal(size=(300, 4))
    facts = {f"c{place}": noise[:, place] for place in range(4)} | {"id": np.arange(300.0)}
    found = _found(make_spool, facts, ["a"] * 150 + ["b"] * 150, _contract(facts))
    assert set(found) == {"id"}
    assert "numbers the rows" in found["id"]


def test_a_word_that_only_failures_have(make_spool: Any) -> None:
    rng = np.random.default_rng(0)
    labels = ["b" if row % 25 == 0 else "a" for row in range(1000)]
    words = ["burnt" if label == "b" and row % 50 == 0 else "fine" for row, label in enumerate(labels)]
    facts = {"state": words, "heat": rng.normal(size=1000)}
    contract = _contract(facts, categories={"state": ("fine", "burnt")})
    found = _found(make_spool, facts, labels, contract)
    assert set(found) == {"state"}
    assert "'b'" in found["state"]


def test_a_number_and_its_copy(make_spool: Any) -> None:
    data = datasets.load_diabetes()
    facts = {f"c{place}": data.data[:, place] for place in range(10)}
    labels = [repr(float(value)) for value in data.target]
    assert _found(make_spool, facts, labels, _contract(facts, ())) == {}
    facts["fahrenheit"] = data.target * 1.8 + 32
    assert set(_found(make_spool, facts, labels, _contract(facts, ()))) == {"fahrenheit"}


def test_an_easy_task_is_not_called_a_leak(make_spool: Any) -> None:
    target = np.arange(200) % 2
    facts = {f"c{place}": target + np.random.default_rng(place).normal(0, 0.05, 200) for place in range(5)}
    assert _found(make_spool, facts, [["a", "b"][value] for value in target], _contract(facts)) == {}


@pytest.mark.parametrize(
    "values",
    [[np.nan] * 60, [1.0] * 60, [1e300, -1e300] * 30, [np.inf, -np.inf] * 30, [None] * 59 + [1.0], [np.nan, 1.0] * 30],
)
def test_odd_columns(make_spool: Any, values: list[float]) -> None:
    facts = {"c0": values, "c1": list(range(60))}
    facts["c0"] = [None if value is None or not np.isfinite(value) else value for value in values]
    if all(value is None for value in facts["c0"]):
        facts["c0"][0] = 1.0
    for labels in (["a", "b", "b"] * 20, ["a"] * 60, ["?"] * 60, [""] * 60):
        find_target_leakage(make_spool(60, label=labels, facts=facts), _contract(facts))
    find_target_leakage(make_spool(60, label=["1e300", "x", "2"] * 20, facts=facts), _contract(facts, ()))


def test_few_rows_say_nothing(make_spool: Any) -> None:
    for rows in (0, 1, 10):
        facts = {"c0": np.arange(rows, dtype=float)}
        assert _found(make_spool, facts, [["a", "b"][row % 2] for row in range(rows)], _contract(facts)) == {}


def test_the_kinds_of_failure_in_ai4i(make_spool: Any) -> None:
    if not AI4I.is_file():
        pytest.skip(f"{AI4I} is not here")
    with AI4I.open(encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    honest = ["Air temperature [K]", "Process temperature [K]", "Rotational speed [rpm]", "Torque [Nm]", "UDI"]
    leaking = ["TWF", "HDF", "PWF", "OSF"]
    facts = {name: np.array([float(row[name]) for row in rows]) for name in [*honest, *leaking, "RNF"]}
    labels = ["ab"[int(row["Machine failure"])] for row in rows]
    assert set(_found(make_spool, facts, labels, _contract(facts))) == set(leaking)
