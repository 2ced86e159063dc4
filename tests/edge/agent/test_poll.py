"""The agent against a real server: what is followed, and what is refused while the old release still serves."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from assets.feedback.fleet import fleet
from assets.records.line_store import LineStore
from assets.release.repository import deploy, publish
from edge.agent.cli import main
from edge.agent.enrol import enrol
from edge.agent.home import Enrolment, Home
from edge.agent.identity import detect_profile
from edge.agent.poll import Outcome, poll
from edge.contracts import TARGETS, DeviceProfile, Evidence, PlanHeader, ReleaseArtifact, SelfTest
from edge.errors import TransientError
from tests.edge.agent.toy_releases import GROUP, LINE, Platform, reference, toy_onnx, toy_release


def quick_trial(slot: Path, target: str) -> SelfTest:
    """Stands in for the self-test where a test is about something else."""
    return SelfTest(True, "0" * 64, 1, 1.0, 0.0)


@pytest.fixture
def device(platform: Platform, home: Home) -> Home:
    enrol(home, platform.url, "gate-7", LINE, GROUP, None)
    return home


def last_event(platform: Platform) -> tuple[str, str, str]:
    (status,) = fleet(platform.store)
    return status.event, status.release, status.reason


def assert_still_serves(platform: Platform, device: Home, release: str, outcome: Outcome, reason: str) -> None:
    """Refused with a reason, the old release sound and in use, and the platform told so."""
    assert outcome.event == "refused"
    assert reason in outcome.reason
    assert outcome.release == release
    assert device.state().active == release
    assert device.link.resolve() == device.slot(release).resolve()
    row = device.path / "row.json"
    row.write_text('{"a": 3, "b": 1}')
    assert main(["--home", str(device.path), "predict", str(row)]) == 0
    event, reported, why = last_event(platform)
    assert (event, reported) == ("refused", release)
    assert reason in why


def test_enrol_poll_activate_predict(
    platform: Platform, home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = ["--home", str(home.path)]
    enroll = [*base, "enroll", "--server", platform.url, "--device", "gate-7", "--line", LINE, "--group", GROUP]
    assert main([*enroll, "--json"]) == 0
    fingerprint = json.loads(capsys.readouterr().out)["root_sha256"]
    assert fingerprint == hashlib.sha256(platform.store.read("tuf/metadata/1.root.json")).hexdigest()
    assert (home.key.stat().st_mode & 0o777) == 0o600

    assert main([*base, "poll"]) == 0  # nothing is rolled out yet
    assert "nothing is rolled out" in capsys.readouterr().out

    first = platform.release(1, 1.0)
    assert main([*base, "poll", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["event"], told["release"], told["waiting"]) == ("activated", first.release, 0)
    assert told["self_test"]["passed"] is True
    assert told["self_test"]["latency"]["median_ms"] > 0

    row = tmp_path / "row.csv"
    row.write_text("a,b\n1,4\n")
    assert main([*base, "predict", str(row), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["label"], answer["release"]) == ("b", first.release)

    second = platform.release(2, 2.0)
    assert main([*base, "poll"]) == 0
    assert main([*base, "status", "--json"]) == 0
    status = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (status["release"], status["previous"], status["healthy"]) == (second.release, first.release, True)
    assert last_event(platform)[:2] == ("activated", second.release)

    assert poll(home).event == "unchanged"
    platform.deploy(first)  # a person goes back
    back = poll(home)
    assert (back.event, back.release) == ("rolled_back", first.release)
    third = platform.release(3, 3.0)
    assert poll(home, quick_trial).release == third.release
    assert sorted(path.name for path in home.slots.iterdir()) == sorted([third.release, first.release])


def test_tampered_artifact_is_refused(platform: Platform, device: Home) -> None:
    first = platform.release(1, 1.0)
    poll(device, quick_trial)
    second = platform.release(2, 2.0)
    path = platform.target_file(second, "cpu-x86.onnx")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert_still_serves(platform, device, first.release, poll(device), "not the one that was signed")
    data[len(data) // 2] ^= 1
    path.write_bytes(data)  # mended on the server: not held against the release
    assert poll(device).release == second.release


@pytest.mark.parametrize("name", ["golden.json", "manifest.json", "cpu-x86.onnx"])
def test_missing_file_is_refused(platform: Platform, device: Home, name: str) -> None:
    first = platform.release(1, 1.0)
    poll(device, quick_trial)
    platform.target_file(platform.release(2, 2.0), name).unlink()
    assert_still_serves(platform, device, first.release, poll(device), "does not have this file")


def test_stale_metadata_is_refused(platform: Platform, device: Home) -> None:
    first = platform.release(1, 1.0)
    poll(device, quick_trial)
    platform.release(2, 2.0)
    platform.let_timestamp_expire()
    assert_still_serves(platform, device, first.release, poll(device), "stale metadata")


def test_metadata_that_goes_back_is_refused(platform: Platform, device: Home) -> None:
    platform.release(1, 1.0)
    old = platform.store.read("tuf/metadata/timestamp.json")
    second = platform.release(2, 2.0)
    poll(device, quick_trial)
    platform.store.write("tuf/metadata/timestamp.json", old)
    assert_still_serves(platform, device, second.release, poll(device), "goes back to an older version")


def test_metadata_of_strangers_is_refused(platform: Platform, device: Home, tmp_path: Path) -> None:
    first = platform.release(1, 1.0)
    poll(device, quick_trial)
    from assets.release.repository import ensure_repository
    from assets.storage.store import Store

    stranger = Store(str(tmp_path / "stranger"))
    ensure_repository(stranger, (LINE,))
    platform.store.write("tuf/metadata/timestamp.json", stranger.read("tuf/metadata/timestamp.json"))
    assert_still_serves(platform, device, first.release, poll(device), "not signed by the keys this device trusts")


def test_clock_before_what_was_seen_is_refused(
    platform: Platform, device: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = platform.release(1, 1.0)
    poll(device, quick_trial)
    monkeypatch.setattr("edge.agent.fetch.time.time", lambda: 1_000_000_000.0)
    assert_still_serves(platform, device, first.release, poll(device), "set the clock")


def test_engine_for_another_sm_is_refused(platform: Platform, device: Home) -> None:
    first = platform.release(1, 1.0)
    poll(device, quick_trial)
    manifest, files = toy_release(2, 2.0)
    plan = b"vtrt" + bytes(60)
    artifact = ReleaseArtifact(
        TARGETS["rtx-sm89"],
        reference("rtx-sm89.plan", plan, "plan"),
        Evidence(hashlib.sha256(plan).hexdigest()),
        PlanHeader("vtrt", "1.7.1.116", 89),
    )
    manifest = replace(manifest, artifacts=(artifact,))
    record = publish(
        LineStore(platform.store, LINE), manifest, {"golden.json": files["golden.json"], "rtx-sm89.plan": plan}
    )
    platform.deploy(record)

    def on_sm86(enrolment: Enrolment, public_key: str) -> DeviceProfile:
        runtimes = {"tensorrt_rtx": "1.7.1.116", "onnxruntime": "1.31.1"}
        return replace(detect_profile(enrolment, public_key), sm=86, runtimes=runtimes)

    assert_still_serves(platform, device, first.release, poll(device, detect=on_sm86), "SM89")
    assert not device.slot(record.release).exists()  # refused before anything large was fetched


def test_plan_whose_bytes_lie_is_refused(platform: Platform, device: Home) -> None:
    first = platform.release(1, 1.0)
    poll(device, quick_trial)
    manifest, files = toy_release(2, 2.0)
    plan = bytearray(64)
    plan[:4], plan[16], plan[24:28], plan[32] = b"vtrt", 64, bytes([1, 7, 1, 116]), 0b1000  # SM89, says its mask
    artifact = ReleaseArtifact(
        TARGETS["rtx-sm86"],
        reference("rtx-sm86.plan", bytes(plan), "plan"),
        Evidence(hashlib.sha256(plan).hexdigest()),
        PlanHeader("vtrt", "1.7.1.116", 86),
    )
    files = {"golden.json": files["golden.json"], "rtx-sm86.plan": bytes(plan)}
    platform.deploy(publish(LineStore(platform.store, LINE), replace(manifest, artifacts=(artifact,)), files))

    def on_sm86(enrolment: Enrolment, public_key: str) -> DeviceProfile:
        return replace(detect_profile(enrolment, public_key), sm=86, runtimes={"tensorrt_rtx": "1.7.1.116"})

    assert_still_serves(platform, device, first.release, poll(device, detect=on_sm86), "SM89")


def test_failed_self_test_is_refused_and_not_repeated(platform: Platform, device: Home) -> None:
    first = platform.release(1, 1.0)
    poll(device, quick_trial)
    second = platform.release(2, 2.0, golden_scale=-2.0)
    outcome = poll(device)
    assert_still_serves(platform, device, first.release, outcome, "the self-test of cpu-x86 failed")
    assert outcome.self_test is not None
    assert outcome.self_test.agreement == 0

    def never(slot: Path, target: str) -> SelfTest:
        raise AssertionError("tested again")

    again = poll(device, never)
    assert_still_serves(platform, device, first.release, again, "refused before")
    assert poll(device, quick_trial, retry=True).release == second.release


def test_unknown_contract_version_is_refused(platform: Platform, device: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    first = platform.release(1, 1.0)
    poll(device, quick_trial)
    with monkeypatch.context() as patch:
        from edge.contracts import ReleaseManifest

        patch.setattr(ReleaseManifest, "__document__", ("edgeloop.release", "2.0"))
        platform.release(2, 2.0)
    assert_still_serves(platform, device, first.release, poll(device), "version '2.0' is not known here")


def test_older_release_needs_a_new_serial(platform: Platform, device: Home) -> None:
    from edge.agent.home import State
    from edge.agent.poll import check_deployment
    from edge.contracts import Deployment
    from edge.errors import VerificationError

    enrolment = device.enrolment()

    def offer(release: str, serial: int) -> Deployment:
        path = f"releases/{LINE}/{release}/manifest.json"
        return Deployment(LINE, GROUP, release, path, 1, serial)

    old, new = "a" * 64, "b" * 64
    state = State(active=new, deployed=new, serial=4)
    check_deployment(offer(old, 5), enrolment, state)
    check_deployment(offer(new, 4), enrolment, state)
    with pytest.raises(VerificationError, match="goes back to serial 3"):
        check_deployment(offer(old, 3), enrolment, state)
    with pytest.raises(VerificationError, match="same serial"):
        check_deployment(offer(old, 4), enrolment, state)
    with pytest.raises(VerificationError, match="line"):
        check_deployment(replace(offer(old, 5), group="others"), enrolment, state)
    with pytest.raises(VerificationError, match="not at a release of its line"):
        check_deployment(replace(offer(old, 5), manifest=f"releases/other/{old}/manifest.json"), enrolment, state)


def test_damaged_active_release_goes_back(platform: Platform, device: Home) -> None:
    first = platform.release(1, 1.0)
    poll(device, quick_trial)
    second = platform.release(2, 2.0)
    poll(device, quick_trial)
    (device.slot(second.release) / "cpu-x86.onnx").write_bytes(toy_onnx(9.0))
    assert main(["--home", str(device.path), "status"]) == 1
    platform.let_timestamp_expire()  # nothing can be fetched: the way back needs no server
    outcome = poll(device, quick_trial)
    assert (outcome.event, outcome.release) == ("refused", first.release)
    assert main(["--home", str(device.path), "status"]) == 0


def test_damaged_only_release_is_fetched_again(platform: Platform, device: Home) -> None:
    first = platform.release(1, 1.0)
    poll(device, quick_trial)
    (device.slot(first.release) / "golden.json").write_bytes(b"{}")
    row = device.path / "row.json"
    row.write_text('{"a": 3, "b": 1}')
    assert main(["--home", str(device.path), "predict", str(row)]) == 1
    assert poll(device, quick_trial).event == "activated"
    assert main(["--home", str(device.path), "predict", str(row)]) == 0


def test_a_test_that_takes_the_device_down_is_not_repeated_for_ever(platform: Platform, device: Home) -> None:
    class PowerCut(BaseException):
        pass

    def down(slot: Path, target: str) -> SelfTest:
        raise PowerCut

    record = platform.release(1, 1.0)
    for _ in range(3):
        with pytest.raises(PowerCut):
            poll(device, down)
    outcome = poll(device, down)
    assert outcome.event == "refused"
    assert "never finished" in outcome.reason
    assert poll(device, quick_trial, retry=True).release == record.release


def test_device_that_moves_follows_its_new_group(platform: Platform, device: Home) -> None:
    """Serials are a group's own: seven changes in the old group say nothing about the new one's first."""
    for position in (1, 2, 3):
        platform.release(position, float(position))
        poll(device, quick_trial)
    refused = platform.release(4, 4.0, golden_scale=-4.0)
    assert poll(device).event == "refused"
    before = device.state()
    assert (before.serial, before.refusal is None) == (4, False)
    enrol(device, platform.url, "gate-7", LINE, GROUP, None)
    assert device.state() == before  # the same group again: nothing is forgotten
    enrol(device, platform.url, "gate-7", LINE, "wide", None)
    moved = device.state()
    assert (moved.serial, moved.deployed, moved.refusal) == (0, "", None)
    assert (moved.active, moved.reports) == (before.active, before.reports)
    wanted = publish(LineStore(platform.store, LINE), *toy_release(5, 5.0))
    deploy(LineStore(platform.store, LINE), "wide", wanted)
    outcome = poll(device, quick_trial)
    assert (outcome.event, outcome.release) == ("activated", wanted.release)
    deploy(LineStore(platform.store, LINE), "wide", refused)
    assert poll(device, quick_trial).release == refused.release


def test_fault_that_passes_does_not_condemn_a_release(platform: Platform, device: Home) -> None:
    first = platform.release(1, 1.0)
    poll(device, quick_trial)
    second = platform.release(2, 2.0)

    def full(slot: Path, target: str) -> SelfTest:
        raise TransientError("cuMemAlloc failed on the GPU; is its memory full?")

    for number in (1, 2):
        assert_still_serves(platform, device, first.release, poll(device, full), f"try {number} of 3")
        assert device.state().refusal is None
    assert poll(device, quick_trial).release == second.release  # it passed: nothing is held against the release
    assert (device.state().trial, device.state().tries) == ("", 0)


def test_fault_that_stays_is_refused_in_the_end(platform: Platform, device: Home) -> None:
    record = platform.release(1, 1.0)
    tried = []

    def full(slot: Path, target: str) -> SelfTest:
        tried.append(target)
        raise TransientError("the self-test crashed (SIGKILL)")

    reasons = [poll(device, full).reason for _ in range(5)]
    assert len(tried) == 3
    assert "3 tries" in reasons[2]
    assert all("refused before" in reason for reason in reasons[3:])
    assert poll(device, quick_trial, retry=True).release == record.release
