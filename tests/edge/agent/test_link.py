"""Servers that are away, broken or odd; reports that wait; self-tests that crash or hang; and the command line."""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import metadata
from pathlib import Path

import pytest

from assets.feedback.documents import report_journal
from edge.agent import trial
from edge.agent.cli import main
from edge.agent.daemon import wait_seconds
from edge.agent.enrol import enrol
from edge.agent.home import Home, UsageError, write_durably
from edge.agent.identity import detect_profile, device_key, public_hex
from edge.agent.link import check_server
from edge.agent.poll import poll
from edge.agent.report import MAX_QUEUED, queue, queued
from edge.agent.trial import TrialAnswer, run_trial
from edge.contracts import SelfTest, from_bytes, to_bytes
from edge.errors import EdgeError, IncompatibleError, RejectedError, TransientError
from tests.edge.agent.toy_releases import GROUP, LINE, Platform, toy_release

Handler = Callable[[BaseHTTPRequestHandler], None]


def quick_trial(slot: Path, target: str) -> SelfTest:
    return SelfTest(True, "0" * 64, 1, 1.0, 0.0)


@pytest.fixture
def device(platform: Platform, home: Home) -> Home:
    enrol(home, platform.url, "gate-7", LINE, GROUP, None)
    return home


def away() -> str:
    """The URL of a port where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def point_to(device: Home, url: str) -> None:
    device.save_enrolment(replace(device.enrolment(), server=url))


@pytest.fixture
def odd_server() -> Iterator[Callable[[Handler], str]]:
    """A server that answers every GET as it is told to."""
    running: list[ThreadingHTTPServer] = []

    def start(answer: Handler) -> str:
        class Odd(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                answer(self)

            do_POST = do_GET  # noqa: N815 -- the name that http.server looks for

            def log_message(self, *args: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Odd)
        server.daemon_threads = True
        running.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


def says(status: int, body: bytes, length: int | None = None) -> Handler:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        request.send_header("Content-Length", str(len(body) if length is None else length))
        request.end_headers()
        request.wfile.write(body)
        request.close_connection = True

    return answer


def test_outage_is_survived_and_reports_wait(
    platform: Platform, device: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    first = platform.release(1, 1.0)
    poll(device, quick_trial)
    point_to(device, away())
    assert main(["--home", str(device.path), "poll"]) == 3
    assert "could not be fetched" in capsys.readouterr().err
    assert device.state().active == first.release
    state = device.state()
    for event in ("refused", "unchanged"):
        state = queue(device, device.enrolment(), state, device_key(device.key), event, "", "while away", None)  # type: ignore[arg-type]
    assert len(queued(device)) == 2
    point_to(device, platform.url)
    outcome = poll(device, quick_trial)
    assert (outcome.waiting, outcome.notes) == (0, ())
    said = [(entry.sequence, entry.event) for _, entry in report_journal(platform.store).after(0)]
    assert said == [(1, "activated"), (2, "refused"), (3, "unchanged")], "the fourth says what the third said"


def test_waiting_reports_are_bounded_and_keep_what_matters(platform: Platform, device: Home) -> None:
    state, key = device.state(), device_key(device.key)
    state = queue(device, device.enrolment(), state, key, "refused", "", "matters", None)
    for _ in range(MAX_QUEUED + 5):
        state = queue(device, device.enrolment(), state, key, "unchanged", "", "", None)
    waiting = queued(device)
    assert len(waiting) == MAX_QUEUED
    assert waiting[0].stem.endswith("-refused")
    assert state.reports == MAX_QUEUED + 6


def test_server_that_forgot_the_device_is_told_again(platform: Platform, device: Home) -> None:
    platform.release(1, 1.0)
    Path(platform.store.path("devices/gate-7/profile.json")).unlink()
    outcome = poll(device, quick_trial)
    assert (outcome.event, outcome.waiting, outcome.notes) == ("activated", 0, ())


@pytest.mark.parametrize(
    ("answer", "kind", "reason"),
    [
        (says(500, b""), TransientError, "500"),
        (says(429, b""), TransientError, "429"),
        (says(200, b"{", length=1000), TransientError, "could not be fetched"),
    ],
    ids=["broken", "busy", "cut short"],
)
def test_broken_servers_are_transient(
    device: Home, odd_server: Callable[[Handler], str], answer: Handler, kind: type[EdgeError], reason: str
) -> None:
    point_to(device, odd_server(answer))
    with pytest.raises(kind, match=reason):
        poll(device, quick_trial)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (says(404, b""), "does not have this file"),
        (says(200, b"<html>hello</html>"), "does not hold together"),
        (says(200, b"[" * 100_000), "does not hold together|not a TUF repository|not the one"),
        (says(200, b"x" * 600_000), "not the one that was signed"),
    ],
    ids=["another server", "a web page", "nested", "long"],
)
def test_odd_servers_are_refused(
    device: Home, odd_server: Callable[[Handler], str], answer: Handler, reason: str
) -> None:
    import re

    point_to(device, odd_server(answer))
    outcome = poll(device, quick_trial)
    assert outcome.event == "refused"
    assert re.search(reason, outcome.reason)
    assert outcome.waiting == 0 or outcome.notes


def test_enrolment_is_repeatable_and_careful(platform: Platform, home: Home, tmp_path: Path) -> None:
    root = tmp_path / "root.json"
    root.write_bytes(platform.store.read("tuf/metadata/1.root.json"))
    fingerprint = enrol(home, platform.url, "gate-7", LINE, GROUP, root)
    key = home.key.read_bytes()
    assert enrol(home, platform.url + "/", "gate-7", LINE, "wide", None) == fingerprint
    assert home.key.read_bytes() == key
    assert home.enrolment().group == "wide"
    for name in (".hidden", "a..b", "A", "x" * 64):
        with pytest.raises(UsageError, match="a name has"):
            enrol(home, platform.url, "gate-7", LINE, name, None)
    with pytest.raises(RejectedError, match="another --home"):
        enrol(home, platform.url, "gate-8", LINE, GROUP, None)
    root.write_bytes(root.read_bytes() + b"\n")
    with pytest.raises(RejectedError, match="differs"):
        enrol(home, platform.url, "gate-7", LINE, GROUP, root)
    with pytest.raises(RejectedError, match="another key"):
        enrol(Home(tmp_path / "second"), platform.url, "gate-7", LINE, GROUP, None)
    with pytest.raises(TransientError):
        enrol(Home(tmp_path / "third"), away(), "gate-9", LINE, GROUP, None)
    for text in (b"", b"{}", b"\xff", platform.store.read("tuf/metadata/timestamp.json")):
        root.write_bytes(text)
        with pytest.raises(RejectedError, match="root"):
            enrol(Home(tmp_path / "fourth"), platform.url, "gate-9", LINE, GROUP, root)
    home.key.chmod(0o644)
    with pytest.raises(RejectedError, match="chmod 600"):
        enrol(home, platform.url, "gate-7", LINE, GROUP, None)


@pytest.mark.parametrize(
    "url", ["", "ftp://x", "http://", "http://a b", "file:///etc", "http://u@h", "http://h:99999", "http://h?x", "h:80"]
)
def test_odd_server_urls_are_usage_errors(url: str) -> None:
    with pytest.raises(UsageError, match="--server"):
        check_server(url)


def test_exit_codes_and_help(home: Home, platform: Platform, capsys: pytest.CaptureFixture[str]) -> None:
    base = ["--home", str(home.path)]
    for command in (["poll"], ["run"], ["status"], ["predict", "x.png"]):
        assert main([*base, *command]) == 2
        assert "not" not in capsys.readouterr().out
    enroll = ["enroll", "--device", "d", "--line", LINE, "--group", GROUP, "--server"]
    assert main([*base, *enroll, "nonsense"]) == 2
    assert main([*base, *enroll, away()]) == 3
    assert main([*base, *enroll, platform.url]) == 0
    assert main([*base, "predict", "missing.json", "--json"]) == 2
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["exit_code"] == 2
    platform.release(1, 1.0)
    poll(home, quick_trial)
    assert main(["predict", "missing.json", *base]) == 1
    for wrong in ([], ["fly"], ["run", "--interval", "0"], ["run", "--interval", "nan"], ["enroll"]):
        with pytest.raises(SystemExit) as ended:
            main([*base, *wrong])
        assert ended.value.code == 2
    with pytest.raises(SystemExit):
        main(["--help"])
    said = capsys.readouterr()
    assert "examples:" in said.out
    assert "Traceback" not in said.err


def test_home_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("EDGELOOP_AGENT_HOME", raising=False)
    assert main(["status"]) == 2
    monkeypatch.setenv("EDGELOOP_AGENT_HOME", str(tmp_path))
    assert main(["status"]) == 2


def test_two_agents_do_not_share_a_home(device: Home) -> None:
    with device.locked(), pytest.raises(TransientError, match="another edgeloop-agent"), device.locked(0.1):
        pass


def test_damaged_state_is_a_clear_error(device: Home, capsys: pytest.CaptureFixture[str]) -> None:
    (device.path / "state.json").write_bytes(b"\0" * 100)
    assert main(["--home", str(device.path), "status"]) == 1
    assert "state.json" in capsys.readouterr().err


def slot_with(tmp_path: Path, model: bytes | None = None) -> Path:
    manifest, files = toy_release(1, 1.0)
    slot = tmp_path / "slot"
    slot.mkdir()
    for name, data in {**files, "manifest.json": to_bytes(manifest)}.items():
        (slot / name).write_bytes(data)
    if model is not None:
        (slot / "cpu-x86.onnx").write_bytes(model)
    return slot


def test_trial_answers_from_a_child(tmp_path: Path) -> None:
    tested = run_trial(slot_with(tmp_path), "cpu-x86")
    assert (tested.passed, tested.records, tested.agreement) == (True, 3, 1.0)
    with pytest.raises(IncompatibleError, match="no artifact for 'rtx-sm86'"):
        run_trial(tmp_path / "slot", "rtx-sm86")


def test_trial_refuses_what_does_not_open(tmp_path: Path) -> None:
    with pytest.raises(IncompatibleError, match="not a readable ONNX model"):
        run_trial(slot_with(tmp_path, b"not a model"), "cpu-x86")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "crashed .SIGSEGV."),
        ("import time; time.sleep(600)", "took longer than 1 s"),
        ("import sys; sys.exit(3)", "exit code 3"),
        ("print('hello')", "no readable answer"),
    ],
    ids=["crash", "hang", "exit", "noise"],
)
def test_trial_survives_its_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, reason: str) -> None:
    fake = tmp_path / "python"
    fake.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{code}"\n')
    fake.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(fake))
    with pytest.raises(TransientError, match=reason):
        run_trial(tmp_path, "cpu-x86", seconds=1 if "longer than 1 s" in reason else 240)


def test_fault_that_passes_is_told_apart_by_the_child(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    def full(slot: Path, target: str) -> SelfTest:
        raise TransientError("cuMemAlloc failed on the GPU; is its memory full?")

    monkeypatch.setattr(trial, "_test", full)
    monkeypatch.setattr(trial, "die_with_parent", lambda: None)
    monkeypatch.setattr("edge.child.os.dup2", lambda *args: None)
    assert trial.main([str(tmp_path), "cpu-x86"]) == 0
    answer = from_bytes(TrialAnswer, capfdbinary.readouterr().out, "answer")
    assert (answer.self_test, answer.transient) == (None, True)
    said = tmp_path / "answer"
    said.write_bytes(to_bytes(answer))
    fake = tmp_path / "python"
    fake.write_text(f"#!/bin/sh\ncat '{said}'\n")
    fake.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(fake))
    with pytest.raises(TransientError, match="memory full"):
        run_trial(tmp_path, "cpu-x86", seconds=240)


def test_full_disk_is_transient(device: Home, platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    platform.release(1, 1.0)
    with monkeypatch.context() as patch:
        patch.setattr("edge.agent.slots.shutil.disk_usage", lambda path: _Usage())
        with pytest.raises(TransientError, match="are free"):
            poll(device, quick_trial)
    with pytest.raises(TransientError, match="could not be written"):
        write_durably(device.path / "missing" / "file", b"x")
    assert device.state().active == ""
    assert not list(device.path.rglob(".tmp-*"))
    assert poll(device, quick_trial).event == "activated"


class _Usage:
    free = 10


def test_waits_grow_and_spread() -> None:
    assert wait_seconds(60, 0, 0.5) == 60
    assert wait_seconds(60, 0, 0) == 45
    assert wait_seconds(60, 3, 0.5) == 480
    assert wait_seconds(60, 10_000, 0.999) <= 3600 * 1.25
    assert wait_seconds(86_400, 50, 0.5) == 86_400


def test_profile_names_runtimes_by_the_engine_rooms_table(
    platform: Platform, device: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def version(package: str) -> str:
        if package in {"tensorrt-rtx-cu12-libs", "onnxruntime-gpu"}:
            return "1.7"
        raise metadata.PackageNotFoundError(package)

    monkeypatch.setattr("edge.engine.library.metadata.version", version)
    profile = detect_profile(device.enrolment(), public_hex(device_key(device.key)))
    assert profile.runtimes == {"onnxruntime": "1.7", "tensorrt_rtx": "1.7"}
