"""Findings as a reviewer looks at them: pairs side by side, suspects with the suggested label, the rest in words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from assets.quality.redaction import HIDDEN
from assets.quality.report.records import Records, Shown
from assets.quality.report.words import cut
from assets.records.verdict import Finding

MAX_PAIRS = 8
MAX_SUSPECTS = 12
MAX_NOTES = 12
PAIRS = {
    "leak": ("Leaks", "A train record that is almost a validation or test record: the score would be too good."),
    "near_duplicate": ("Almost equal records", "They add little, and weigh the model towards what they show."),
    "copy": ("Exact copies", "The first is kept; nothing is wrong with the others."),
}
SUSPECTS = {
    "label_suspect": ("Labels that look wrong", "Records that look like those of another class."),
    "odd": ("Pictures that stand out", "Dark, glaring or blurred beside the others of this batch."),
}
NOTES = {
    "target_leakage": "Columns that give the label away",
    "order": "Out of order in time",
    "gap": "Gaps in time",
    "unit": "Columns whose unit may have changed",
    "pii": "What looks like personal data",
    "unchecked": "What was not checked",
}


@dataclass(frozen=True)
class Pair:
    """A finding with the records it is about; `other` is None where it names none."""

    finding: Finding
    detail: str
    record: Shown | None
    other: Shown | None
    suggested: str = ""

    @property
    def marks(self) -> str:
        """Both records' marks, apart by a space."""
        return " ".join(record.mark for record in (self.record, self.other) if record is not None)

    @property
    def because(self) -> str:
        """The suggestion and why, for a row's cells."""
        return ": ".join(part for part in (f"{self.suggested}?" * bool(self.suggested), self.detail) if part)


@dataclass(frozen=True)
class Group:
    """Findings of one kind; `more` are left out."""

    kind: str
    title: str
    about: str
    items: tuple[Pair, ...]
    total: int
    more: int


def rows_of(findings: Sequence[Finding]) -> list[int]:
    """Every record that the page shows for its findings."""
    return [
        row for part in _parts(findings).values() for item in part for row in (item.row, item.other_row) if row >= 0
    ]


def groups_of(
    findings: Sequence[Finding], records: Records, other_input: Callable[[Finding], bytes | None], labels_hidden: bool
) -> tuple[list[Group], list[Group], list[Group]]:
    """Pairs, suspects and notes."""
    shown = _parts(findings)
    totals: dict[str, int] = {}
    for finding in findings:
        totals[_kind(finding)] = totals.get(_kind(finding), 0) + 1

    def group(kind: str, heading: str, about: str, make: Callable[[Finding], Pair]) -> Group:
        items = tuple(make(finding) for finding in shown[kind])
        anchor = kind if kind.isidentifier() else "other"
        return Group(anchor, heading, about, items, totals[kind], totals[kind] - len(items))

    def pair(finding: Finding) -> Pair:
        if finding.other_row >= 0:
            other = records.show(finding.other_row)
        else:
            other = records.show_input(finding.other, other_input(finding)) if finding.other else None
        return Pair(finding, cut(finding.detail), records.show(finding.row), other)

    def suspect(finding: Finding) -> Pair:
        suggested = HIDDEN if labels_hidden and finding.other else cut(finding.other, 60)
        detail = "" if labels_hidden else cut(finding.detail)
        return Pair(finding, detail, records.show(finding.row), None, suggested)

    def note(finding: Finding) -> Pair:
        return Pair(finding, cut(finding.detail), records.show(finding.row) if finding.row >= 0 else None, None)

    others = [kind for kind in shown if kind not in PAIRS and kind not in SUSPECTS]
    return (
        [group(kind, *PAIRS[kind], pair) for kind in PAIRS if kind in shown],
        [group(kind, *SUSPECTS[kind], suspect) for kind in SUSPECTS if kind in shown],
        [group(kind, NOTES.get(kind, kind.replace("_", " ").capitalize()), "", note) for kind in others],
    )


def _parts(findings: Sequence[Finding]) -> dict[str, list[Finding]]:
    """Kind to the findings that are shown."""
    parts: dict[str, list[Finding]] = {}
    for finding in findings:
        kind = _kind(finding)
        part = parts.setdefault(kind, [])
        most = MAX_PAIRS if kind in PAIRS else MAX_SUSPECTS if kind in SUSPECTS else MAX_NOTES
        if len(part) < most:
            part.append(finding)
    return parts


def _kind(finding: Finding) -> str:
    """Under which heading it stands: where a check of records names none, it says what it did not look at."""
    return "unchecked" if finding.row < 0 and finding.kind in {*PAIRS, *SUSPECTS} else finding.kind
