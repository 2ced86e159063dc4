"""The model in use, as far as other rooms than its own must know it: read from what training and rollout stored.

Documents are read narrowly: of all that their rooms wrote, only the fields named here.
"""

from __future__ import annotations

from dataclasses import dataclass

from assets.errors import RejectedError
from assets.records.dataset import DatasetVersion
from assets.records.line_store import BoundLine
from assets.storage import layout
from assets.storage.journal import Journal
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
    batches: tuple[str, ...]


@dataclass(frozen=True)
class _Manifest:
    provenance: _Provenance


@document("edgeloop.release_record")
@dataclass(frozen=True)
class _Release:
    """Of `assets.release.documents.ReleaseRecord`: which trained model it ships, and where in the line it stands."""

    sequence: int
    manifest: _Manifest


@dataclass(frozen=True)
class _Deployment:
    release: str


@document("edgeloop.rollout_record")
@dataclass(frozen=True)
class _Rollout:
    """Of `assets.release.documents.RolloutRecord`: which release its group was pointed at."""

    deployment: _Deployment | None


def trained_batches(line: BoundLine) -> tuple[str, ...]:
    """Ids of the batches that the model in use was trained on; none where its generation has no model yet."""
    try:
        if (release := _release_in_use(line)) is not None:
            ours = line.generation_at(release.sequence) == line.generation()
            return release.manifest.provenance.batches if ours else ()
        model = line.newest(_TrainedModel)
        if line.generation_at(model.position) != line.generation():
            return ()
        return line.store.load(layout.dataset(line.name, model.dataset), DatasetVersion).batches
    except (RejectedError, FileNotFoundError):
        return ()


def released_model(line: BoundLine) -> str | None:
    """SHA-256 of the ONNX file of the model in use; None before the first release.

    In use is what the line's group of devices is pointed at, which a rollback changes; before any promotion it is the
    newest release.
    """
    try:
        release = _release_in_use(line) or line.newest(_Release)
    except RejectedError:
        return None
    return release.manifest.provenance.teacher


def _release_in_use(line: BoundLine) -> _Release | None:
    """The release that the line's group is pointed at; None before any promotion."""
    promotions = Journal(line.store, layout.rollout(line.name, line.config.rollout.group), _Rollout)
    last = promotions.at(promotions.length())
    if last is None or last.deployment is None:
        return None
    try:
        return line.store.load(layout.release(line.name, last.deployment.release), _Release)
    except FileNotFoundError:
        return None
