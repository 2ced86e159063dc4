"""What `edgeloop compress MODEL --data SOURCE` names: an ONNX file, a line's model, a checkpoint in a store."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from assets.errors import LineError, RejectedError
from assets.records.dataset import DatasetVersion
from assets.storage import layout
from assets.storage.memo import cached
from assets.storage.store import Store
from assets.training.documents import TrainedModel
from edge.contracts import digest
from platform_defs.home import find_home

if TYPE_CHECKING:
    from assets.standalone.request import Request

_SAFETENSORS = ".safetensors"


def find_model(name: str) -> tuple[str, str, str]:
    """A MODEL as (path of an ONNX file, line, digest of its weights); what does not apply is "".

    Raises:
        RejectedError: neither a file nor a line, or weights that no line's model has.
    """
    path = Path(name)
    if path.is_dir():
        raise RejectedError(f"{path}: is a folder; name an ONNX file, a line, or a .safetensors of one of its models")
    if path.suffix == _SAFETENSORS and path.is_file():
        return ("", *_owner(path))
    if path.is_file():
        return str(path.resolve()), "", ""
    if path.suffix or len(path.parts) > 1:
        raise RejectedError(
            f"{path}: there is no such file; name an ONNX file, or a line (`edgeloop lines` lists them)"
        )
    from platform_defs.catalog import find_line

    try:
        line = find_line(name).name
    except LineError as error:
        raise LineError(f"{name!r} is no file, and {error}") from error
    trained_model(line, "")
    return "", line, ""


def find_data(source: str, line: str) -> tuple[str, str]:
    """A SOURCE as (path, line whose accepted records it stands for); one of the two is "".

    Args:
        line: of the model; its records where no source is named.
    """
    if not source:
        if not line:
            raise RejectedError(
                "--data: an ONNX file says nothing of its data; name an .npz, a folder of pictures, a table, or a line"
            )
        return "", line
    path = Path(source)
    if path.exists():
        return str(path.resolve()), ""
    if path.suffix or len(path.parts) > 1:
        raise RejectedError(f"--data {source}: there is no such file or folder, and no line is called so")
    from platform_defs.catalog import find_line

    return "", find_line(source).name


def trained_model(line: str, weights: str) -> TrainedModel:
    """A line's newest model, or the one that has these weights. Raises RejectedError where there is none."""
    store = Store(find_home())
    if not weights:
        return store.newest(line, TrainedModel)
    for model in _models(store, line):
        if model.weights.sha256 == weights:
            return model
    raise RejectedError(f"no model of line {line!r} in {store.root} has the weights {weights[:12]}…")


def newest_dataset(request: Request) -> str:
    """Version of the records that judge the model: those it was trained beside, or another line's newest."""
    if request.line == request.data_line:
        return trained_model(request.line, request.weights).dataset
    return digest(Store(find_home()).newest(request.data_line, DatasetVersion))


def _owner(path: Path) -> tuple[str, str]:
    """The line whose model has these weights, and their digest."""
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    from platform_defs.catalog import list_lines

    store = Store(find_home())
    for entry in list_lines():
        if any(model.weights.sha256 == sha256 for model in _models(store, entry.name)):
            return entry.name, sha256
    raise RejectedError(
        f"{path}: no trained model in {store.root} has these weights, so what network they are of is not known; name "
        "its line, or export it to ONNX"
    )


def _models(store: Store, line: str) -> list[TrainedModel]:
    """Every model that is remembered of a line, the newest first."""
    keys = [layout.head(line, "trained_model")]
    folder = layout.steps(line, "trained_model")
    keys += [f"{folder}/{name}" for name in store.names(folder)]
    found = (cached(store, key, TrainedModel) for key in keys)
    return [model for model in found if model is not None]
