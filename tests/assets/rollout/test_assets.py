"""`release` and `rollout` as Dagster runs them: proof without gaps, and each promotion policy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets.compression.documents import ChosenModel
from assets.line.config import Line
from assets.records.line_store import BoundLine, LineStore, bind
from assets.records.verdict import Accepted
from assets.release import assets as release_assets
from assets.release.documents import ReleaseRecord, RolloutRecord, rollout_journal
from assets.release.published import releases
from assets.release.repository import current_deployment
from assets.rollout import assets as rollout_assets
from assets.rollout import promote as rollout
from assets.rollout.promote import promote
from assets.storage import layout
from assets.storage.store import Store
from edge.contracts import Deployment, chain_gap
from edge.errors import RejectedError
from tests.assets.release.release_parts import land_heads, toy_line


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path))


def both_assets(line: Line) -> list[dg.AssetsDefinition]:
    return [*release_assets.build_assets(line), *rollout_assets.build_assets(line)]


def run(line: BoundLine, fine: bool = True) -> dg.ExecuteInProcessResult:
    result = dg.materialize(both_assets(line.line), resources={"store": line.store}, raise_on_error=False)
    assert result.success is fine
    return result


def rollout_of(store: Store) -> RolloutRecord:
    return store.newest("toy", RolloutRecord)


def test_release_carries_the_whole_proof(store: Store) -> None:
    line = toy_line("auto")
    engines = land_heads(bind(store, line), 2)
    result = run(bind(store, line))
    record = store.newest("toy", ReleaseRecord)
    manifest = record.manifest
    assert (manifest.sequence, manifest.demo_keys, len(manifest.provenance.batches)) == (2, True, 2)
    for artifact in manifest.artifacts:
        assert chain_gap(artifact.evidence.parity, engines.teacher, artifact.file.sha256) is None
    assert [artifact.file.uri for artifact in manifest.artifacts] == ["cpu-x86.onnx", "rtx-sm86.plan"]
    assert manifest.provenance.parity
    (check,) = result.get_asset_check_evaluations()
    assert (check.check_name, check.passed) == ("release_chain_has_no_gap", True)
    assert rollout_of(store).decision == "promoted"
    run(bind(store, line))  # the same again: nothing new
    assert rollout_of(store).decision == "unchanged"
    assert len(releases(LineStore(store, "toy"))) == 1


@pytest.mark.parametrize(
    ("broken", "reason"), [("failed", "failed its parity"), ("gap", "starts from"), ("dataset", "dataset")]
)
def test_gap_is_refused(store: Store, broken: str, reason: str) -> None:
    line = toy_line("auto")
    land_heads(bind(store, line), broken=broken)
    result = run(bind(store, line), fine=False)
    (check,) = result.get_asset_check_evaluations()
    assert not check.passed
    assert reason in str(check.description)
    failure = result.failure_data_for_node(result.get_step_failure_events()[0].step_key)
    assert failure is not None
    assert "proof has a gap" in str(failure.user_failure_data.description)  # type: ignore[union-attr]
    assert releases(LineStore(store, "toy")) == []
    assert current_deployment(LineStore(store, "toy"), "canary") is None


@pytest.mark.parametrize(("promotion", "word"), [("manual", "manual"), ("gated", "rtx-sm86")])
def test_policy_that_waits_says_what_to_do(store: Store, promotion: str, word: str) -> None:
    line = toy_line(promotion)
    land_heads(bind(store, line))
    run(bind(store, line))
    waiting = rollout_of(store)
    assert waiting.decision == "waiting"
    assert word in waiting.why
    assert f"edgeloop promote toy {waiting.release[:12]}" in waiting.why
    assert waiting.deployment is None
    done = promote(bind(store, line), waiting.release[:12])
    assert done.decision == "promoted"
    assert done.deployment is not None
    assert done.deployment.serial == 1
    assert promote(bind(store, line), waiting.release).decision == "unchanged"


def test_older_never_replaces_newer_and_rollbacks_last(store: Store) -> None:
    line = toy_line("auto")
    land_heads(bind(store, line), 1)
    run(bind(store, line))
    first = rollout_of(store).release
    land_heads(bind(store, line), 2)
    run(bind(store, line))
    second = rollout_of(store).release
    land_heads(bind(store, line), 1)
    run(bind(store, line))
    late = rollout_of(store)
    assert (late.decision, late.release) == ("unchanged", first)
    assert late.deployment is not None
    assert late.deployment.release == second
    back = promote(bind(store, line), first[:12])
    assert back.deployment is not None
    assert (back.why, back.deployment.serial) == ("rolled back by hand", 3)
    land_heads(bind(store, line), 2)
    run(bind(store, line))  # the nightly run makes the same release again: a person's rollback stands
    again = rollout_of(store)
    assert (again.decision, again.release) == ("waiting", second)
    assert "moved away" in again.why
    assert [entry.release for _, entry in rollout_journal(LineStore(store, "toy"), "canary").after(0)] == [
        first,
        second,
        first,
    ]


class Crash(BaseException):
    """The process ended here."""


@pytest.mark.parametrize("by", ["policy", "person"])
def test_crash_before_the_journal_is_mended_and_nobody_is_overruled(
    store: Store, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    """The second release is signed, then the process ends; a person moves the group back; the nightly run comes."""
    line = toy_line("auto")
    land_heads(bind(store, line), 1)
    run(bind(store, line))
    first = rollout_of(store).release
    land_heads(bind(store, line), 2)
    if by == "person":
        run(bind(store, toy_line("manual")))
    with monkeypatch.context() as patch:
        patch.setattr("assets.rollout.promote._note", crash_after_signing)
        with pytest.raises(Crash):
            if by == "person":
                promote(bind(store, line), releases(LineStore(store, "toy"))[-1].release)
            else:
                dg.materialize(both_assets(line), resources={"store": store})
    second = releases(LineStore(store, "toy"))[-1].release
    current = current_deployment(LineStore(store, "toy"), "canary")
    assert current is not None
    assert (current.release, current.serial) == (second, 2)
    promote(bind(store, line), first)
    run(bind(store, line))
    assert rollout_of(store).decision == "waiting"
    current = current_deployment(LineStore(store, "toy"), "canary")
    assert current is not None
    assert (current.release, current.serial) == (first, 3)
    entries = [entry for _, entry in rollout_journal(LineStore(store, "toy"), "canary").after(0)]
    assert [entry.release for entry in entries] == [first, second, first]
    assert "interrupted" in entries[1].why


def crash_after_signing(store: Store, rollout: RolloutRecord) -> None:
    if rollout.deployment is not None and rollout.deployment.serial == 2:
        raise Crash


def test_unchanged_mends_the_journal(store: Store) -> None:
    line = toy_line("auto")
    land_heads(bind(store, line), 1)
    run(bind(store, line))
    Path(store.path(f"store/toy/rollouts/canary/{1:012d}.json")).unlink()
    run(bind(store, line))
    assert rollout_of(store).decision == "unchanged"
    assert [entry.release for _, entry in rollout_journal(LineStore(store, "toy"), "canary").after(0)] == [
        rollout_of(store).release
    ]


def test_promote_between_decision_and_signature_is_not_overwritten(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The policy would take the group from 1 to 2; meanwhile a person moves it to 3: the policy decides again."""
    line = toy_line("manual")
    records = []
    for position in (1, 2, 3):
        land_heads(bind(store, line), position)
        run(bind(store, line))
        records.append(store.newest("toy", ReleaseRecord))
    promote(bind(store, line), records[0].release)
    real = rollout.deploy

    def overtaken(*args: Any, **options: Any) -> Deployment:
        monkeypatch.setattr(rollout, "deploy", real)
        promote(bind(store, line), records[2].release)
        return real(*args, **options)

    monkeypatch.setattr(rollout, "deploy", overtaken)
    done = rollout.roll_out(bind(store, toy_line("auto")), records[1])
    assert done.decision == "unchanged"
    assert done.deployment is not None
    assert (done.deployment.release, done.deployment.serial) == (records[2].release, 2)
    journal = rollout_journal(LineStore(store, "toy"), "canary")
    assert [entry.release for _, entry in journal.after(0)] == [records[0].release, records[2].release]


