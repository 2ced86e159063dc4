"""Compressing one model outside any line: the parent's side of `edgeloop compress`.

What reads the foreign file can crash on it, so all of that runs in a child under the supervisor
(`assets.standalone.child`), which sends back lines of JSON. The folder that is asked for holds the result, and
in `.work/` a store with every trial: the same command goes on where it was killed, and a finished one costs nothing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from assets.errors import RejectedError, StepDiedError, TransientError
from assets.evaluation.latency import machine_name
from assets.standalone.external import digest_with_values
from assets.standalone.request import REVISION, WORK, Request
from assets.storage import layout
from assets.storage.store import Store
from edge.child import JsonLines, ending, python_module
from edge.engine.library import installed_version

DONE = "done.json"
CHILD = tuple(python_module("assets.standalone.child"))
MAX_MODEL_BYTES = 2 * 1024**3
MESSAGE_BYTES = 64 * 1024**2
_TAIL = 2000


@dataclass(frozen=True)
class Finished:
    """What came of it.

    Attributes:
        chosen: name of the candidate; None where nothing fits.
        why: why it was chosen, or what the nearest misses are.
        failed: target name to why there is no file for it.
        files: target name to its file below the folder.
        rows: as `front.json` has them.
        reused: whether all of it was there before.
    """

    model: str
    chosen: str | None
    why: str
    note: str
    failed: Mapping[str, str]
    files: Mapping[str, str]
    rows: tuple[Mapping[str, Any], ...]
    reused: bool = False


def compress(
    request: Request, report: Callable[[str], None], moved: Callable[[float, float, str], None] = lambda *_: None
) -> Finished:
    """Compress a model into the folder `request.out`.

    Args:
        report: told in words what happens.
        moved: told how far the work is.

    Raises:
        RejectedError: a model, records or a budget that cannot be used, or a folder that holds something else.
        TransientError: the child could not work now; the same command goes on.
    """
    from platform_defs.automation.locks import line_lock  # its package loads Dagster, which the child does without

    out = Path(request.out)
    model = _model_digest(request)
    work, new = _claim(out, model)
    with line_lock(Store(str(work)), "compress") as held:
        if not held:
            raise TransientError(
                f"{out}: another `edgeloop compress` works there now; wait for it, or name another folder"
            )
        inputs = _inputs(request, model)
        known = _known(out, work, inputs)
        if known is not None:
            report("the same model, records, budget and targets were compressed before: nothing to do")
            return known
        (work / DONE).unlink(missing_ok=True)
        try:
            result = _run(request, work, report, moved)
        except RejectedError:
            if new and not any(work.glob(f"{layout.trials('*')}/*")):  # nothing was paid for
                _give_back(out, work)
            raise
        _write(work / DONE, {"inputs": inputs, "result": result})
    return _finished(result)


def sources_digest(path: Path) -> str:
    """SHA-256 (hex) of a file, or of a folder's files with their names."""
    if not path.is_dir():
        return _file_digest(path)
    found = hashlib.sha256()
    for folder, names, files in os.walk(path):
        names.sort()
        for name in sorted(files):
            one = Path(folder, name)
            if one.is_file() and not one.is_symlink():
                found.update(f"{one.relative_to(path)}\0{_file_digest(one)}\n".encode("utf-8", "replace"))
    return found.hexdigest()


def _file_digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise RejectedError(f"{path}: cannot be read ({error.strerror}); give a file that you may read") from error


def _model_digest(request: Request) -> str:
    if request.line:
        from platform_defs.compressing.models import trained_model

        return trained_model(request.line, request.weights).onnx.sha256
    path = Path(request.model)
    if path.stat().st_size > MAX_MODEL_BYTES:
        raise RejectedError(f"{path}: larger than {MAX_MODEL_BYTES:,} bytes, which no ONNX file can be")
    return digest_with_values(path, _file_digest(path))


def _claim(out: Path, model: str) -> tuple[Path, bool]:
    """The folder's `.work`, and whether it was made now. Raises RejectedError where the folder holds something else."""
    work, mark = out / WORK, out / WORK / "model.json"
    if out.exists() and not out.is_dir():
        raise RejectedError(f"{out}: is no folder; name one that is new, or of an earlier run with this model")
    if mark.is_file():
        try:
            owner = str(json.loads(mark.read_bytes()[:MESSAGE_BYTES])["model"])
        except (ValueError, KeyError, TypeError) as error:
            raise RejectedError(f"{mark}: is damaged ({error}); name a new folder") from error
        if owner != model:
            raise RejectedError(
                f"{out}: holds the results of another model ({owner[:12]}…, not {model[:12]}…); name a new folder with "
                "--out"
            )
        return work, False
    if out.exists() and any(path.name != WORK for path in out.iterdir()):
        raise RejectedError(
            f"{out}: is not empty and was not made by `edgeloop compress`; name a new folder with --out"
        )
    try:
        work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RejectedError(f"--out {out}: cannot be made ({error.strerror}); name another folder") from error
    _write(mark, {"model": model})
    return work, True


def _give_back(out: Path, work: Path) -> None:
    """A folder that was made for a model or records that were refused at once is as it was before."""
    shutil.rmtree(work, ignore_errors=True)
    with contextlib.suppress(OSError):  # it holds something, or somebody stands in it
        out.rmdir()


def _inputs(request: Request, model: str) -> str:
    """Digest of everything that decides the result."""
    if request.data_line:
        from platform_defs.compressing.models import newest_dataset

        data = newest_dataset(request)
    else:
        data = sources_digest(Path(request.data))
    plain = dataclasses.asdict(dataclasses.replace(request, model="", data="", out=""))
    if request.line:
        from platform_defs.catalog import find_line

        plain["policy"] = find_line(request.line).config.digest("budget", "compress", "training")
    tools = [metadata.version("onnx"), machine_name(), *map(installed_version, ("tensorrt_rtx", "tensorrt"))]
    body = json.dumps([REVISION, model, data, plain, tools], sort_keys=True)
    return hashlib.sha256(body.encode()).hexdigest()


def _known(out: Path, work: Path, inputs: str) -> Finished | None:
    """The finished result of the same inputs, whose files are there as they were written."""
    try:
        body = json.loads((work / DONE).read_bytes())
        if body["inputs"] != inputs:
            return None
        result = body["result"]
        intact = all(_file_digest(out / name) == sha256 for name, sha256 in result["written"].items())
    except (OSError, ValueError, KeyError, TypeError, RejectedError):
        return None
    return dataclasses.replace(_finished(result), reused=True) if intact else None


def _finished(result: Mapping[str, Any]) -> Finished:
    names = ("model", "chosen", "why", "note", "failed", "files")
    return Finished(**{name: result[name] for name in names}, rows=tuple(result["rows"]))


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
    _write(order, dataclasses.asdict(request))
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


def _write(path: Path, body: Any) -> None:
    """Write JSON in one step."""
    from assets.storage.store import Store

    Store(str(path.parent)).write(path.name, json.dumps(body, indent=2, sort_keys=True).encode())
