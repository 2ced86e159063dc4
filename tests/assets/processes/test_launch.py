"""A heavy step in its own process: its answer comes back, its end is told, and a cancelled run leaves no process.

Dagster reads the annotations of asset functions as they are: no `from __future__ import annotations` here.
"""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._cli.job import _create_run
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import PythonFileTarget

from assets.errors import StepDiedError
from assets.line.config import parse_line
from assets.processes.launch import refusals_fail_once, run_step
from assets.records.line_store import BoundLine, bind
from assets.storage.store import Store
from assets.training.triggers.documents import Claim
from tests.projects import TINY

WORKER = '''
"""A step that ends as its options say."""
import os, signal, subprocess, sys, threading, time
from pathlib import Path
from assets.errors import RejectedError
from assets.training.triggers.documents import Claim
from assets.processes.worker import Job, serve
from edge.contracts import InputSpec

TREE = "import signal,time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(600)"
SPAWN = (
    "import subprocess,sys,time; "
    "p=subprocess.Popen([sys.executable,'-c',sys.argv[1]], stdout=subprocess.PIPE, start_new_session=True); "
    "p.stdout.readline(); print(p.pid, flush=True); time.sleep(600)"
)


def compute() -> None:
    """Never leave ONNX Runtime for long."""
    import numpy as np, onnxruntime
    from onnx import TensorProto, helper

    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", values[:1], values[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    while True:
        session.run(None, {"x": np.zeros(100_000, np.float32)})


def step(job: Job) -> object:
    end = job.options["end"]
    if end == "answer":
        job.report("half way through")
        job.send({"progress": {"step": 5, "steps": 10, "loss": 0.25, "text": "half way", "page": "http://127.0.0.1/x"}})
        return Claim(job.line.name, 0, 1, ("a" * 64,) * job.options["size"], 3, "command", 0.5)
    if end == "busy":
        for _ in range(3):
            threading.Thread(target=compute, daemon=True).start()
        time.sleep(0.3)
        return Claim(job.line.name, 0, 1, ("a" * 64,), 3, "command", 0.5)
    if end == "refuse":
        raise RejectedError("data.csv: row 3: the value is too large; correct it")
    if end == "full":
        raise OSError(28, "No space left on device", "/state/spool")
    if end == "raise":
        raise ZeroDivisionError("by zero")
    if end == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if end == "silent":
        os._exit(0)
    if end == "other document":
        return job.line.config
    child = subprocess.Popen([sys.executable, "-c", SPAWN, TREE], stdout=subprocess.PIPE, text=True)
    pids = [os.getpid(), os.getppid(), child.pid, int(child.stdout.readline())]
    place = Path(job.options["pids"])
    place.with_suffix(".part").write_text(" ".join(map(str, pids)))
    place.with_suffix(".part").rename(place)
    time.sleep(600)


if __name__ == "__main__":
    serve(step)
'''

LOCATION = """
import os
import dagster as dg
from assets.processes.launch import TORCH_RUN, run_step
from assets.line.config import parse_line
from assets.records.line_store import bind
from assets.storage.store import Store
from assets.training.triggers.documents import Claim
from tests.projects import TINY


@dg.asset
def heavy(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    options = {"end": "hang", "pids": context.run.tags["pids"]}
    line = parse_line("tiny", TINY, "test")
    run_step(context, "toy_step", Claim, bind(Store(os.environ["TOY_STORE"]), line), options, TORCH_RUN)
    return dg.MaterializeResult()


defs = dg.Definitions(
    assets=[heavy], jobs=[dg.define_asset_job("toy_job", [heavy])], executor=dg.in_process_executor
)
"""


@pytest.fixture
def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BoundLine:
    """A line in a store, with the worker's module on the path of child processes."""
    (tmp_path / "toy_step.py").write_text(WORKER)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    return bind(Store(str(tmp_path / "state")), parse_line("tiny", TINY, "test"))


