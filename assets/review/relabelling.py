"""Labels that reviewers decided about: which records of a returned batch replace accepted ones under other labels."""

from __future__ import annotations

from dataclasses import dataclass, field

from assets.records.line_store import LineStore
from assets.review.documents import RELABELLED
from assets.review.state import State

ALL: frozenset[str] = frozenset()
"""Every label that the line had accepted for the input."""


@dataclass(frozen=True)
class Relabelling:
    """What reviewers said of records that went back.

    Attributes:
        pairs: id and label of a record to the labels that it replaces, `ALL` or some.
        any_label: ids of records whose label an older decision does not name.
    """

    pairs: dict[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    any_label: set[str] = field(default_factory=set)

    def replaced(self, identity: str, label: str) -> frozenset[str] | None:
        """The labels that a record replaces (`ALL` or some); None where nobody said that it does."""
        found = self.pairs.get((identity, label))
        return ALL if found is None and identity in self.any_label else found


def relabelling_of(line: LineStore, batch: str) -> Relabelling | None:
    """What was decided about the labels of a returned batch's records; None where the batch is none, or nothing was.

    A record that was held because the line knows its input under another label is right as it was accepted, or under
    the label that it was corrected to. Any other one that was given a label corrects what it came as.
    """
    state = State(line)
    releases = [position for position in state.releases() if state.entry(position).returned == batch]
    if not releases:
        return None
    found = Relabelling()
    for position, entry in enumerate(state.entries, 1):
        if entry.action not in ("accept", "fix") or entry.changes or entry.input is not None:
            continue
        if state.release_of(position) not in releases:
            continue
        for member in state.members(position).to_pylist():
            known, held = member["rule"] == RELABELLED, member["label"]
            label = entry.label or held
            if label is None:
                found.any_label.update({member["id"]} if known else ())
            elif known:
                found.pairs[member["id"], label] = ALL
            elif entry.label and held not in (None, "", entry.label):
                found.pairs.setdefault((member["id"], label), frozenset({held}))
    return found if found.pairs or found.any_label else None
