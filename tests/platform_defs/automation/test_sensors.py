"""What the sensors and the nightly schedule start: everything once, nothing twice, and words where nothing is due."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from assets.feedback.documents import ReportEntry, report_journal
from assets.ingest.generations import begin_generation
from assets.line.config import Line
from assets.records.line_store import LineStore, bind
from assets.storage.store import Store
from assets.training.triggers.claims import CLAIM_TAG, claim_journal, last_claim, next_claim
from assets.training.triggers.policy import everything
from platform_defs.automation.cursors import read_cursor, write_cursor
from platform_defs.automation.jobs import BATCH_TAG
from platform_defs.automation.locks import BUSY, line_lock
from platform_defs.automation.runs import ClaimState, claim_state
from platform_defs.automation.schedules import nightly_work
from tests.platform_defs.automation.automation_bench import Bench, jobs_of, keys, words

FAILURE, SUCCESS, CANCELED = dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.CANCELED
NIGHT = "nightly-2031-05-06-02-00"


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def bench(tmp_path: Path, instance: dg.DagsterInstance) -> Bench:
    return Bench(Store(str(tmp_path / "state")), instance)


def test_nothing_landed_is_said(bench: Bench) -> None:
    assert words(bench.new()) == "nothing new has landed; no accepted batch is waiting"
    assert words(bench.reconcile()) == "everything that landed is judged and trained on"


def test_a_code_location_that_was_not_reloaded_starts_no_retrain(bench: Bench) -> None:
    bench.judge(bench.list_landing(1))
    table = bench.line.config.data.table
    assert table is not None
    data = bench.line.config.data.model_copy(update={"table": table.model_copy(update={"columns": ("x1",)})})
    changed = Line(bench.line.name, bench.line.config.model_copy(update={"data": data}))
    begin_generation(bind(bench.store, bench.line))
    begin_generation(bind(bench.store, changed))
    assert "its contract was changed after this code location was loaded" in words(bench.new())
    assert bind(bench.store, bench.line).generations().length() == 2


def test_each_landed_batch_is_requested_once_by_its_digest(bench: Bench, tmp_path: Path) -> None:
    batches = [bench.land_csv(tmp_path, seed) for seed in range(3)]
    result = bench.tick("new")
    assert keys(result) == batches
    assert [request.partition_key for request in result.run_requests or []] == batches
    assert [request.tags[BATCH_TAG] for request in result.run_requests or []] == batches
    assert set(jobs_of(result)) == {"tiny_judge"}
    (partitions,) = result.dynamic_partitions_requests or []
    assert (partitions.partitions_def_name, list(partitions.partition_keys)) == ("tiny_batches", batches)
    assert result.cursor == "3"
    assert "nothing new has landed" in words(bench.new())


def test_a_batch_that_lands_twice_is_requested_once(bench: Bench, tmp_path: Path) -> None:
    first = bench.land_csv(tmp_path, 1)
    assert bench.land_csv(tmp_path, 1) == first
    landing = LineStore(bench.store, "tiny").landings().at(1)
    LineStore(bench.store, "tiny").landings().append(landing)  # as after a crash
    result = bench.tick("new")
    assert (keys(result), result.cursor) == ([first], "2")
    bench.end(bench.active("judge")[0].run_id, FAILURE)
    assert keys(bench.tick("reconcile")) == [f"{first}:retry1"]


def test_folders_ready_out_of_order_are_all_seen(bench: Bench) -> None:
    later = bench.drop("2031-05-06", 1)
    bench.tick("new")
    bench.tick("reconcile")
    assert keys(bench.tick("new")) == [later]
    older = bench.drop("2031-05-05", 2)  # its manifest appears only now, in a folder that sorts before
    again = bench.drop("2031-05-07", 1)  # another folder with the batch that is known already
    assert again == later
    assert "1 unlisted batches found" in words(bench.tick("reconcile"))
    assert keys(bench.tick("new")) == [older]
    assert "nothing new" in words(bench.new())


def test_a_broken_manifest_is_told_and_stops_no_other(bench: Bench) -> None:
    for number, text in enumerate(["{", "[]", '{"schema": "edgeloop.batch_manifest/9"}', "", "\x00", "null", "3"]):
        bench.store.write(f"landing/tiny/bad-{number}/manifest.json", text.encode())
    good = bench.drop("good", 1)
    told = words(bench.tick("reconcile"))
    assert "bad-0/manifest.json: " in told
    assert "remove the folder" in told
    assert told.endswith("and 4 more"), "of seven broken folders and a found batch, five are told"
    assert keys(bench.tick("new")) == [good]


def test_a_judged_batch_is_not_requested(bench: Bench, tmp_path: Path) -> None:
    judged, waiting = bench.land_csv(tmp_path, 1), bench.land_csv(tmp_path, 2)
    bench.judge(judged, "blocked")
    result = bench.tick("new")
    assert keys(result) == [waiting]
    (partitions,) = result.dynamic_partitions_requests or []
    assert set(partitions.partition_keys) == {judged, waiting}, "people see every landed batch"


@pytest.mark.parametrize("status", [FAILURE, CANCELED, SUCCESS])
def test_an_unjudged_batch_is_retried_up_to_the_limit_then_told(
    tmp_path: Path, instance: dg.DagsterInstance, status: dg.DagsterRunStatus
) -> None:
    bench = Bench(Store(str(tmp_path / "state")), instance, retrain={"max_retries": 2})
    batch, sound = bench.land_csv(tmp_path, 1), bench.land_csv(tmp_path, 2)
    bench.tick("new")
    for run in bench.active("judge"):
        if run.tags[BATCH_TAG] == sound:
            bench.judge(sound)
        bench.end(run.run_id, status)
    for retry in (1, 2):
        result = bench.tick("reconcile")
        assert keys(result) == [f"{batch}:retry{retry}"]
        (partitions,) = result.dynamic_partitions_requests or []
        assert list(partitions.partition_keys) == [batch], "its partition may have been removed by hand"
        assert words(bench.tick("reconcile")), "while a retry is under way, there is none"
        bench.end(bench.active("judge")[0].run_id, status)
    assert f"batch {batch[:12]} was not judged in 2 retries" in words(bench.tick("reconcile"))
    bench.judge(batch)
    bench.tick("reconcile")
    assert bench.cursors["reconcile"] == (2, 0), "settled once every batch has its verdict"


def test_a_verdict_between_the_two_looks_makes_no_retry(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = bench.list_landing(1)
    bench.tick("new")
    looked = bench.instance.get_runs

    def judged_meanwhile(*args: object, **kwargs: object) -> object:
        for run in looked(filters=dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
            bench.judge_run(run, "blocked")
        return looked(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(bench.instance, "get_runs", judged_meanwhile)
    assert batch not in " ".join(keys(bench.reconcile()))


def test_a_batch_that_landed_again_is_judged_anew_until_that_succeeds(bench: Bench) -> None:
    batch = bench.list_landing(1)
    bench.tick("new")
    bench.judge(batch, "blocked")  # by rules that the line has no longer: the verdict names none
    bench.refuse(bench.active("judge")[0].run_id)
    assert words(bench.tick("reconcile"))
    bench.list_landing(1, again="rules-2")
    assert keys(bench.tick("new")) == [f"{batch}:rules-2"]
    assert words(bench.tick("reconcile")), "it is under way"
    bench.end(bench.active("judge")[0].run_id, FAILURE)
    assert keys(bench.tick("reconcile")) == [f"{batch}:rules-2:retry1"]
    bench.refuse(bench.active("judge")[0].run_id)  # the gate blocks it once more
    assert words(bench.tick("reconcile")) == "everything that landed is judged and trained on"
    assert bench.cursors["reconcile"] == (2, 0)
    bench.list_landing(1, again="rules-2")
    bench.tick("new")
    assert bench.active("judge") == [], "listed twice, judged anew once"


def test_a_backlog_that_nobody_requests_is_told(bench: Bench) -> None:
    bench.list_landing(1)
    assert "1 landed batches wait for tiny_new_batch_sensor" in words(bench.reconcile())


def _claimed(bench: Bench, number: int = 1) -> str:
    """Land and accept a batch and have it claimed; returns the claim's run key."""
    bench.judge(bench.list_landing(number))
    result = bench.tick("new")
    claim = last_claim(LineStore(bench.store, "tiny"))
    assert claim is not None
    assert keys(result) == [claim.run_key]
    return claim.run_key


