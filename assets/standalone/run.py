"""The parent's side of `edgeloop compress`: one model outside any line, in a child that may crash on it.

What reads the foreign file can crash on it, so all of that runs in a child under the supervisor
(`assets.standalone.child`), which sends back lines of JSON. The folder that is asked for holds the result, and
in `.work/` a store with every trial: the same command goes on where it was killed, and a finished one costs nothing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from assets.errors import RejectedError, StepDiedError, TransientError
from assets.standalone.folder import (
    DONE,
    Finished,
    claim,
    finished,
    give_back,
    inputs_digest,
    known_result,
    model_digest,
    write_json,
)
from assets.standalone.request import Request
from assets.storage import layout
from edge.child import JsonLines, ending, python_module
from edge.lock import lock_file

CHILD = tuple(python_module("assets.standalone.child"))
_TAIL = 2000


def compress(
    request: Request,
    report: Callable[[str], None],
    moved: Callable[[float, float, str], None] = lambda *_: None,
) -> Finished:
    """Compress a model into the folder `request.out`.

    Args:
        report: told in words what happens.
        moved: told how far the work is.

    Raises:
        RejectedError: a model, records or a budget that cannot be used, or a folder that holds something else.
        TransientError: the child could not work now; the same command goes on.
    """
    out = Path(request.out)
    model = model_digest(request)
    work, new = claim(out, model)
    with lock_file(work / "lock", wait_seconds=0) as held:
        if not held:
            raise TransientError(
                f"{out}: another `edgeloop compress` works there now; wait for it, or name another folder"
            )
        inputs = inputs_digest(request, model)
        known = known_result(out, inputs)
        if known is not None:
            report("the same model, records, budget and targets were compressed before: nothing to do")
            return known
        (work / DONE).unlink(missing_ok=True)
        try:
            result = _run(request, work, report, moved)
        except RejectedError:
            if new and not any(work.glob(f"{layout.trials('*')}/*")):  # nothing was paid for
                give_back(out, work)
            raise
        write_json(work / DONE, {"inputs": inputs, "result": result})
    return finished(result)


def _run(
    request: Request, work: Path, report: Callable[[str], None], moved: Callable[[float, float, str], None]
) -> dict[str, Any]:
    """Run the child, and return what it answers; a trial that crashes it is marked and left out of another try."""
    for left in work.glob(f"{layout.trials('*')}/*.begun"):  # by a kill, of which they are innocent
        left.unlink(missing_ok=True)
    while True:
        try:
            return _try(request, work, report, moved)
        except _CrashedError as error:
            begun = sorted(work.glob(f"{layout.trials('*')}/*.begun"))
            if not begun:
                raise RejectedError(str(error)) from error
            for path in begun:
                path.write_text(error.how)
                path.replace(path.with_suffix(".crashed"))
            report(f"the last trial crashed ({error.how}) and is left out; going on with the others")


class _CrashedError(RejectedError):
    """The child was ended by a fault of its own. `how` is the signal's name."""

    def __init__(self, text: str, how: str) -> None:
        super().__init__(text)
        self.how = how


def _try(
    request: Request, work: Path, report: Callable[[str], None], moved: Callable[[float, float, str], None]
) -> dict[str, Any]:
    order = work / "request.json"
    write_json(order, dataclasses.asdict(request))
    command = python_module("assets.processes.supervisor", *CHILD, str(order))
    doing, answer = "starting", None
    child = JsonLines(command, work / "log.txt", supervised=True)
    try:
        for message in _messages(child, request.model or request.line):
            if "text" in message:
                report(message["text"])
            elif "stage" in message:
                doing = message["stage"]
                moved(message["at"], message["of"], doing)
            else:
                answer = message
        code = child.wait()
    finally:
        child.end()
    if answer is None:
        raise _died(request, work, doing, code)
    if "rejected" in answer:
        raise RejectedError(answer["rejected"])
    if "again" in answer:
        raise TransientError(answer["again"])
    return dict(answer["done"])


def _messages(child: JsonLines, name: str) -> Iterator[dict[str, Any]]:
    """The child's messages; a stage may say within how many seconds the next stage begins. Raises RejectedError."""
    within, began = None, time.monotonic()
    while True:
        message: dict[str, Any] | None = {}
        with contextlib.suppress(TimeoutError):
            message = child.receive(seconds=1.0)
        if message is None:
            return
        if message:
            if "text" not in message:  # words are no progress
                within, began = message.get("within"), time.monotonic()
            yield message
        if within is not None and time.monotonic() - began > within:
            raise RejectedError(
                f"{name}: reading the model and answering a few records took longer than {within:g} s and was "
                "ended; see that the model ends (a loop?), and that it and its inputs are not too large"
            )


def _died(request: Request, work: Path, doing: str, code: int) -> Exception:
    """What the end of a child without an answer means."""
    tail = (work / "log.txt").read_bytes()[-_TAIL:].decode("utf-8", "replace").strip()
    how, name = ending(code), request.model or f"line {request.line!r}"
    if how in {"SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE", "SIGILL"}:
        return _CrashedError(
            f"{name}: {doing} crashed on it ({how}); the file is damaged, or beyond this version: check it with "
            "onnx.checker and export it again",
            how,
        )
    why = "was it out of memory?" if how == "SIGKILL" else " / ".join(tail.splitlines()[-3:]) or "no word of it"
    return StepDiedError(f"{name}: {doing} ended without an answer ({how}: {why}); the same command goes on from there")
