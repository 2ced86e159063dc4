"""`edgeloop compress`: real searches through the command, killed, crashed, refused, and run again."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from assets.errors import RejectedError, StepDiedError
from assets.standalone import child, run
from assets.standalone.request import Request, parse_budget
from assets.standalone.result import CompressedModel
from edge.contracts import chain_gap, from_bytes
from platform_defs.cli.main import app
from tests.assets.foreign_models import foreign

RECORDS = 90


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GRU and a detector from elsewhere, with records for each."""
    folder = tmp_path_factory.mktemp("given")
    random = np.random.default_rng(3)
    for name in ("gru", "detector"):
        model = foreign(name)
        (folder / f"{name}.onnx").write_bytes(model.model)
        records = {
            key: random.normal(size=(RECORDS, *value.shape[1:])).astype(np.float32)
            for key, value in model.feeds.items()
        }
        np.savez(folder / f"{name}.npz", allow_pickle=False, **records)
    return folder


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> list[Mapping[str, Any]]:
    """The child's work in this process, which has loaded what it needs; gives what it sent."""
    sent: list[Mapping[str, Any]] = []

    def do(request: Request, work: Path, report: Any, moved: Any) -> dict[str, Any]:
        return child.work(request, sent.append)

    monkeypatch.setattr(run, "_try", do)
    return sent


def _run(*arguments: str | Path, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["compress", *map(str, arguments)])
    if code and result.exception is not None and not isinstance(result.exception, SystemExit):
        return f"{result.output}{type(result.exception).__name__}: {result.exception}"
    assert result.exit_code == code, result.output
    return result.output


def _json(*arguments: str | Path) -> Any:
    return json.loads(_run(*arguments, "--json"))


def _texts(sent: list[Mapping[str, Any]]) -> list[str]:
    return [message["text"] for message in sent if "text" in message]


