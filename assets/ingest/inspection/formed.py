"""A section for rows as they are written: what is suggested for their plain numbers, times and words, and `cells`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from assets.ingest.inspection.cell_forms import Forms, forms_of, spaced
from assets.ingest.inspection.columns import Column, columns_of
from assets.ingest.inspection.first_rows import Rows
from assets.ingest.inspection.guess_rows import suggest
from assets.ingest.inspection.spellings import label_order


@dataclass(frozen=True)
class Formed:
    """A suggestion for rows.

    Attributes:
        rows: with plain numbers, times and words.
        written: as they are in the file, but for spaces that do not count.
        reader, section: as `suggest` gives them, with `cells` where something is to be said of these.
    """

    rows: Rows
    written: Rows
    forms: Forms
    columns: tuple[Column, ...]
    reader: str
    section: dict[str, Any]

    @property
    def body(self) -> dict[str, Any]:
        """The section's own fields."""
        (body,) = self.section.values()
        found: dict[str, Any] = body
        return found

    def as_written(self, classes: Sequence[str], target: str) -> list[str]:
        """Classes as the target's column has them: labels are words, even those that look like numbers."""
        place, kept = self.rows.names.index(target), set(classes)
        pairs = zip(self.rows.cells, self.written.cells, strict=True)
        return sorted({written[place] for row, written in pairs if row[place] in kept}, key=label_order)


def suggest_formed(rows: Rows, names_of_files: Sequence[str], reader: str = "") -> Formed:
    """As `suggest`, of rows in any form of numbers and times, with spaces that may not count."""
    forms = forms_of(rows.names, rows.cells, rows.form == "semicolon")
    found = _suggested(replace(rows, cells=forms.cells), rows, forms, names_of_files, reader)
    trim = rows.spaced or bool(spaced(rows.names, rows.cells, _words(found.body)))
    if trim:
        found = _suggested(_trimmed(found.rows), _trimmed(rows), forms, names_of_files, reader)
    if cells := forms.settings(found.reader, found.body.get("time", ""), trim):
        found.body["cells"] = cells
    return found


def _suggested(rows: Rows, written: Rows, forms: Forms, names_of_files: Sequence[str], reader: str) -> Formed:
    return Formed(rows, written, forms, tuple(columns_of(rows)), *suggest(rows, names_of_files, reader))


def _words(body: dict[str, Any]) -> list[str]:
    """The columns of a section that hold words which are no labels: whether two labels are one, only people know."""
    return [*body.get("categories", {}), *(body[name] for name in ("unit", "group") if name in body)]


def _trimmed(rows: Rows) -> Rows:
    names = tuple(name.strip() for name in rows.names)
    return replace(rows, names=names, cells=[tuple(cell.strip() for cell in row) for row in rows.cells])
