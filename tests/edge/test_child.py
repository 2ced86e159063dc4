"""Real child processes: isolated, limited, ended with all they started, and told apart by how they ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.child import JsonLines, bare_environment, ending, python_module, run_child, start_child, stop_child

LONG = 60.0
"""Seconds after which a test gives up waiting."""
ECHO = """
import json, sys
from edge.child import answer_pipe, send_line
pipe = answer_pipe()
print("what a library prints is no answer")
for line in sys.stdin:
    send_line(pipe, {"said": json.loads(line)["word"]})
"""


def _python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.02)


def test_nothing_is_imported_from_the_working_directory(tmp_path: Path) -> None:
    for name in ("json", "runpy", "argparse", "edge"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported from the working directory')")
    (tmp_path / "data").write_text('{"a": 1}')
    plain = run_child([sys.executable, "-m", "json.tool", "data"], LONG, folder=tmp_path)
    assert "imported from the working directory" in plain.errors, "else this test proves nothing"
    ended = run_child(python_module("json.tool", "data"), LONG, folder=tmp_path)
    assert (ended.code, json.loads(ended.output)) == (0, {"a": 1})
    ended = run_child(python_module("edge.agent.cli", "--help"), LONG, folder=tmp_path, environment=bare_environment())
    assert ended.code == 0, ended.errors


def test_a_module_gets_its_arguments_and_its_exit_status_comes_back(tmp_path: Path) -> None:
    ended = run_child(python_module("json.tool", "none"), LONG, folder=tmp_path)
    assert ended.code == 2
    assert "none" in ended.errors


def test_the_environment_is_bare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "x")
    monkeypatch.setenv("KEPT", "y")
    found = bare_environment("KEPT", "MISSING", MORE="z")
    assert (found["KEPT"], found["MORE"], found["LC_ALL"]) == ("y", "z", "C.UTF-8")
    assert "SECRET" not in found
    assert "MISSING" not in found


@pytest.mark.parametrize(
    ("code", "status", "words"),
    [
        ("pass", 0, "exit code 0"),
        ("raise SystemExit(3)", 3, "exit code 3"),
        ("import os; os.abort()", -signal.SIGABRT, "SIGABRT"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", -signal.SIGSEGV, "SIGSEGV"),
    ],
)
def test_how_it_ended_is_told(code: str, status: int, words: str) -> None:
    ended = run_child(_python(code), LONG)
    assert (ended.code, ended.late, ending(ended.code)) == (status, False, words)


def test_a_signal_that_a_shell_passes_on_is_told_too() -> None:
    assert ending(128 + signal.SIGKILL) == "SIGKILL"
    assert ending(-40) == "signal 40"
    assert ending(200) == "exit code 200"


def test_one_that_takes_too_long_is_ended() -> None:
    ended = run_child(_python("print('begun', flush=True); import time; time.sleep(600)"), 0.5)
    assert ended.late
    assert ended.code == -signal.SIGKILL


def test_what_it_leaves_behind_is_ended_and_not_waited_for() -> None:
    code = (
        "import subprocess, sys\n"
        "left = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print(left.pid)"
    )
    ended = run_child(_python(code), LONG)
    assert not ended.late
    _wait(lambda: not _alive(int(ended.output)))


def test_memory_is_limited_and_no_more_than_it_was() -> None:
    code = (
        "from edge.child import limit_memory\n"
        "import resource\n"
        "limit_memory(300 << 20)\n"
        "limit_memory(1 << 40)\n"
        "try:\n    bytearray(600 << 20)\n"
        "except MemoryError:\n    print(*resource.getrlimit(resource.RLIMIT_CORE))"
    )
    assert run_child(_python(code), LONG).output == b"0 0\n"


def test_it_ends_when_its_parent_does() -> None:
    inner = "from edge.child import die_with_parent; die_with_parent(); print('up', flush=True); input()"
    outer = (
        "import subprocess, sys\n"
        f"child = subprocess.Popen([sys.executable, '-c', {inner!r}], stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
        "child.stdout.readline()\n"
        "print(child.pid, flush=True)\n"
        "input()"
    )
    with subprocess.Popen(_python(outer), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert _alive(pid)
        parent.send_signal(signal.SIGKILL)
    _wait(lambda: not _alive(pid))


def test_lines_go_back_and_forth(tmp_path: Path) -> None:
    child = JsonLines(_python(ECHO), tmp_path / "log")
    try:
        for word in ("one", "two"):
            child.send({"word": word})
            assert child.receive(LONG) == {"said": word}
        assert child.alive()
    finally:
        child.end()
    assert not child.alive()
    assert child.wait() == -signal.SIGKILL
    child.end()  # twice is once


@pytest.mark.parametrize("supervised", [False, True])
def test_lines_end_with_the_child(tmp_path: Path, supervised: bool) -> None:
    code = "import sys; print('{\"at\": 1}'); print('{\"at\": 2}'); sys.stderr.write('why'); sys.exit(4)"
    child = JsonLines(_python(code), tmp_path / "log", supervised=supervised)
    assert [child.receive(), child.receive(), child.receive()] == [{"at": 1}, {"at": 2}, None]
    assert child.wait() == 4
    child.end()
    assert (tmp_path / "log").read_text() == "why"


def test_one_that_has_ended_takes_what_it_is_sent(tmp_path: Path) -> None:
    child = JsonLines(_python(""), tmp_path / "log")
    assert child.wait() == 0
    child.send({"word": "nobody reads this"})
    assert child.receive(LONG) is None
    child.end()


@pytest.mark.parametrize("line", ["no JSON", "[1]", json.dumps({"long": "x" * 1000})])
def test_what_is_no_short_json_object_is_refused(tmp_path: Path, line: str) -> None:
    child = JsonLines(_python(f"print({line!r}, flush=True); input()"), tmp_path / "log")
    with pytest.raises(ValueError, match=r"JSON|Expecting"):
        child.receive(LONG, limit=1000)
    child.end()


def test_a_line_that_does_not_come_is_waited_for_so_long(tmp_path: Path) -> None:
    child = JsonLines(_python("print('{\"half\"', end='', flush=True); input()"), tmp_path / "log")
    with pytest.raises(TimeoutError):
        child.receive(0.2)
    assert child.alive()
    child.end()


def test_a_child_that_does_not_heed_is_killed(tmp_path: Path) -> None:
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(600)"
    for code, status in ((deaf, -signal.SIGKILL), (deaf.replace("SIG_IGN", "SIG_DFL"), -signal.SIGTERM)):
        process = start_child(_python(code), subprocess.PIPE, subprocess.DEVNULL)
        assert process.stdout is not None
        process.stdout.readline()
        assert os.getpgid(process.pid) == process.pid, "a session of its own"
        stop_child(process, seconds=0.2 if status == -signal.SIGKILL else LONG)
        assert process.returncode == status
        process.stdout.close()
