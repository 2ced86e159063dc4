"""The asset `batch` in a real Dagster instance, with its real child process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dagster as dg
import pytest

from assets.line.config import Line
from assets.quality.assets import build_assets
from assets.quality.gate import judge
from assets.records.line_store import BoundLine, LineStore, bind
from assets.records.verdict import partitions_name
from assets.storage.store import Store

pytestmark = [  # Dagster's own Pipes call what Dagster deprecates or previews
    pytest.mark.filterwarnings("ignore:AssetExecutionContext.run_id:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Function .PipesMessageReader.expected_writer_count"),
]
Land = Callable[[Line, dict[str, bytes]], str]


class Refuses(dg.IOManager):
    """Nothing may be pickled on the way."""

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        raise AssertionError("an IO manager was asked")

    def load_input(self, context: dg.InputContext) -> Any:
        raise AssertionError("an IO manager was asked")


def materialize(line: BoundLine, instance: dg.DagsterInstance, batch: str) -> dg.ExecuteInProcessResult:
    instance.add_dynamic_partitions(partitions_name(line.line), [batch])
    return dg.materialize(
        build_assets(line.line),
        resources={"store": line.store, "io_manager": Refuses()},
        instance=instance,
        partition_key=batch,
        raise_on_error=False,
    )


def checks(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    return {found.check_name: found.passed for found in result.get_asset_check_evaluations()}


def test_the_definition() -> None:
    from assets.line.config import parse_line

    data = {"reader": "image_folder", "classes": ["a", "b"], "image": {"height": 8, "width": 8}}
    (batch,) = build_assets(parse_line("my-line", {"data": data, "model": {"family": "cnn"}}, "test"))
    assert batch.key == dg.AssetKey(["my-line", "batch"])
    assert isinstance(batch.partitions_def, dg.DynamicPartitionsDefinition)
    assert batch.partitions_def.name == "my_line_batches"
    assert {spec.name: spec.blocking for spec in batch.check_specs} == {
        "batch_is_accepted": True,
        "suite_passed": False,
    }


def test_an_accepted_batch_is_materialized_with_its_report(
    store: Store, pictures: Line, put: Land, good: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGELOOP_REPORTS_URL", "http://reports.example/")
    batch = put(pictures, good)
    with dg.DagsterInstance.ephemeral() as instance:
        result = materialize(bind(store, pictures), instance, batch)
        assert result.success
        assert checks(result) == {"batch_is_accepted": True, "suite_passed": True}
        (event,) = result.asset_materializations_for_node("pets__batch")
        assert event.partition == batch
        assert event.metadata["accepted"].value == 12
        assert event.metadata["report"].value == f"http://reports.example/pets/{batch}/index.html"
        assert [entry.batch for _, entry in LineStore(store, "pets").accepted_batches()] == [batch]


def test_what_warns_is_named_in_the_check_the_metadata_and_the_log(store: Store, rows: Line, put: Land) -> None:
    table = "a,b,kind\n" + "".join(f"{n % 2},{n / 7:.3f},{'yes' if n % 2 else 'no'}\n" for n in range(400))
    batch = put(rows, {"test_bench_3.csv": table.encode()})
    with dg.DagsterInstance.ephemeral() as instance:
        result = materialize(bind(store, rows), instance, batch)
        verdict = LineStore(store, "rows").verdict(batch)
        assert verdict is not None
        *_, warning = verdict.warnings
        (note,) = verdict.notes
        assert (verdict.state, warning.name) == ("accepted", "no column gives the label away")
        assert "'test_bench_3.csv' for the split test" in note
        assert note.split("`")[0] in store.read(verdict.report).decode().replace("&#39;", "'")
        suite = next(c for c in result.get_asset_check_evaluations() if c.check_name == "suite_passed")
        assert (suite.passed, suite.severity) == (False, dg.AssetCheckSeverity.WARN)
        assert warning.name in str(suite.description)
        (event,) = result.asset_materializations_for_node("rows__batch")
        assert warning.name in str(event.metadata["warnings"].value)
        assert event.metadata["notes"].value == note
        told = [entry.user_message for entry in instance.all_logs(result.run_id)]
        assert any(warning.name in line and warning.detail in line for line in told)


def test_a_blocked_batch_records_its_checks_and_fails_without_a_retry(store: Store, pictures: Line, put: Land) -> None:
    batch = put(pictures, {"cat/a.png": b"junk", "bird/|x`.png": b"junk"})
    judge(bind(store, pictures), batch)  # as a first run did: its verdict is only shown again
    with dg.DagsterInstance.ephemeral() as instance:
        result = materialize(bind(store, pictures), instance, batch)
        assert not result.success
        assert checks(result) == {"batch_is_accepted": False, "suite_passed": False}
        assert result.asset_materializations_for_node("pets__batch") == []
        (failure,) = [event.step_failure_data for event in result.all_events if event.is_step_failure]
        assert failure.user_failure_data is not None
        verdict = LineStore(store, "pets").verdict(batch)
        assert verdict is not None
        assert "2 of 2 records are bad" in verdict.why
        assert str(failure.user_failure_data.description).startswith(verdict.why)
        remedy = "Fix the source and land it again: what is different is a new batch"
        assert remedy in str(failure.user_failure_data.description)
        assert remedy in store.read(verdict.report).decode()
        (gate,) = [c for c in result.get_asset_check_evaluations() if c.check_name == "batch_is_accepted"]
        assert remedy in str(gate.description)
        assert any(entry.user_message.startswith(verdict.why) for entry in instance.all_logs(result.run_id))
        assert f"/pets/{batch}/index.html" in str(failure.user_failure_data.description)
        assert failure.error is not None
        recorded = instance.event_log_storage.get_latest_asset_check_execution_by_key(
            [spec.key for spec in build_assets(pictures)[0].check_specs]
        )
        assert {key.name: record.status.value for key, record in recorded.items()} == {
            "batch_is_accepted": "FAILED",
            "suite_passed": "FAILED",
        }


def test_a_batch_that_never_landed_fails_once_with_its_reason(store: Store, pictures: Line) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        for key, reason in (("0" * 64, "land it first"), ("../x", "is no batch id")):
            result = materialize(bind(store, pictures), instance, key)
            (failure,) = [event.step_failure_data for event in result.all_events if event.is_step_failure]
            assert failure.user_failure_data is not None
            assert reason in str(failure.user_failure_data.description)


def test_a_missing_partition_is_refused_clearly(store: Store, pictures: Line) -> None:
    (batch,) = build_assets(pictures)
    job = dg.Definitions(
        assets=[batch], resources={"store": store, "io_manager": Refuses()}
    ).resolve_implicit_global_asset_job_def()
    with dg.DagsterInstance.ephemeral() as instance:
        result = job.execute_in_process(instance=instance, raise_on_error=False)
    failures = [event.step_failure_data for event in result.all_events if event.is_step_failure]
    assert failures
    assert failures[0].user_failure_data is not None
    assert "pick the batch to judge as its partition" in str(failures[0].user_failure_data.description)
