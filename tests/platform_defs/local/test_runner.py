"""The `edgeloop` command on a small project of its own: it does what the sensors would, once, and says what it did."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest
from typer.testing import CliRunner

from assets.feedback.documents import EnrolledDevice
from assets.records.line_store import LineStore
from assets.release.published import releases
from assets.training.triggers.claims import claim_journal
from edge.contracts import DeviceProfile
from platform_defs.cli.main import app, main
from platform_defs.cli.output import printable
from tests.projects import BIN, TINY, Project, Prompt, make_project, write_points

COMMANDS = ("demo", "inspect", "land", "run", "promote", "ui", "lines", "batches", "releases", "retrains", "fleet")


@dataclass(frozen=True)
class Worked:
    """A project in which `edgeloop run` ran once, and a second one beside it was turned away."""

    project: Project
    prompt: Prompt
    good: str
    bad: str
    first: subprocess.CompletedProcess[str]
    beside: subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def worked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worked]:
    project = make_project(tmp_path_factory.mktemp("cli") / "project")
    project.add_line("tiny", TINY)
    _write_line(project, "broken", "max_drop: 0.5", "max_drop: 3")
    good, bad = project.root / "good", project.root / "bad"
    write_points(good / "points.csv", seed=1)
    write_points(bad / "points.csv", seed=2, rows=10)
    with project.prompt() as prompt:
        landed = [prompt.json("land", "tiny", str(path)) for path in (good, bad)]
        assert [batch["new"] for batch in landed] == [True, True]
        command = [str(BIN / "edgeloop"), "run", "tiny"]
        environment = {**project.environment, "PYTHONUNBUFFERED": "1"}
        with subprocess.Popen(
            command, cwd=project.root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            begun = process.stdout.readline()  # it holds the line from here on
            beside = project.run("edgeloop", "run", "tiny", check=False)
            output, errors = process.communicate(timeout=1500)
        first = subprocess.CompletedProcess(command, process.returncode, begun + output, errors)
        yield Worked(project, prompt, landed[0]["batch"], landed[1]["batch"], first, beside)


def _write_line(project: Project, name: str, old: str, new: str) -> None:
    """Write a line that differs from `tiny` in one place."""
    lines = project.root / "platform_defs" / "lines"
    text = (lines / "tiny" / "defs.yaml").read_text()
    assert old in text
    (lines / name).mkdir()
    (lines / name / "defs.yaml").write_text(text.replace(old, new))


def test_run_judges_trains_and_releases(worked: Worked) -> None:
    assert (worked.first.returncode, worked.first.stderr) == (0, "")
    assert "judged 2 new batches: 1 accepted, 1 blocked" in worked.first.stdout
    assert "retrained on 1 new batch;" in worked.first.stdout
    store = worked.project.store
    assert [entry.batch for _, entry in LineStore(store, "tiny").accepted_batches()] == [worked.good]
    assert [claim.batches for _, claim in claim_journal(LineStore(store, "tiny")).after(0)] == [(worked.good,)]
    (record,) = releases(LineStore(store, "tiny"))
    assert record.manifest.provenance.batches == (worked.good,)


def test_one_command_at_a_time_works_on_a_line(worked: Worked) -> None:
    assert (worked.beside.returncode, worked.beside.stdout) == (3, "")
    told = "edgeloop: line 'tiny': another process works on it now; try again when it is done\n"
    assert worked.beside.stderr == told


def test_running_again_does_nothing_and_says_why(worked: Worked) -> None:
    began = len(list(claim_journal(LineStore(worked.project.store, "tiny")).after(0)))
    again = worked.prompt.json("run", "tiny")
    nothing = {"judged": {}, "retrained": [], "failed": [], "warnings": {}, "notes": {}}
    assert again == {**nothing, "note": "no accepted batch is waiting"}
    assert len(list(claim_journal(LineStore(worked.project.store, "tiny")).after(0))) == began
    known = worked.prompt.json("land", "tiny", str(worked.project.root / "good"))
    assert (known["batch"], known["new"]) == (worked.good, False)


def test_batches_says_what_became_of_each(worked: Worked) -> None:
    found = {row["batch"]: row for row in worked.prompt.json("batches", "tiny")}
    assert list(found) == [worked.good, worked.bad]
    assert (found[worked.good]["state"], found[worked.good]["accepted"]) == ("accepted", 60)
    assert (found[worked.bad]["state"], found[worked.bad]["seen"], found[worked.bad]["accepted"]) == ("blocked", 10, 0)
    assert found[worked.bad]["why"]
    table = worked.prompt.run("batches", "tiny").stdout
    assert "blocked" in table


def test_lines_lists_the_broken_one_with_its_error(worked: Worked) -> None:
    found = {row["line"]: row for row in worked.prompt.json("lines")}
    assert (found["tiny"]["state"], found["tiny"]["targets"]) == ("ok", ["cpu-x86"])
    assert found["broken"]["state"] == "broken"
    assert "budget.max_drop = 3: Input should be less than or equal to 0.5" in found["broken"]["description"]
    checked = worked.prompt.run("lines", "--check", check=False)
    assert checked.returncode == 1


def test_releases_and_promotion_by_hand(worked: Worked) -> None:
    (row,) = worked.prompt.json("releases", "tiny")
    assert (row["sequence"], row["targets"], row["batches"]) == (1, "cpu-x86", 1)
    told = worked.prompt.run("promote", "tiny", row["release"][:8]).stdout
    assert told == "canary: promoted, promoted by hand\n"
    again = worked.prompt.json("promote", "tiny", row["release"])
    assert (again["decision"], again["release"]) == ("unchanged", row["release"])


def test_retrains_lists_every_decision(worked: Worked) -> None:
    (row,) = worked.prompt.json("retrains", "tiny")
    assert (row["decision"], row["trigger"], row["records"], row["batch_ids"]) == (
        "trained",
        "command",
        60,
        [worked.good],
    )
    assert "trained" in worked.prompt.run("retrains", "tiny").stdout


def test_fleet_lists_what_each_device_says(worked: Worked) -> None:
    profile = DeviceProfile("edge-1", "tiny", "canary", "x86_64", "ab" * 32)
    worked.project.store.save("devices/edge-1/profile.json", EnrolledDevice(profile, time.time() - 60))
    (row,) = worked.prompt.json("fleet")
    assert (row["device"], row["line"], row["event"], row["release"]) == ("edge-1", "tiny", "enrolled", "")
    assert 60 <= row["seconds_ago"] < 300
    assert "edge-1" in worked.prompt.run("fleet").stdout


def test_what_warns_stands_in_the_terminal_the_list_and_in_json(worked: Worked) -> None:
    project = worked.project
    leaking = project.root / "leaking"
    leaking.mkdir()
    rows = [f"{n % 2},{n / 7:.3f},{('low', 'high')[n % 2]}\n" for n in range(600)]
    for file, part in (("plain.csv", rows[:400]), ("test_bench_3.csv", rows[400:])):
        (leaking / file).write_text("".join(["x1,x2,kind\n", *part]))
    name = "no column gives the label away"
    for line, options in (("watched", ()), ("told", ("--json",))):
        project.add_line(line, {key: TINY[key] for key in ("data", "quality")})
        batch = worked.prompt.json("land", line, str(leaking))["batch"]
        done = worked.prompt.run("run", line, *options)
        if options:
            outcome = json.loads(done.stdout)
            assert name in [row["check"] for row in outcome["warnings"][batch]]
            assert "'test_bench_3.csv' for the split test" in outcome["notes"][batch][0]
        else:
            assert f"warning for batch {batch[:12]}: “{name}” does not hold. column x1: " in done.stdout
            assert f"note for batch {batch[:12]}: A file's own name was taken for a split" in done.stdout
            assert "1 check warns (above)" in done.stdout
        (row,) = worked.prompt.json("batches", line)
        assert name in [warning["check"] for warning in row["warnings"]]
        assert "data.splits_from" in row["notes"][0]
        table = worked.prompt.run("batches", line).stdout
        assert f"{batch[:12]}  “{name}” does not hold. column x1: " in table
        assert f"{batch[:12]}  {row['notes'][0]}\n" in table


def test_a_run_obeys_the_retrain_policy_unless_it_is_told_not_to_wait(worked: Worked) -> None:
    sections = {key: TINY[key] for key in ("data", "quality")}
    worked.project.add_line("patient", {**sections, "retrain": {"min_new_records": 1000}})
    points = write_points(worked.project.root / "patient.csv", seed=5)
    batch = worked.prompt.json("land", "patient", str(points))["batch"]
    waits = worked.prompt.run("run", "patient").stdout
    assert "60 new records are waiting, retrain.min_new_records is 1000; --now does not wait for that" in waits
    assert worked.prompt.json("run", "patient", "--now")["retrained"] == [batch]
    assert worked.prompt.json("run", "patient", "--now")["note"] == "no accepted batch is waiting"


def test_a_batch_that_cannot_be_judged_hinders_no_other(worked: Worked) -> None:
    project = worked.project
    _write_line(project, "hindered", "min_records: 20", "min_records: 1000")
    paths = [write_points(project.root / f"{seed}.csv", seed=seed) for seed in (8, 9)]
    damaged, sound = (worked.prompt.json("land", "hindered", str(path)) for path in paths)
    manifest = project.root / f".edgeloop/landing/hindered/{damaged['drop']}/manifest.json"
    manifest.write_text("{")
    done = project.run("edgeloop", "run", "hindered", "--json", check=False)
    outcome = json.loads(done.stdout)
    assert (done.returncode, outcome["judged"]) == (1, {sound["batch"]: "blocked"})
    (failed,) = outcome["failed"]
    assert f"batch {damaged['batch'][:12]} was not judged: landing/hindered/{damaged['drop']}/manifest.json" in failed
    assert done.stderr == f"edgeloop: {failed}\n"


def test_an_interrupted_run_stops_there(worked: Worked) -> None:
    project = worked.project
    _write_line(project, "interrupted", "min_records: 20", "min_records: 1000")
    for seed in (11, 12):
        worked.prompt.run("land", "interrupted", str(write_points(project.root / f"{seed}.csv", seed=seed)))
    environment = {**project.environment, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [str(BIN / "edgeloop"), "run", "interrupted"], cwd=project.root, env=environment, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert b"interrupted_judge: batch" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=1500)
    assert process.returncode == 130
    with dg.DagsterInstance.from_config(str(project.root / ".edgeloop" / "dagster")) as instance:
        (run,) = instance.get_runs(filters=dg.RunsFilter(job_name="interrupted_judge"))
    assert run.is_finished, "the second batch is not begun, and the first will be started again"


def test_a_broken_line_is_told_without_a_traceback(worked: Worked) -> None:
    done = worked.prompt.run("run", "broken", check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "edgeloop: platform_defs/lines/broken/defs.yaml: line 'broken' is broken\n"
        "  budget.max_drop = 3: Input should be less than or equal to 0.5\n"
    )


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to run `main` in, in this process, with state of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDGELOOP_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "state/dagster"))
    return tmp_path


def _refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *command: str) -> str:
    """What `edgeloop COMMAND` says on standard error as it ends with 1."""
    monkeypatch.setattr("sys.argv", ["edgeloop", *command])
    with pytest.raises(SystemExit) as ended:
        main()
    output, errors = capsys.readouterr()
    assert (ended.value.code, output) == (1, "")
    assert errors.startswith("edgeloop: ")
    assert "\x1b" not in errors
    return errors


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (("run", "digit"), "there is no line 'digit'; there are: breast-cancer, cats-vs-dogs, cifar10, digits,"),
        (("batches", "../digits"), "there is no line '../digits'"),
        (("land", "digits", "nowhere"), "nowhere: cannot be read (No such file or directory); name an existing"),
        (("land", "digits", "empty"), "empty: there is no plain file in it; name a folder that holds the batch's"),
        (("land", "digits", "a\x1b[31mb"), "cannot be read"),
        (("promote", "digits", "0123456789"), "line 'digits' has no release '0123456789'; see: edgeloop releases"),
        (("promote", "digits", "x"), "give 6 to 64 hex digits of a release's id"),
    ],
)
def test_a_mistake_is_told_in_a_sentence(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: tuple[str, ...], told: str
) -> None:
    (here / "empty").mkdir()
    assert told in _refused(monkeypatch, capsys, *command)


@pytest.mark.parametrize("command", [("run", "digits"), ("land", "digits", "."), ("batches", "digits"), ("fleet",)])
def test_a_state_folder_that_is_none_is_told(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    (here / "state").write_text("a file, not a folder")
    assert f"{here / 'state'}" in _refused(monkeypatch, capsys, *command)


@pytest.mark.parametrize("text", ["nonsense: 3", "a: ["])
def test_settings_that_dagster_does_not_take_are_told(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    (here / "state/dagster").mkdir(parents=True)
    (here / "state/dagster/dagster.yaml").write_text(text)
    told = _refused(monkeypatch, capsys, "run", "digits")
    assert f"{here / 'state/dagster/dagster.yaml'}: Dagster does not take these settings; correct them: " in told


def test_every_command_has_help() -> None:
    runner = CliRunner()
    everything = runner.invoke(app, ["--help"])
    assert everything.exit_code == 0
    assert len(app.registered_commands) >= len(COMMANDS)
    for command in COMMANDS:
        assert command in everything.stdout
        shown = runner.invoke(app, [command, "--help"])
        assert shown.exit_code == 0
        assert "Usage" in shown.stdout
    assert runner.invoke(app, ["run"]).exit_code == 2


def test_escape_sequences_from_data_reach_no_terminal() -> None:
    assert printable("a\x1b[31mb\x07\u202e\nc") == "a\ufffd[31mb\ufffd\ufffd\nc"
