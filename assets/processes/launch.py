"""The parent's side of a heavy step: starts it in a supervised child process and waits for its document.

The code location imports neither torch nor Great Expectations; only these children do.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

import dagster as dg
from dagster._core.errors import DagsterPipesExecutionError

from assets.errors import RejectedError, StepDiedError, TransientError
from assets.processes.messages import WholeLineReader
from assets.processes.pods import in_cluster, run_pod
from assets.records.line_store import BoundLine
from edge.contracts import from_bytes

T = TypeVar("T")
PYTHON_MODULE = (sys.executable, "-m")


def torch_run(processes: int) -> tuple[str, ...]:
    """The launcher of a step that so many processes of this machine take together."""
    return (*PYTHON_MODULE, "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", "-m")


TORCH_RUN = torch_run(1)


def run_step(
    context: dg.AssetExecutionContext,
    module: str,
    answer: type[T],
    line: BoundLine,
    options: Mapping[str, Any] | None = None,
    launcher: Sequence[str] = PYTHON_MODULE,
) -> T:
    """Run `module` as a supervised child, or in a pod (see `assets.processes.pods`), and return its document.

    Args:
        module: dotted name of a module that ends in `assets.processes.worker.serve`.
        answer: the contract document it sends back.
        options: plain JSON handed to the child as `Job.options`.
        launcher: what the module's name is appended to; `torch_run(training.processes)` for training.

    Raises:
        RejectedError: the child refused its input; do not try again.
        TransientError: the child could not work now, e.g. its disk is full.
        StepDiedError: the child ended without an answer; its output is in the run's page.
    """
    extras = {
        "home": line.store.root,
        "line": line.name,
        "config": line.config.model_dump(mode="json"),
        "read": line.read,
        "options": dict(options or {}),
    }
    if in_cluster():
        # The image's own Python, not this machine's; of the launcher, only the path differs.
        command = ["python", "-m", "assets.processes.supervisor", "python", *launcher[1:], module]
        messages = run_pod(
            context,
            command,
            extras,
            line.store,
            line.config.resources,
            lambda progress: observe(context, progress),
            gpus=launcher != PYTHON_MODULE,
        )
    else:
        messages = _run_child(context, [*PYTHON_MODULE, "assets.processes.supervisor", *launcher, module], extras)
    if not messages:
        raise StepDiedError(f"{module} ended without an answer; see the step's stderr in the run's page")
    if "rejected" in messages[-1]:
        raise RejectedError(messages[-1]["rejected"])
    if "again" in messages[-1]:
        raise TransientError(messages[-1]["again"])
    return from_bytes(answer, messages[-1]["document"].encode(), module)


def _run_child(context: dg.AssetExecutionContext, command: Sequence[str], extras: Mapping[str, Any]) -> Sequence[Any]:
    """Run a child process, and return the messages it sent. Raises StepDiedError."""
    try:
        reader = WholeLineReader(lambda progress: observe(context, progress))
        client = dg.PipesSubprocessClient(message_reader=reader)
        return client.run(context=context, command=command, extras=dict(extras)).get_custom_messages()
    except DagsterPipesExecutionError as error:
        raise StepDiedError(
            f"{command[-1]} ended without an answer ({error}); see the step's stderr in the run's page"
        ) from error


def observe(context: dg.AssetExecutionContext, progress: Mapping[str, Any]) -> None:
    """Log how far a step is as an observation of its asset: Dagster plots its numbers while the step goes on.

    Args:
        progress: plain numbers and texts; "text" describes it, "page" is the URL of a page that shows more.
    """
    metadata = {
        name: dg.MetadataValue.url(str(value)) if name == "page" else value
        for name, value in progress.items()
        if isinstance(value, (str, int, float)) and name != "text"
    }
    context.log_event(
        dg.AssetObservation(context.asset_key, description=str(progress.get("text", "")), metadata=metadata)
    )


@contextlib.contextmanager
def refusals_fail_once() -> Iterator[None]:
    """Turn a RejectedError into a failure that Dagster does not retry: the same input would be refused again."""
    try:
        yield
    except RejectedError as error:
        raise dg.Failure(description=str(error), allow_retries=False) from error
