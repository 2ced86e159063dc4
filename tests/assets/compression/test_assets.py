"""The assets on what the small search made: the child process, the claim, and the refusal."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from assets.compression import assets as compression_assets
from assets.compression.assets import FITS_BUDGET, build_assets
from assets.compression.documents import Candidates, ChosenModel
from assets.records.dataset import DatasetVersion
from assets.storage import layout
from assets.storage.store import Store
from assets.training import assets as training_assets
from assets.training.documents import TrainedModel
from edge.contracts import digest
from tests.assets.accepted_records import digits_line


class _NoPickle(dg.IOManager):
    """Refuses everything: nothing may pass through an IO manager."""

    def handle_output(self, context: Any, obj: Any) -> None:
        raise AssertionError(f"{context.name} was handed to the IO manager: {obj!r}")

    def load_input(self, context: Any) -> Any:
        raise AssertionError(context)


def _run(store: Store, line: Any, *, raises: bool = True) -> dg.ExecuteInProcessResult:
    with dg.DagsterInstance.ephemeral() as instance:
        resources = {"store": store, "io_manager": _NoPickle()}
        return dg.materialize(build_assets(line), resources=resources, instance=instance, raise_on_error=raises)


@pytest.mark.filterwarnings("ignore")  # Pipes warns of its own calls
def test_candidates_are_made_in_a_child_and_one_is_chosen(made: Any) -> None:
    store = made.store
    store.save(layout.dataset("digits", digest(made.dataset)), made.dataset)
    store.set_newest("digits", made.dataset)
    store.set_newest("digits", made.model)
    result = _run(store, made.line)
    assert result.success
    found = store.newest("digits", Candidates)
    assert [candidate.name for candidate in found.candidates] == [one.name for one in made.found.candidates]
    chosen = store.newest("digits", ChosenModel)
    (check,) = result.get_asset_check_evaluations()
    assert (check.check_name, check.passed) == (FITS_BUDGET, True)
    assert chosen.candidate.name.encode() in store.read(chosen.page)
    assert str(check.metadata["page"].value).endswith(chosen.page.removeprefix("reports"))

    tight = digits_line(budget={"max_drop": 0.3, "max_kb": 0.5})
    refused = _run(store, tight, raises=False)
    assert not refused.success
    (check,) = refused.get_asset_check_evaluations()
    assert (check.check_name, check.passed) == (FITS_BUDGET, False)
    assert "none of 5 candidates fits the budget" in str(check.metadata["why"].value)
    page = "reports" + str(check.metadata["page"].value).partition("3001")[2]
    assert page != chosen.page
    assert b"0.5" in store.read(page)
    index = store.read("reports/digits/compression/index.html").decode()
    assert index.index(page.rpartition("/")[2]) < index.index(chosen.page.rpartition("/")[2])  # the newest first
    (remembered,) = refused.asset_materializations_for_node("digits__candidates")
    assert remembered.metadata["reused"].value is True
    assert store.newest("digits", ChosenModel) == chosen  # the model in use stays


def test_without_a_teacher_the_asset_says_what_to_do(tmp_path: Any) -> None:
    (candidates, _) = build_assets(digits_line())
    with pytest.raises(dg.Failure, match="has no trained_model yet; materialize digits/trained_model first") as caught:
        candidates(dg.build_asset_context(), store=Store(str(tmp_path)))
    assert caught.value.allow_retries is False


def test_a_dataset_that_is_gone_is_named(made: Any, tmp_path: Any) -> None:
    store = Store(str(tmp_path))
    store.set_newest("digits", made.model)
    (candidates, _) = build_assets(digits_line())
    with pytest.raises(dg.Failure, match="this dataset version is missing; materialize digits/dataset again"):
        candidates(dg.build_asset_context(), store=store)
    assert isinstance(made.model, TrainedModel)
    assert isinstance(made.dataset, DatasetVersion)


@pytest.mark.parametrize("room", [compression_assets, training_assets])
def test_a_latency_belongs_to_its_machine(made: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, room: Any) -> None:
    store, runs = Store(made.store.root), []
    answer = {compression_assets: made.found, training_assets: made.model}[room]
    asset = {compression_assets: room.build_assets(made.line)[0], training_assets: room.build_assets(made.line)[1]}[
        room
    ]
    store.save(layout.dataset("digits", digest(made.dataset)), made.dataset)
    store.set_newest("digits", made.dataset)
    store.set_newest("digits", made.model)
    monkeypatch.setattr(room, "run_step", lambda *_: runs.append(1) or answer)
    for machine, expected in (("one cpu", 1), ("one cpu", 1), ("another cpu", 2)):
        monkeypatch.setattr(room, "machine_name", lambda machine=machine: f"{tmp_path} {machine}")
        asset(dg.build_asset_context(), store=store)
        assert len(runs) == expected
