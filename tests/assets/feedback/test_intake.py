"""Who may report, and what the platform makes of it."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from tuf.api.metadata import TargetFile

from assets.feedback.assets import build_assets, fleet_table
from assets.feedback.documents import FleetHealth, report_journal
from assets.feedback.fleet import fleet, summarize
from assets.feedback.intake import MAX_BODY_BYTES, Intake, RefusedError, latest_report
from assets.line.config import parse_line
from assets.records.line_store import LineStore
from assets.release.authorities import open_repository
from assets.release.documents import ReleaseRecord, RolloutRecord, rollout_journal
from assets.release.metadata import Expiries, locked
from assets.release.repository import deploy
from assets.storage.store import Store
from edge.agent.identity import public_hex
from edge.contracts import (
    ArtifactRef,
    Deployment,
    DeviceProfile,
    DeviceReport,
    Envelope,
    InputSpec,
    Provenance,
    ReleaseManifest,
    SelfTest,
    from_bytes,
    to_bytes,
)
from edge.contracts.envelope import PROFILE_TYPE, REPORT_TYPE, sign, verify
from edge.errors import VerificationError

NEW, OLD = "b" * 64, "a" * 64


class Device:
    """A device that says what it is told to."""

    def __init__(self, name: str = "gate-7", group: str = "canary") -> None:
        self.key = Ed25519PrivateKey.generate()
        self.profile = DeviceProfile(name, "toy", group, "x86_64", public_hex(self.key))
        self.sequence = 0

    def enrolment(self, profile: DeviceProfile | None = None) -> bytes:
        profile = profile or self.profile
        return to_bytes(sign(self.key, profile.device, PROFILE_TYPE, to_bytes(profile)))

    def report(self, release: str = NEW, event: Any = "activated", **changes: Any) -> bytes:
        self.sequence += 1
        report = DeviceReport(
            device=self.profile.device,
            line="toy",
            group=self.profile.group,
            sequence=self.sequence,
            time=1.0,
            event=event,
            release=release,
            offered=release,
            target="cpu-x86",
            agent_version="0.1.0",
            self_test=SelfTest(True, "c" * 64, 3, 1.0, 0.0),
        )
        return to_bytes(sign(self.key, self.profile.device, REPORT_TYPE, to_bytes(replace(report, **changes))))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path))


@pytest.fixture
def intake(store: Store) -> Intake:
    return Intake(store)


def refused(status: int, reason: str) -> Any:
    class Check:
        def __enter__(self) -> None:
            pass

        def __exit__(self, kind: Any, error: Any, trace: Any) -> bool:
            assert isinstance(error, RefusedError), f"not refused: {error!r}"
            assert (error.status, reason in str(error)) == (status, True), str(error)
            return True

    return Check()


def test_first_key_is_the_only_one(store: Store, intake: Intake) -> None:
    device, thief = Device(), Device()
    assert intake.enroll(device.enrolment()) is True
    assert intake.enroll(device.enrolment()) is False
    with refused(409, "another key"):
        intake.enroll(thief.enrolment())
    with refused(403, "not by this device's enrolled key"):
        intake.report(thief.report())
    with refused(403, "signature"):  # the right key's name without its signature
        intake.enroll(to_bytes(sign(thief.key, "gate-7", PROFILE_TYPE, to_bytes(device.profile))))
    moved = replace(device.profile, group="wide")
    assert intake.enroll(device.enrolment(moved)) is False
    (status,) = fleet(store)
    assert (status.group, status.event) == ("wide", "enrolled")


def test_report_is_kept_and_a_replay_refused(store: Store, intake: Intake) -> None:
    device = Device()
    with refused(404, "not enrolled"):
        intake.report(device.report())
    intake.enroll(device.enrolment())
    body = device.report()
    assert intake.report(body).report.sequence == 2
    with refused(409, "replay"):
        intake.report(body)
    device.sequence = 0
    with refused(409, "replay"):
        intake.report(device.report())
    device.sequence = 6
    intake.report(device.report(OLD, "rolled_back"))
    latest = latest_report(store, "gate-7")
    assert latest is not None
    assert (latest.report.sequence, latest.report.release) == (7, OLD)
    assert store.names("devices/gate-7/reports") == [f"{2:012d}.json", f"{7:012d}.json"]
    assert [(entry.device, entry.sequence) for _, entry in report_journal(store).after(0)] == [
        ("gate-7", 2),
        ("gate-7", 7),
    ]


def test_report_cut_off_by_a_crash_is_taken_when_it_comes_again(
    store: Store, intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = Device()
    intake.enroll(device.enrolment())
    body = device.report()
    with monkeypatch.context() as patch:
        patch.setattr("assets.feedback.intake.report_journal", lambda store: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            intake.report(body)
    assert latest_report(store, "gate-7") is None
    intake.report(body)
    assert latest_report(store, "gate-7") is not None
    device.sequence -= 1
    with refused(409, "replay"):
        intake.report(device.report(OLD))


def test_what_is_said_must_fit_who_says_it(store: Store, intake: Intake) -> None:
    device, other = Device(), Device("gate-8")
    intake.enroll(device.enrolment())
    intake.enroll(other.enrolment())
    with refused(403, "another device or line"):
        intake.report(device.report(device="gate-8"))
    with refused(403, "another device or line"):
        intake.report(device.report(line="digits"))
    with refused(400, "sequence"):
        intake.report(device.report(sequence=0))
    envelope = from_bytes(Envelope, device.report())
    with refused(403, "enrolled key"):
        intake.report(to_bytes(replace(envelope, key_id="gate-8")))
    with refused(403, "payload type"):
        intake.report(device.enrolment())
    changed = base64.b64decode(envelope.payload).replace(b"activated", b"unchanged")
    with refused(403, "enrolled key"):
        intake.report(to_bytes(replace(envelope, payload=base64.b64encode(changed).decode())))


@pytest.mark.parametrize(
    "name", ["../x", "a/b", "", ".hidden", "A", "x" * 64, "a..b", "gate 7", "gâte", "a\0", ".journal"]
)
def test_names_that_are_paths_are_refused(store: Store, intake: Intake, name: str) -> None:
    device = Device(name)
    with refused(400, "a name has"):
        intake.enroll(device.enrolment())
    with refused(400, "a name has"):
        intake.report(device.report())
    assert store.names("devices") == []


def test_large_bodies_are_refused(intake: Intake) -> None:
    with refused(413, "at most"):
        intake.report(b" " * (MAX_BODY_BYTES + 1))


@settings(max_examples=80, deadline=None)
@given(
    body=st.one_of(
        st.binary(max_size=200),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=20),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["type", "version", "payload", "payload_type", "key_id", "signature"]),
                    inner,
                    max_size=6,
                )
            ),
            max_leaves=8,
        ).map(lambda value: json.dumps(value).encode()),
    )
)
def test_any_body_is_refused_not_crashed_on(body: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    intake = Intake(Store(str(tmp_path_factory.getbasetemp() / "any")))
    for take in (intake.enroll, intake.report):
        with pytest.raises(RefusedError):
            take(body)


def test_envelope_round_trip_and_every_flipped_byte() -> None:
    key = Ed25519PrivateKey.generate()
    envelope = sign(key, "gate-7", REPORT_TYPE, b"payload")
    assert verify(envelope, REPORT_TYPE, public_hex(key)) == b"payload"
    signature = base64.b64decode(envelope.signature)
    for index in range(len(signature)):
        bad = bytes([*signature[:index], signature[index] ^ 1, *signature[index + 1 :]])
        with pytest.raises(VerificationError):
            verify(replace(envelope, signature=base64.b64encode(bad).decode()), REPORT_TYPE, public_hex(key))
    with pytest.raises(VerificationError):
        verify(envelope, PROFILE_TYPE, public_hex(key))
    with pytest.raises(VerificationError):
        verify(envelope, REPORT_TYPE, "not hex")


def deployed_now(store: Store, release: str) -> Deployment:
    """Point the group at a release in a real repository. The release is a name with a signature and no files."""
    path = f"releases/toy/{release}/manifest.json"
    with locked(store):
        editor = open_repository(store, ("toy",), Expiries())
        signed = editor.role("release-toy")
        signed.targets[path] = TargetFile.from_data(path, b"{}", ["sha256"])
        editor.write("release-toy", signed)
        editor.commit()
    spec = InputSpec("table", "input", (1,), (0.0,), (1.0,), ("a",))
    golden = ArtifactRef("golden.json", OLD, 2, "json")
    manifest = ReleaseManifest("toy", 1, spec, "logits", ("a",), golden, (), Provenance((), OLD, OLD, OLD, ()))
    return deploy(LineStore(store, "toy"), "canary", ReleaseRecord("toy", release, 1, path, manifest, 0.0))


def roll_out(store: Store, release: str, serial: int) -> None:
    deployment = deployed_now(store, release)
    assert deployment.serial == serial
    record = RolloutRecord("toy", "canary", "promoted", "test", release, deployment, time.time())
    rollout_journal(LineStore(store, "toy"), "canary").append(record)


def test_fleet_tells_wrong_from_silent(store: Store, intake: Intake) -> None:
    good, wrong, silent, newcomer = (Device(name) for name in ("good", "wrong", "silent", "newcomer"))
    outsider = Device("outsider", group="lab")
    for device in (good, wrong, silent, newcomer, outsider):
        intake.enroll(device.enrolment())
    roll_out(store, OLD, 1)
    for device in (good, wrong, silent, outsider):
        intake.report(device.report(OLD))
    assert summarize(LineStore(store, "toy"), "canary").wrong == ()
    roll_out(store, NEW, 2)
    intake.report(good.report(NEW))
    intake.report(wrong.report(OLD, "refused", offered=NEW, reason="the self-test failed | <b>"))
    health = summarize(LineStore(store, "toy"), "canary")
    assert (health.release, health.wrong, health.silent) == (NEW, ("wrong",), ("newcomer", "silent"))
    assert health.releases == {"": 1, OLD: 3, NEW: 1}
    assert health.events == {"activated": 3, "enrolled": 1, "refused": 1}
    table = fleet_table(health)
    assert table.splitlines()[2].startswith("| wrong |")
    assert "<b>" not in table
    assert len(fleet_table(health, most=2).splitlines()) == 6
    (later,) = [status for status in fleet(store, time.time() + 100) if status.device == "good"]
    assert 100 <= later.age < 200
    assert summarize(LineStore(store, "other"), "canary") == FleetHealth("other", "canary", "", (), {}, {}, (), ())


def test_fleet_believes_what_is_signed(store: Store, intake: Intake) -> None:
    """The second promotion was signed, and its journal entry never written."""
    device = Device()
    intake.enroll(device.enrolment())
    roll_out(store, OLD, 1)
    intake.report(device.report(OLD))
    deployed_now(store, NEW)
    health = summarize(LineStore(store, "toy"), "canary")
    assert (health.release, health.wrong, health.silent) == (NEW, (), ("gate-7",))


def test_reports_that_say_the_same_do_not_pile_up(store: Store, intake: Intake) -> None:
    device = Device()
    intake.enroll(device.enrolment())
    bodies = [device.report(OLD)]
    for _ in range(20):
        bodies.append(device.report(OLD, "unchanged", self_test=None))
    for _ in range(20):
        bodies.append(device.report(OLD, "refused", offered=NEW, reason=f"try {len(bodies)}"))
    bodies += [device.report(NEW), device.report(NEW), device.report(NEW, "unchanged")]
    for body in bodies:
        intake.report(body)
        with refused(409, "replay"):
            intake.report(body)
    said = [(entry.sequence, entry.event) for _, entry in report_journal(store).after(0)]
    assert said == [(1, "activated"), (22, "refused"), (42, "activated"), (43, "activated")]
    assert len(store.names("devices/gate-7/reports")) == 4
    latest = latest_report(store, "gate-7")
    assert latest is not None
    assert (latest.report.sequence, latest.report.event) == (44, "unchanged")
    with refused(409, "replay"):
        intake.report(bodies[5])


HOSTILE = (
    "[click](https://evil.example/a) ![x](https://evil.example/b.png) <img src=x> `code` | cell |\r\n# title\n"
    "WwW.evil.example \x1b[31m\u202eabc\u202c &lt;b&gt; me@evil.example \x00 **bold**"
)


def test_hostile_text_becomes_plain_text(store: Store, intake: Intake) -> None:
    device = Device()
    intake.enroll(device.enrolment())
    tested = SelfTest(False, "c" * 64, 3, 0.0, 9.0, reason=HOSTILE)
    changes = {"offered": NEW, "reason": HOSTILE * 50, "self_test": tested, "agent_version": "1\n" * 90}
    intake.report(device.report("", "refused", target="", **changes))
    latest = latest_report(store, "gate-7")
    assert latest is not None
    kept = latest.report
    assert kept.self_test is not None
    for text in (kept.reason, kept.self_test.reason, kept.agent_version):
        assert text.isprintable()
        assert len(text) <= 1000
    assert "HTTP 404" in fleet_table(summary_with(store, "refused (HTTP 404)"))
    for table in (fleet_table(summarize(LineStore(store, "toy"), "canary")), fleet_table(summary_with(store, HOSTILE))):
        head, _, row = table.splitlines()  # no new line, so no new row
        assert row.count("|") == head.count("|")
        assert "evil" in row
        assert not set(row) & set("[]()<>`!&@#*\x1b\u202e")
        assert "//" not in row
        assert "www." not in row.lower()


def summary_with(store: Store, reason: str) -> FleetHealth:
    """As if a text had come past the intake."""
    health = summarize(LineStore(store, "toy"), "canary")
    return replace(health, devices=tuple(replace(status, reason=reason) for status in health.devices))


@pytest.mark.parametrize(
    "changes",
    [
        {"group": "a|b"},
        {"group": "../x"},
        {"release": "[x](https://evil.example)"},
        {"release": "A" * 64},
        {"offered": "b" * 63},
        {"offered": NEW + "\n"},
        {"target": "<b>"},
        {"target": "a b"},
        {"target": "x" * 200},
        {"event": "<b>"},
    ],
)
def test_fields_that_cannot_be_are_refused(store: Store, intake: Intake, changes: dict[str, Any]) -> None:
    device = Device()
    intake.enroll(device.enrolment())
    with refused(400, ""):
        intake.report(device.report(**{"release": OLD, **changes}))
    assert latest_report(store, "gate-7") is None


def test_fleet_health_asset(store: Store, intake: Intake) -> None:
    line = parse_line(
        "toy",
        {
            "data": {"reader": "csv", "classes": ["a", "b"], "table": {"target": "y", "columns": ["x"]}},
            "model": {"family": "mlp"},
        },
        "test",
    )
    device = Device()
    intake.enroll(device.enrolment())
    roll_out(store, NEW, 1)
    for event, release, passed in (("activated", NEW, True), ("refused", OLD, False)):
        intake.report(device.report(release, event))
        result = dg.materialize(build_assets(line), resources={"store": store})
        (check,) = result.get_asset_check_evaluations()
        assert (check.check_name, check.passed) == ("devices_run_their_release", passed)
        assert store.newest("toy", FleetHealth).devices[0].release == release