def _front(rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """What must be the same each time: all but measured times."""
    names = ("name", "target", "validation_drop", "test_drop_low", "test_drop_high", "onnx_kb", "sha256", "chosen")
    return [tuple(row[name] for name in (*names, "on_front")) for row in rows]


def test_a_killed_run_goes_on_and_a_finished_one_costs_nothing(
    files: Path, tmp_path: Path, here: list[Mapping[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, trials = tmp_path / "out", tmp_path / "out/.work/store/gru/trials"
    # No processor of this kind is here, so nothing is timed, and the front is the same to the last digit.
    what = (files / "gru.onnx", "--data", files / "gru.npz", "--budget", "max_drop=0.1", "--target", "cpu-arm64")
    arguments = [*map(str, what), "--out", str(out)]
    code = (
        f"import sys; sys.argv = {['edgeloop', 'compress', *arguments]}; import platform_defs.cli.main as m; m.main()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if b"trial teacher-int8-layers" in line:
                break
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    _wait_for_no_writer(out)
    paid = {path.name: path.stat().st_mtime_ns for path in trials.glob("*.json")}
    assert paid, "the float and the INT8 file were tried before the kill"
    assert not (out / "front.json").exists()

    first = _json(*what, "--out", out)
    assert {path.name: path.stat().st_mtime_ns for path in trials.glob("*.json")}.items() >= paid.items()
    assert sum("was made before" in text for text in _texts(here)) == len(paid)
    other = _json(*what, "--out", tmp_path / "other")
    assert _front(first["rows"]) == _front(other["rows"])
    assert first["chosen"] == other["chosen"]

    monkeypatch.setattr(run, "_try", lambda *_: pytest.fail("a finished run was begun again"))
    again = _json(*what, "--out", out)
    assert again["reused"]
    assert again["rows"] == first["rows"]


def _wait_for_no_writer(folder: Path) -> None:
    """Until the supervisor, which lost its parent, has ended the child: both are told their folder."""
    deadline = time.monotonic() + 120
    while any(str(folder).encode() in _bytes(path) for path in Path("/proc").glob("[0-9]*/cmdline")):
        assert time.monotonic() < deadline, "the child outlived the command"
        time.sleep(0.05)


def test_several_outputs_and_open_axes_become_files_with_their_proof(
    files: Path, tmp_path: Path, here: list[Mapping[str, Any]]
) -> None:
    what = (files / "detector.onnx", "--data", files / "detector.npz", "--out", tmp_path / "out")
    targets = ("--target", "cpu-x86", "--target", "orin-jp6")
    text = _run(*what, "--budget", "max_drop=0.1", *targets)
    assert "each as its worst target has it" in text
    manifest = (tmp_path / "out/chosen/chosen.json").read_bytes()
    made = from_bytes(CompressedModel, manifest)
    assert {one.target.name: one.recipe for one in made.files} == {"cpu-x86": "", "orin-jp6": "orin-jp6.recipe.json"}
    for one in made.files:
        data = (tmp_path / "out/chosen" / one.file).read_bytes()
        assert len(data) == one.bytes
        assert chain_gap(one.parity, made.model, one.sha256) is None
        assert one.evidence.artifact == one.sha256
    assert made.metric == "fidelity" and made.labels == ()
    assert "drawn by the hash of each record" in made.note
    assert b"<html" in (tmp_path / "out/index.html").read_bytes()
    rows = json.loads((tmp_path / "out/front.json").read_text())
    assert {row["target"] for row in rows if not row["tried"]} == {"cpu-x86", "orin-jp6"}

    # The trials are paid for: another budget that nothing fits takes away the model that did not fit, and says why.
    here.clear()
    out = _run(*what, "--budget", "max_drop=0.1,max_kb=1", *targets, code=1)
    assert "BudgetError: none of" in out and "more than the 1.0 allowed" in out
    assert "Raise the limits in --budget" in out and "index.html" in out
    assert not (tmp_path / "out/chosen").exists()
    assert all("was made before" in text for text in _texts(here) if text.startswith("trial "))
    assert json.loads((tmp_path / "out/.work/done.json").read_text())["result"]["chosen"] is None


def test_refusals_come_before_anything_is_spent(files: Path, tmp_path: Path) -> None:
    gru, npz, out = files / "gru.onnx", files / "gru.npz", tmp_path / "out"
    assert "is not empty and was not made by" in _run(gru, "--data", npz, "--out", files, code=1)
    assert "there is no target 'rtx'; there are cpu-x86" in _run(
        gru, "--data", npz, "--out", out, "--target", "rtx", code=1
    )
    assert "an ONNX file says nothing of its data" in _run(gru, "--out", out, code=1)
    assert "there is no such file or folder" in _run(gru, "--data", "no.npz", "--out", out, code=1)
    assert "'nothing' is no file, and there is no line 'nothing'" in _run("nothing", "--out", out, code=1)
    assert "no.onnx: there is no such file" in _run("no.onnx", "--out", out, code=1)
    assert "--mean 'a': numbers" in _run(gru, "--data", npz, "--out", out, "--mean", "a", code=1)
    (tmp_path / "file").write_text("")
    assert "is no folder" in _run(gru, "--data", npz, "--out", tmp_path / "file", code=1)
    assert not out.exists()


def test_a_file_that_is_no_model_leaves_no_folder(files: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"\x08\x0a garbage" * 50)
    text = _run(tmp_path / "bad.onnx", "--data", files / "gru.npz", "--out", tmp_path / "out", code=1)
    assert "bad.onnx" in text and "valid-protobuf" in text
    assert not (tmp_path / "out").exists()


def test_a_folder_is_of_one_model(
    files: Path, tmp_path: Path, here: list[Mapping[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    monkeypatch.setattr(run, "_try", lambda *_: {"written": {}, "rows": [], **dict.fromkeys(_ANSWERED)})
    _run(files / "gru.onnx", "--data", files / "gru.npz", "--out", out, code=1)
    text = _run(files / "detector.onnx", "--data", files / "detector.npz", "--out", out, code=1)
    assert "holds the results of another model" in text


_ANSWERED = ("model", "chosen", "why", "note", "failed", "files")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("max_drop=1%", "a share, e.g. 0.01 for 1 %; percent signs are not read"),
        ("max_ms=2ms", "without a unit, in milliseconds, e.g. 2"),
        ("max_kb=500kB", r"kB \(1,000 bytes\), e.g. 500"),
        ("max_drop=nan", "is not a number"),
        ("max_drop=inf", "is not a number"),
        ("max_dropp=1", "'max_dropp=1' is no limit; allowed are NAME=NUMBER.*max_drop_per_class"),
        ("0.01", "is no limit"),
        ("max_drop=2", "max_drop=2 is out of range: it must be less than or equal to 0.5; 0.01 is one point"),
        ("max_drop=0.1 max_kb=5", "a comma is missing"),
        ("max_ms=-1", "max_ms=-1 is out of range: it must be greater than 0$"),
        ("max_drop=0.1,max_drop=0.2", "twice"),
        ("max_f1_drop=3", "3.0 is not a loss"),
    ],
)
def test_budgets_that_say_nothing_are_refused(text: str, why: str) -> None:
    with pytest.raises(RejectedError, match=why):
        parse_budget(text)


def test_a_budget_has_every_limit_of_a_line() -> None:
    budget = parse_budget(" max_drop=0.02, max_drop_per_class=.05,max_macro_f1_drop=0.03,max_ms=2,max_kb=500,")
    assert (budget.max_drop, budget.max_drop_per_class, budget.max_ms, budget.max_kb) == (0.02, 0.05, 2, 500)
    assert budget.max_drops == {"macro_f1": 0.03}
    assert parse_budget("").max_drop == 0.01


@pytest.fixture
def request_(tmp_path: Path, files: Path) -> Iterator[Request]:
    model, data = str(files / "gru.onnx"), str(files / "gru.npz")
    yield Request(model, "", "", data, "", str(tmp_path / "out"), None, ("cpu-x86",))


def _fake(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    monkeypatch.setattr(run, "CHILD", (sys.executable, "-c", f"import json, os, pathlib, sys, time\n{code}"))


def test_a_crash_is_one_clear_error(request_: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    _fake(
        monkeypatch, 'print(json.dumps({"stage": "reading", "at": 0, "of": 6}), flush=True); os.kill(os.getpid(), 11)'
    )
    with pytest.raises(RejectedError, match=r"gru\.onnx: reading crashed on it \(SIGSEGV\); the file is damaged"):
        run.compress(request_, lambda text: None)
    assert not Path(request_.out).exists()
    _fake(monkeypatch, 'sys.exit("a wheel came off")')
    with pytest.raises(StepDiedError, match="exit code 1: a wheel came off"):
        run.compress(request_, lambda text: None)
    _fake(monkeypatch, "os.kill(os.getpid(), 9)")
    with pytest.raises(StepDiedError, match="SIGKILL: was it out of memory"):
        run.compress(request_, lambda text: None)


def test_a_trial_that_crashes_is_left_out_of_the_next_try(request_: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    left = Path(request_.out) / ".work/store/gru/trials/left.begun"  # by a kill, of which it is innocent
    left.parent.mkdir(parents=True)
    left.touch()
    answer = json.dumps({"done": {**dict.fromkeys(_ANSWERED), "chosen": "one", "rows": [], "written": {}}})
    _fake(
        monkeypatch,
        f"""
folder = pathlib.Path(sys.argv[1]).parent / "store/gru/trials"
folder.mkdir(parents=True, exist_ok=True)
if (folder / "a.crashed").exists():
    print({answer!r}, flush=True)
else:
    (folder / "a.begun").write_bytes(b"")
    os.kill(os.getpid(), 6)
""",
    )
    assert run.compress(request_, told.append).chosen == "one"
    assert told == ["the last trial crashed (SIGABRT) and is left out; going on with the others"]
    assert [path.name for path in left.parent.iterdir()] == ["a.crashed"]
    assert (left.parent / "a.crashed").read_text() == "SIGABRT"


def test_a_model_that_never_answers_is_ended(request_: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    _fake(
        monkeypatch,
        'print(json.dumps({"stage": "s", "at": 0, "of": 6, "within": 0.2}) + "\\n" + json.dumps({"text": "a word"}), '
        "flush=True)\ntime.sleep(601)",
    )
    with pytest.raises(RejectedError, match=r"took longer than 0\.2 s and was ended"):
        run.compress(request_, lambda text: None)
    alive = [path for path in Path("/proc").glob("[0-9]*/cmdline") if b"time.sleep(601)" in _bytes(path)]
    assert alive == []


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_the_command_teaches() -> None:
    text = CliRunner().invoke(app, ["compress", "--help"], env={"COLUMNS": "200"}).output
    for word in ("max_drop=0.01,max_ms=2", "x_calibration", "fidelity", "index.html", "cpu-x86"):
        assert word in text
