"""Forgets the key of a line's pseudonyms: `edgeloop forget LINE --pseudonym-key`. Every person is forgotten at once."""

from __future__ import annotations

from assets.ingest.privacy.pseudonyms import forget_pseudonym_key
from assets.records.line_store import LineStore
from assets.storage.audit import AuditLog, current_user


def forget_pseudonyms(line: LineStore, why: str = "", who: str | None = None) -> bool:
    """Remove the key that leads from the line's tokens back to values, and note who did.

    Args:
        who: by default, who runs this.

    Returns:
        Whether there was a key.
    """
    gone = forget_pseudonym_key(line)
    if gone:
        AuditLog(line.store).record(who or current_user(), "forgot", line.name, "the key of its pseudonyms", why)
    return gone
