"""A line's trained models and the records that judge them, as `edgeloop compress` finds them in the state's store."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from assets.errors import RejectedError
from assets.line.config import Line, LineConfig
from assets.records.dataset import DatasetVersion
from assets.records.line_store import LineStore
from assets.standalone.request import Request
from assets.storage import layout
from assets.storage.memo import cached
from assets.storage.store import Store
from assets.training.documents import TrainedModel
from edge.contracts import digest


def asked_line(request: Request, name: str) -> Line:
    """A line that the request names, with the configuration that came with it."""
    return Line(name, LineConfig.model_validate(request.configs[name]))


def trained_model(line: LineStore, weights: str) -> TrainedModel:
    """A line's newest model, or the one that has these weights. Raises RejectedError where there is none."""
    if not weights:
        return line.newest(TrainedModel)
    for model in _models(line):
        if model.weights.sha256 == weights:
            return model
    raise RejectedError(f"no model of line {line.name!r} in {line.store.root} has the weights {weights[:12]}…")


def newest_dataset(request: Request) -> str:
    """Version of the records that judge the model: those it was trained beside, or another line's newest."""
    store = Store(request.home)
    if request.line == request.data_line:
        return trained_model(LineStore(store, request.line), request.weights).dataset
    return digest(store.newest(request.data_line, DatasetVersion))


def owner_of(store: Store, lines: Iterable[str], weights: Path) -> tuple[str, str]:
    """The line among these whose model has the weights of this file, and their digest. Raises RejectedError."""
    with weights.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    for line in lines:
        if any(model.weights.sha256 == sha256 for model in _models(LineStore(store, line))):
            return line, sha256
    raise RejectedError(
        f"{weights}: no trained model in {store.root} has these weights, so what network they are of is not known; "
        "name its line, or export it to ONNX"
    )


def _models(line: LineStore) -> list[TrainedModel]:
    """Every model that is remembered of a line, the newest first."""
    keys = [layout.head(line.name, "trained_model")]
    folder = layout.steps(line.name, "trained_model")
    keys += [f"{folder}/{name}" for name in line.store.names(folder)]
    found = (cached(line.store, key, TrainedModel) for key in keys)
    return [model for model in found if model is not None]
