"""No value is ever handed from asset to asset: Dagster's default would pickle it.

Dagster reads the annotations of asset functions as they are: no `from __future__ import annotations` here.
"""

from pathlib import Path

import dagster as dg
import pytest

from platform_defs.resources import RefusingIOManager, build_resources


def _failure(*assets: dg.AssetsDefinition) -> str:
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            list(assets), instance=instance, resources={"io_manager": RefusingIOManager()}, raise_on_error=False
        )
        (event,) = [event for event in result.all_events if event.is_step_failure]
    error = event.step_failure_data.error
    while error is not None and error.cause is not None:
        error = error.cause
    return error.message if error is not None else ""


def test_a_returned_value_is_refused() -> None:
    @dg.asset
    def number() -> int:
        return 3

    told = _failure(number)
    assert "number: returned a int; write a contract document to the store" in told


def test_even_a_returned_none_is_refused() -> None:
    @dg.asset
    def nothing():  # type: ignore[no-untyped-def]
        return None

    assert "nothing: returned a NoneType" in _failure(nothing)


def test_a_value_as_an_input_is_refused() -> None:
    @dg.asset
    def first() -> dg.MaterializeResult:
        return dg.MaterializeResult()

    @dg.asset
    def second(first: int) -> dg.MaterializeResult:
        return dg.MaterializeResult()

    assert "first: read the document from the store instead" in _failure(first, second)


def test_a_result_without_a_value_asks_no_manager() -> None:
    @dg.asset
    def sound() -> dg.MaterializeResult:
        return dg.MaterializeResult(metadata={"records": 3})

    with dg.DagsterInstance.ephemeral() as instance:
        assert dg.materialize([sound], instance=instance, resources={"io_manager": RefusingIOManager()}).success


def test_the_code_location_has_these_resources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGELOOP_HOME", str(tmp_path))
    resources = build_resources()
    assert resources["store"].root == str(tmp_path)
    assert isinstance(resources["io_manager"], RefusingIOManager)
