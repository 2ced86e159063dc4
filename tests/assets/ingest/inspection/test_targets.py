"""The column to predict is told by names, those first that leave least doubt, and people are told of the others."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from assets.ingest.inspection.targets import named_targets, names_things, target_of


@dataclass(frozen=True)
class Column:
    name: str
    kind: str = "number"


@pytest.mark.parametrize(
    ("names", "target"),
    [
        ("x y label", "label"),
        ("y x label", "label"),
        ("label x y", "label"),
        ("label_code a label", "label"),
        ("label label_code a", "label"),
        ("target label class", "target"),
        ("x y Machine_failure", "Machine_failure"),
        ("failureMode a machineFailure", "machineFailure"),
        ("a b y", "y"),
        ("x y z", "z"),
        ("class category a", "class"),
        ("pump_type a b", "b"),
        ("Type machine_failure a", "machine_failure"),
        ("status machine_failure y", "machine_failure"),
        ("y_position a outcome", "outcome"),
    ],
)
def test_the_name_that_leaves_least_doubt_is_the_target(names: str, target: str) -> None:
    assert target_of([Column(name) for name in names.split()]).name == target


def test_without_a_name_the_last_column_of_words_is_taken() -> None:
    columns = [Column("a"), Column("b", "category"), Column("c", "category"), Column("d")]
    assert target_of(columns).name == "c"
    assert named_targets(columns) == []
    assert target_of([Column("when", "time"), Column("note", "text")]).name == "note"


@pytest.mark.parametrize("name", ["id", "customer_id", "orderNo", "customerId", "Patient", "userid", "Serial Number"])
def test_names_of_things(name: str) -> None:
    assert names_things(name)


@pytest.mark.parametrize("name", ["humid", "paid", "number", "no", "casino", "grid", "number of doors", "x"])
def test_names_of_no_things(name: str) -> None:
    assert not names_things(name)
