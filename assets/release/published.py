"""Which releases of a line there are, and which of them devices are pointed at."""

from __future__ import annotations

import re

from assets.records.line_store import LineStore
from assets.release.documents import ReleaseRecord
from assets.release.repository import current_deployment
from assets.storage import layout
from edge.errors import RejectedError

SHORTEST_PREFIX = 6


def releases(line: LineStore) -> list[ReleaseRecord]:
    """Every release of a line, oldest first."""
    names = [name for name in line.store.names(layout.releases(line.name)) if name.endswith(".json")]
    records = [line.store.load(f"{layout.releases(line.name)}/{name}", ReleaseRecord) for name in names]
    return sorted(records, key=lambda record: (record.sequence, record.published))


def find_release(line: LineStore, prefix: str) -> ReleaseRecord:
    """The one release whose id starts with `prefix`. Raises RejectedError."""
    if not re.fullmatch(rf"[0-9a-f]{{{SHORTEST_PREFIX},64}}", prefix):
        raise RejectedError(f"release {prefix!r}: give {SHORTEST_PREFIX} to 64 hex digits of a release's id")
    found = [record for record in releases(line) if record.release.startswith(prefix)]
    if not found:
        raise RejectedError(f"line {line.name!r} has no release {prefix!r}; see: edgeloop releases {line.name}")
    if len(found) > 1:
        ids = ", ".join(record.release[:16] for record in found)
        raise RejectedError(f"release {prefix!r} fits several: {ids}; give more digits")
    return found[0]


def serving_releases(line: LineStore) -> list[str]:
    """Ids of the releases that a group of devices is pointed at. Raises VerificationError for a changed deploy file."""
    found = []
    for group in line.store.names(layout.rollouts(line.name)):
        if (deployment := current_deployment(line, group)) is not None:
            found.append(deployment.release)
    return found