def test_a_retrain_is_claimed_once_and_requested_until_its_run_appears(bench: Bench) -> None:
    batch = bench.list_landing(1)
    bench.judge(batch)
    request = (bench.new().run_requests or [])[0]  # the daemon died before it made the run
    again = bench.tick("new")
    assert keys(again) == [request.run_key]
    assert jobs_of(again) == ["tiny_retrain"]
    assert (again.run_requests or [])[0].tags == request.tags
    assert request.tags[CLAIM_TAG] == request.run_key
    assert claim_journal(LineStore(bench.store, "tiny")).length() == 1
    assert "the last retrain: its run is under way" in words(bench.tick("new"))
    assert "the last retrain: its run is under way" in words(bench.tick("reconcile"))
    bench.end(bench.active("retrain")[0].run_id, SUCCESS)
    assert "no accepted batch is waiting" in words(bench.tick("new"))


def test_a_failed_retrain_is_retried_then_its_batches_go_into_the_next_claim(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    bench = Bench(Store(str(tmp_path / "state")), instance, retrain={"max_retries": 2})
    key = _claimed(bench)
    for retry in (1, 2):
        bench.end(bench.active("retrain")[0].run_id, FAILURE)
        assert "will be started again" in words(bench.tick("new"))
        result = bench.tick("reconcile")
        assert keys(result) == [f"{key}:retry{retry}"]
        assert (result.run_requests or [])[0].tags[CLAIM_TAG] == key
    bench.end(bench.active("retrain")[0].run_id, FAILURE)
    assert "failed too often" in words(bench.tick("reconcile"))
    assert "wait for the next accepted one" in words(bench.tick("new")), "the same batches would only fail again"
    following = _claimed(bench, 2)
    claim = last_claim(LineStore(bench.store, "tiny"))
    assert claim is not None
    assert (following != key, len(claim.batches)) == (True, 2)


def test_what_was_refused_is_not_retried(bench: Bench) -> None:
    batch = bench.list_landing(7)
    bench.tick("new")
    bench.refuse(bench.active("judge")[0].run_id)
    assert f"batch {batch[:12]} was refused; its run says why" in words(bench.tick("reconcile"))
    _claimed(bench)
    bench.refuse(bench.active("retrain")[0].run_id)
    assert "the last retrain: it was refused" in words(bench.tick("reconcile"))
    assert "wait for the next accepted one" in words(bench.tick("new"))


def test_a_crash_after_a_refusal_is_retried(bench: Bench) -> None:
    key = _claimed(bench)
    (first,) = bench.active("retrain")
    second = bench.start("by hand", dg.RunRequest(run_key=key, job_name="tiny_retrain", tags=first.tags))
    assert second is not None
    bench.refuse(second)  # another run was at it
    bench.end(first.run_id, FAILURE)  # and that one died
    assert keys(bench.tick("reconcile")) == [f"{key}:retry2"]


def test_few_records_wait_in_words(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    bench = Bench(Store(str(tmp_path / "state")), instance, retrain={"min_new_records": 15})
    bench.judge(bench.list_landing(1))
    assert "10 new records are waiting, retrain.min_new_records is 15" in words(bench.new())
    bench.judge(bench.list_landing(2))
    bench.tick("new")
    claim = last_claim(LineStore(bench.store, "tiny"))
    assert claim is not None
    assert len(claim.batches) == 2


def test_a_device_report_is_observed_once(bench: Bench) -> None:
    journal = report_journal(bench.store)
    journal.append(ReportEntry("device-1", "other", 1, "activated", "r"))
    assert words(bench.tick("reconcile"))
    journal.append(ReportEntry("device-2", "tiny", 1, "activated", "r"))
    journal.append(ReportEntry("device-2", "tiny", 2, "rolled_back", "r"))
    journal.append(ReportEntry("device-2", "tiny", 3, "unchanged", "r"))
    result = bench.tick("reconcile")
    assert (keys(result), jobs_of(result)) == (["report-3"], ["tiny_observe"])
    assert words(bench.tick("reconcile")), "what else is to say is not hidden by a report that was seen"
    journal.append(ReportEntry("device-2", "tiny", 4, "unchanged", "r"))
    assert words(bench.tick("reconcile")), "a device that is only still there makes no run"


@pytest.mark.parametrize("cursor", [None, "", "abc", "-3", "99", "1,2,3", "9" * 500, "\N{SUPERSCRIPT TWO}"])
def test_a_cursor_that_is_none_starts_over(bench: Bench, cursor: str | None) -> None:
    bench.list_landing(1)
    journals = [LineStore(bench.store, "tiny").landings(), report_journal(bench.store)]
    assert read_cursor(cursor, journals) in {(0, 0), (1, 0)}
    assert read_cursor(write_cursor(1, 0), journals) == (1, 0)


@pytest.fixture(scope="module")
def kept_instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    """On disk, as Dagster needs it to evaluate schedules and dynamic partitions."""
    with dg.DagsterInstance.local_temp(str(tmp_path_factory.mktemp("dagster"))) as made:
        yield made


@pytest.fixture
def kept(tmp_path: Path, kept_instance: dg.DagsterInstance) -> Bench:
    return Bench(Store(str(tmp_path / "state")), kept_instance)


def _evaluate(bench: Bench, sensor: str, cursor: str | None) -> dg.SensorExecutionData:
    repository = bench.definitions().get_repository_def()
    with dg.SensorEvaluationContext(
        instance_ref=bench.instance.get_ref(),
        last_tick_completion_time=None,
        last_run_key=None,
        cursor=cursor,
        log_key=None,
        repository_name=repository.name,
        repository_def=repository,
        sensor_name=sensor,
        resources={"store": repository.get_top_level_resources()["store"]},
    ) as context:
        return repository.get_sensor_def(sensor).evaluate_tick(context)


@pytest.mark.parametrize("sensor", ["tiny_new_batch_sensor", "tiny_reconcile_sensor"])
@pytest.mark.parametrize("cursor", [None, "x", "-1"])
def test_dagster_always_gets_requests_or_a_reason(kept: Bench, sensor: str, cursor: str | None) -> None:
    quiet = _evaluate(kept, sensor, cursor)
    assert (quiet.run_requests, bool(quiet.skip_message)) == ([], True)
    batch = kept.list_landing(1)
    told = _evaluate(kept, sensor, cursor)
    assert bool(told.run_requests) != bool(told.skip_message)
    if sensor == "tiny_new_batch_sensor":
        assert [(request.run_key, request.partition_key) for request in told.run_requests or []] == [(batch, batch)]
        assert told.cursor == "1"


def test_a_line_that_another_process_works_on_is_left_alone(kept: Bench) -> None:
    batch = kept.list_landing(1)
    path = Path(kept.store.path("locks/tiny.lock"))
    path.parent.mkdir(parents=True)
    code = "import fcntl,sys; f=open(sys.argv[1],'a'); fcntl.flock(f, 2); print('held', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        for sensor in ("tiny_new_batch_sensor", "tiny_reconcile_sensor"):
            data = _evaluate(kept, sensor, None)
            assert (data.run_requests, data.skip_message, data.cursor) == ([], BUSY, None)
        with line_lock(LineStore(kept.store, "tiny"), wait_seconds=0.2) as free:
            assert not free
        other.communicate(b"\n")
    with line_lock(LineStore(kept.store, "tiny")) as free:
        assert free
        with line_lock(LineStore(kept.store, "tiny")) as twice:
            assert not twice
        with line_lock(LineStore(kept.store, "other line")) as other_free:
            assert other_free
    assert [request.run_key for request in _evaluate(kept, "tiny_new_batch_sensor", None).run_requests or []] == [batch]


def test_a_short_tick_does_not_turn_a_command_away(bench: Bench) -> None:
    path = Path(bench.store.path("locks/tiny.lock"))
    path.parent.mkdir(parents=True)
    code = "import fcntl,sys,time; f=open(sys.argv[1],'a'); fcntl.flock(f, 2); print(1, flush=True); time.sleep(.3)"
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with line_lock(LineStore(bench.store, "tiny"), wait_seconds=280) as free:
            assert free


def _nightly(bench: Bench) -> dg.RunRequest | dg.SkipReason:
    return nightly_work(bind(bench.store, bench.line), bench.jobs, bench.instance, NIGHT)


def test_nightly_takes_what_the_policy_still_waits_for(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    bench = Bench(Store(str(tmp_path / "state")), instance, retrain={"min_new_records": 1000})
    skipped = _nightly(bench)
    assert isinstance(skipped, dg.SkipReason)
    assert skipped.skip_message == "no accepted batch is waiting"
    bench.judge(bench.list_landing(1))
    request = _nightly(bench)
    assert isinstance(request, dg.RunRequest)
    claim = last_claim(LineStore(bench.store, "tiny"))
    assert claim is not None
    assert (request.run_key, request.tags[CLAIM_TAG], claim.trigger) == (claim.run_key, claim.run_key, "nightly")
    for state in ("not requested yet", "under way", "will be started again"):
        skipped = _nightly(bench)
        assert isinstance(skipped, dg.SkipReason)
        assert state in (skipped.skip_message or "")
        if state == "not requested yet":
            bench.start("nightly", request)
        elif state == "under way":
            bench.end(bench.active("retrain")[0].run_id, FAILURE)
    bench.tick("reconcile")
    bench.end(bench.active("retrain")[0].run_id, SUCCESS)
    assert claim_state(bench.instance, claim, 3)[0] is ClaimState.DONE
    assert _nightly(bench) == dg.RunRequest(run_key=NIGHT), "nothing waits: the steps' results are reused"


def test_nightly_takes_given_up_batches(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    bench = Bench(Store(str(tmp_path / "state")), instance, retrain={"max_retries": 0})
    key = _claimed(bench)
    bench.end(bench.active("retrain")[0].run_id, FAILURE)
    request = _nightly(bench)
    assert isinstance(request, dg.RunRequest)
    assert request.tags[CLAIM_TAG] != key
    assert [len(claim.batches) for _, claim in claim_journal(LineStore(bench.store, "tiny")).after(0)] == [1, 1]


def test_dagster_evaluates_the_nightly_schedule(kept: Bench) -> None:
    repository = kept.definitions().get_repository_def()
    schedule = repository.get_schedule_def("tiny_nightly_retrain")
    context = dg.build_schedule_context(
        instance=kept.instance,
        repository_def=repository,
        scheduled_execution_time=datetime(2031, 5, 6, 2, tzinfo=UTC),
        resources={"store": kept.store},
    )
    assert schedule.evaluate_tick(context).skip_message == "no accepted batch is waiting"
    kept.judge(kept.list_landing(1))
    claim, _ = next_claim(LineStore(kept.store, "tiny"), "command", 0.0, everything)
    assert claim is not None
    assert "not requested yet" in str(schedule.evaluate_tick(context).skip_message)
    kept.start(
        "command", dg.RunRequest(run_key=claim.run_key, job_name="tiny_retrain", tags={CLAIM_TAG: claim.run_key})
    )
    kept.end(kept.active("retrain")[0].run_id, SUCCESS)
    (request,) = schedule.evaluate_tick(context).run_requests or []
    assert request.run_key == NIGHT
    assert CLAIM_TAG not in request.tags
