"""The folder of `edgeloop compress`: of one model, with what is known of its last result in `.work/`."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from assets.errors import RejectedError
from assets.evaluation.machine import machine_name
from assets.records.line_store import LineStore
from assets.standalone.external_data import digest_with_values
from assets.standalone.line_models import asked_line, newest_dataset, trained_model
from assets.standalone.request import REVISION, WORK, Request
from assets.storage.store import Store
from edge.engine.library import installed_version

DONE, MARK = "done.json", "model.json"
MAX_MODEL_BYTES = 2 * 1024**3
MAX_JSON_BYTES = 64 * 1024**2


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


def finished(result: Mapping[str, Any]) -> Finished:
    """What the child answered."""
    names = ("model", "chosen", "why", "note", "failed", "files")
    return Finished(**{name: result[name] for name in names}, rows=tuple(result["rows"]))


def claim(out: Path, model: str) -> tuple[Path, bool]:
    """The folder's `.work`, and whether it was made now. Raises RejectedError where the folder holds something else."""
    work, mark = out / WORK, out / WORK / MARK
    if out.exists() and not out.is_dir():
        raise RejectedError(f"{out}: is no folder; name one that is new, or of an earlier run with this model")
    if mark.is_file():
        try:
            owner = str(json.loads(mark.read_bytes()[:MAX_JSON_BYTES])["model"])
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
    write_json(mark, {"model": model})
    return work, True


def give_back(out: Path, work: Path) -> None:
    """A folder that was made for a model or records that were refused at once is as it was before."""
    shutil.rmtree(work, ignore_errors=True)
    with contextlib.suppress(OSError):  # it holds something, or somebody stands in it
        out.rmdir()


def known_result(out: Path, inputs: str) -> Finished | None:
    """The finished result of the same inputs, whose files are there as they were written."""
    try:
        body = json.loads((out / WORK / DONE).read_bytes())
        if body["inputs"] != inputs:
            return None
        result = body["result"]
        intact = all(_file_digest(out / name) == sha256 for name, sha256 in result["written"].items())
    except (OSError, ValueError, KeyError, TypeError, RejectedError):
        return None
    return dataclasses.replace(finished(result), reused=True) if intact else None


def write_json(path: Path, body: Any) -> None:
    """Write JSON in one step."""
    Store(str(path.parent)).write(path.name, json.dumps(body, indent=2, sort_keys=True).encode())


def model_digest(request: Request) -> str:
    """SHA-256 (hex) of the float ONNX, with the files of its values. Raises RejectedError."""
    if request.line:
        return trained_model(LineStore(Store(request.home), request.line), request.weights).onnx.sha256
    path = Path(request.model)
    if path.stat().st_size > MAX_MODEL_BYTES:
        raise RejectedError(f"{path}: larger than {MAX_MODEL_BYTES:,} bytes, which no ONNX file can be")
    return digest_with_values(path, _file_digest(path))


def inputs_digest(request: Request, model: str) -> str:
    """Digest (hex) of everything that decides the result.

    Args:
        model: its digest.
    """
    data = newest_dataset(request) if request.data_line else sources_digest(Path(request.data))
    plain = dataclasses.asdict(dataclasses.replace(request, model="", data="", out=""))
    del plain["home"], plain["configs"]  # the records' and the model's digests, and the policy below, stand for them
    if request.line:
        plain["policy"] = asked_line(request, request.line).config.digest("budget", "compress", "training")
    tools = [metadata.version("onnx"), machine_name(), *map(installed_version, ("tensorrt_rtx", "tensorrt"))]
    body = json.dumps([REVISION, model, data, plain, tools], sort_keys=True)
    return hashlib.sha256(body.encode()).hexdigest()


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
