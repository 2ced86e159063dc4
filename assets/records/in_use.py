"""The model in use, as far as other rooms than its own must know it: read from what training and release stored.

Documents are read narrowly: of all that their rooms wrote, only the fields named here.
"""

from __future__ import annotations

from dataclasses import dataclass

from assets.errors import RejectedError
from assets.records.dataset import DatasetVersion
from assets.records.line_store import LineStore
from assets.storage import layout
from edge.contracts import document


@document("edgeloop.trained_model", "1.1")
@dataclass(frozen=True)
class _TrainedModel:
    """Of `assets.training.documents.TrainedModel`: the dataset version it was trained on."""

    dataset: str
    position: int = 0


@dataclass(frozen=True)
class _Provenance:
    teacher: str


@dataclass(frozen=True)
class _Manifest:
    provenance: _Provenance


@document("edgeloop.release_record")
@dataclass(frozen=True)
class _Release:
    """Of `assets.release.documents.ReleaseRecord`: which trained model it ships."""

    manifest: _Manifest


def trained_batches(line: LineStore) -> tuple[str, ...]:
    """Ids of the batches that the line's newest model was trained on; none where its generation has no model yet."""
    try:
        model = line.newest(_TrainedModel)
        if line.generation_at(model.position) != line.generation():
            return ()
        return line.store.load(layout.dataset(line.name, model.dataset), DatasetVersion).batches
    except (RejectedError, FileNotFoundError):
        return ()


def released_model(line: LineStore) -> str | None:
    """SHA-256 of the ONNX file of the model behind the line's newest release; None before the first."""
    try:
        return line.newest(_Release).manifest.provenance.teacher
    except RejectedError:
        return None
