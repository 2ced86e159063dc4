"""A published release, and what was decided about where it goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from assets.records.line_store import LineStore
from assets.storage import layout
from assets.storage.journal import Journal
from edge.contracts import Deployment, ReleaseManifest, document


@document("edgeloop.release_record")
@dataclass(frozen=True)
class ReleaseRecord:
    """A release that is in the repository.

    Attributes:
        release: SHA-256 of the manifest's bytes.
        manifest_path: its TUF target path.
        published: seconds since 1970.
    """

    line: str
    release: str
    sequence: int
    manifest_path: str
    manifest: ReleaseManifest
    published: float


@document("edgeloop.rollout_record")
@dataclass(frozen=True)
class RolloutRecord:
    """What the rollout step decided. `deployment` is what the group is pointed at now; None before any promotion."""

    line: str
    group: str
    decision: Literal["promoted", "unchanged", "waiting"]
    why: str
    release: str
    deployment: Deployment | None
    time: float


def rollout_journal(line: LineStore, group: str) -> Journal[RolloutRecord]:
    """Every promotion of a group, in order of its serials: a history, which says when and why.

    Where the group is pointed now is signed: `assets.release.repository.current_deployment`.
    """
    return Journal(line.store, layout.rollout(line.name, group), RolloutRecord)


def golden_key(record: ReleaseRecord) -> str:
    """Where the signed repository keeps a release's golden set."""
    golden = record.manifest.golden
    folder = record.manifest_path.rpartition("/")[0]
    return layout.tuf_target(f"{folder}/{golden.uri}", golden.sha256)