def _materialize(line: BoundLine, **options: Any) -> tuple[dg.ExecuteInProcessResult, list[str], list[Claim]]:
    """A real run of an asset whose step ends as `options` say: its result, its log, and what came back."""
    answers: list[Claim] = []

    @dg.asset(retry_policy=dg.RetryPolicy(max_retries=1))
    def heavy(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        with refusals_fail_once():
            answers.append(run_step(context, "toy_step", Claim, line, options))
        return dg.MaterializeResult()

    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([heavy], instance=instance, raise_on_error=False)
        told = [entry.user_message for entry in instance.all_logs(result.run_id)]
    return result, told, answers


def _failures(result: dg.ExecuteInProcessResult) -> list[dg.DagsterEvent]:
    return [event for event in result.all_events if event.is_step_failure]


def _retries(result: dg.ExecuteInProcessResult) -> int:
    return sum(event.event_type is dg.DagsterEventType.STEP_RESTARTED for event in result.all_events)


@pytest.mark.parametrize("size", [1, 20_000], ids=["small", "megabyte"])
def test_the_document_and_the_progress_come_back(line: BoundLine, size: int) -> None:
    result, told, answers = _materialize(line, end="answer", size=size)
    assert result.success
    assert answers == [Claim("tiny", 0, 1, ("a" * 64,) * size, 3, "command", 0.5)]
    assert any("half way through" in message for message in told)
    (seen,) = [event for event in result.all_events if event.event_type is dg.DagsterEventType.ASSET_OBSERVATION]
    observation = seen.asset_observation_data.asset_observation
    values = {name: value.value for name, value in observation.metadata.items()}
    assert values == {"step": 5, "steps": 10, "loss": 0.25, "page": "http://127.0.0.1/x"}
    assert observation.description == "half way"


def test_a_thread_inside_native_code_does_not_spoil_an_answer(line: BoundLine) -> None:
    result, _, answers = _materialize(line, end="busy")
    assert (result.success, _retries(result), len(answers)) == (True, 0, 1)


def test_a_refusal_fails_once_with_its_own_text(line: BoundLine) -> None:
    result, _, answers = _materialize(line, end="refuse")
    (failure,) = _failures(result)
    data = failure.step_failure_data.user_failure_data
    assert data is not None
    assert data.description == "data.csv: row 3: the value is too large; correct it"
    assert (_retries(result), answers) == (0, [])


def test_a_full_disk_is_told_in_one_sentence_and_tried_again(line: BoundLine) -> None:
    result, _, answers = _materialize(line, end="full")
    (failure,) = _failures(result)
    error = failure.step_failure_data.error
    while error.cause is not None:
        error = error.cause
    assert "/state/spool: cannot be written (No space left on device); make room, then try again" in error.message
    assert answers == []


@pytest.mark.parametrize("end", ["raise", "kill", "silent", "other document"])
def test_a_step_that_dies_is_told_and_tried_again(line: BoundLine, end: str) -> None:
    result, _, answers = _materialize(line, end=end)
    (failure,) = _failures(result)
    error = failure.step_failure_data.error
    while error is not None and error.cause is not None and error.cls_name != StepDiedError.__name__:
        error = error.cause
    assert error is not None
    assert error.cls_name == StepDiedError.__name__
    assert "toy_step ended without an answer" in error.message
    assert "see the step's stderr in the run's page" in error.message
    assert (_retries(result), answers) == (1, [])


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, WorkspaceProcessContext]]:
    """A code server that runs the toy job as Dagster runs everything: one process per run."""
    folder = tmp_path_factory.mktemp("toy")
    (folder / "toy_step.py").write_text(WORKER)
    (folder / "toy_location.py").write_text(LOCATION)
    (folder / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    target = PythonFileTarget(str(folder / "toy_location.py"), None, str(folder), "toy")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{folder}{os.pathsep}{Path.cwd()}")
        patch.setenv("TOY_STORE", str(folder / "state"))
        with (
            dg.DagsterInstance.from_config(str(folder)) as instance,
            WorkspaceProcessContext(instance, target) as workspace,
        ):
            yield folder, workspace


def _launch(folder: Path, workspace: WorkspaceProcessContext, name: str) -> tuple[str, list[int]]:
    """Start the toy job; returns its run, and the processes that its step has started by now."""
    request = workspace.create_request_context()
    location = request.get_code_location("toy")
    (repository,) = location.get_repositories().values()
    job = repository.get_full_job("toy_job")
    place = folder / name
    run = _create_run(workspace.instance, location, repository, job, {}, {"pids": str(place)}, None, None)
    workspace.instance.launch_run(run.run_id, request)
    deadline = time.monotonic() + 120
    while not place.exists():
        logs = "\n".join(entry.user_message for entry in workspace.instance.all_logs(run.run_id))
        assert time.monotonic() < deadline, logs
        time.sleep(0.1)
    return run.run_id, [int(pid) for pid in place.read_text().split()]


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _assert_gone(pids: list[int]) -> None:
    deadline = time.monotonic() + 120
    while any(_alive(pid) for pid in pids):
        assert time.monotonic() < deadline, f"still alive: {[pid for pid in pids if _alive(pid)]}"
        time.sleep(0.05)


def test_terminating_a_run_leaves_no_process(toy: tuple[Path, WorkspaceProcessContext]) -> None:
    folder, workspace = toy
    run_id, pids = _launch(folder, workspace, "terminated")
    assert all(_alive(pid) for pid in pids)
    assert workspace.instance.run_launcher.terminate(run_id)
    _assert_gone(pids)
    deadline = time.monotonic() + 120
    while (run := workspace.instance.get_run_by_id(run_id)) and run.status is not dg.DagsterRunStatus.CANCELED:
        assert time.monotonic() < deadline, run.status
        time.sleep(0.1)


def test_killing_a_run_leaves_no_process(toy: tuple[Path, WorkspaceProcessContext]) -> None:
    folder, workspace = toy
    run_id, pids = _launch(folder, workspace, "killed")
    told = (entry.message for entry in workspace.instance.all_logs(run_id))
    started = next(text for text in told if "Started process for run" in text)
    worker = int(started.rpartition("pid: ")[2].rstrip(")."))
    assert worker not in pids
    os.kill(worker, signal.SIGKILL)
    _assert_gone([worker, *pids])