def test_run_uses_its_own_dataset_and_chosen_model(store: Store) -> None:
    """Someone materializes `dataset` and `chosen_model` by hand after the engines were made: that is no gap."""
    line = toy_line("auto")
    engines = land_heads(bind(store, line), 1)
    chosen = store.newest("toy", ChosenModel)
    dataset = LineStore(store, "toy").dataset(engines.dataset)
    store.write("store/toy/steps/chosen_model/0.json", b"{}")
    store.save(f"store/toy/steps/chosen_model/{'1' * 64}.json", chosen)
    store.set_newest("toy", replace(dataset, position=2))
    store.set_newest("toy", replace(chosen, dataset="9" * 64, position=2))
    run(bind(store, line))
    record = store.newest("toy", ReleaseRecord)
    assert record.manifest.provenance.dataset == engines.dataset
    Path(store.path(f"store/toy/steps/chosen_model/{'1' * 64}.json")).unlink()
    result = run(bind(store, line), fine=False)
    (check,) = result.get_asset_check_evaluations()
    assert "different datasets" in str(check.description)


def test_promote_refuses_what_it_cannot_name(store: Store) -> None:
    line = toy_line("manual")
    for position in (1, 2):
        land_heads(bind(store, line), position)
        run(bind(store, line))
    with pytest.raises(RejectedError, match="has no release 'ffffffff'"):
        promote(bind(store, line), "ffffffff")
    for text in ("", "abc", "../../../etc", "G" * 12):
        with pytest.raises(RejectedError, match="hex digits"):
            promote(bind(store, line), text)
    known = releases(LineStore(store, "toy"))
    assert [record.sequence for record in known] == [1, 2]
    with pytest.raises(RejectedError, match="group"):
        promote(bind(store, line), known[0].release, group="../x")


def test_artifact_changed_in_the_store_is_not_released(store: Store) -> None:
    line = toy_line("auto")
    engines = land_heads(bind(store, line))
    store.write(engines.engines[1].file.uri, b"vtrt something else")
    run(bind(store, line), fine=False)
    assert releases(LineStore(store, "toy")) == []


def test_the_first_model_of_a_generation_waits_for_a_person_and_the_next_does_not(store: Store) -> None:
    line = bind(store, toy_line("auto"))
    land_heads(line, 2)
    run(line)
    record = store.newest("toy", ReleaseRecord)
    decide = rollout.decide
    later = replace(record, release="7" * 64, sequence=3)
    decision, why = decide("auto", later, current_deployment(line, "canary"), frozenset({record.release}), 2)
    assert decision == "waiting"
    assert "first model of generation 2" in why
    assert f"edgeloop promote toy {later.release[:12]}" in why
    assert rollout._first_of(line, record, frozenset()) is None
    line.accepted().append(Accepted("b" * 64, 1, 0.0, generation=2))
    later = replace(record, release="7" * 64, sequence=line.accepted().length())
    assert rollout._first_of(line, later, frozenset({record.release})) == 2
    store.save(f"{layout.releases('toy')}/{later.release}.json", later)
    assert rollout._first_of(line, replace(later, release="8" * 64), frozenset({later.release})) is None
