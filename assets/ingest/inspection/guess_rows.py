"""The section of a data contract that the columns of rows suggest: a table, a series or texts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from assets.ingest.inspection.columns import MAX_WORDS, Column, columns_of, repeats_by_name
from assets.ingest.inspection.first_rows import Rows
from assets.ingest.inspection.targets import named_targets, target_of
from assets.readers.cells import number

_TIMES = re.compile(r"^(time|timestamp|date|datetime|ts|cycle|step|epoch)$|time$|date$", re.IGNORECASE)
_UNITS = re.compile(
    r"^(unit|machine|engine|device|sensor|asset|turbine|patient|subject|station|id)([\W_]?(id|nr|no))?$", re.I
)
MOSTLY = 0.5
"""Share of cells without a value from which on a column is no input."""
_TEXTS = re.compile(r"^(text|message|sms|body|content|review|comment|sentence|tweet|description|v2)$", re.IGNORECASE)


def suggest(rows: Rows, names_of_files: Sequence[str], reader: str = "") -> tuple[str, dict[str, Any]]:
    """The reader that rows suggest (or `reader`, where it is known), and its `data` section without `classes`."""
    columns = columns_of(rows)
    by_name = {column.name: column for column in columns}
    header: dict[str, Any] = {} if rows.header else {"header": list(rows.names)}
    if rows.before:
        header["skip_lines"] = rows.before
    text = next((c for c in columns if c.kind == "text" and _TEXTS.match(c.name)), None) or next(
        (c for c in columns if c.kind == "text"), None
    )
    labels = [c for c in columns if c.kind == "category" and c is not text and len(c.words) >= 2]
    prose = text is not None and labels and sum(c.kind == "number" for c in columns) <= 2
    if reader == "text" or (prose and not reader):
        text = text or columns[-1]
        labels = labels or [c for c in columns if c is not text] or columns
        target = (named_targets(labels) or labels)[0]
        return "text", {"text": {"column": text.name, "target": target.name, **header}}
    found = _series(rows, columns) if reader != "table" else None
    if reader == "series" and found is None:
        found = columns[0].name, columns[min(1, len(columns) - 1)].name
    if found is not None:
        unit, time = found
        rest = [c for c in columns if c.name not in (unit, time)]
        remaining = any(name.rsplit("/", 1)[-1].lower().startswith("rul_") for name in names_of_files)
        section: dict[str, Any] = {"unit": unit, "time": time}
        if remaining:
            section["remaining"] = True
        else:
            target = target_of(rest)
            section["target"] = target.name
            rest = [c for c in rest if c is not target]
        return "series", {"series": {**section, **_inputs(rest), **header}}
    target = target_of([by_name[name] for name in rows.names])
    rest = [c for c in columns if c is not target]
    return "table", {"table": {"target": target.name, **_group(rows, rest), **_inputs(rest), **header}}


def _group(rows: Rows, columns: Sequence[Column]) -> dict[str, str]:
    """Of columns that name things, the one whose things come most often: their rows stay on one side of the split."""
    found = []
    for column in columns:
        words = Counter(row[rows.names.index(column.name)].strip() for row in rows.cells)
        if column.kind == "identifier" and repeats_by_name(column.name, words) and len(words) < len(rows.cells):
            found.append((len(words), column.name))
    return {"group": min(found)[1]} if found else {}


def _inputs(columns: Sequence[Column]) -> dict[str, Any]:
    taken = [c for c in columns if c.kind in ("number", "constant", "category") and _usable(c)]
    words = {
        c.name: sorted({*c.words, *c.marks})  # a mark for no value is a word too: else the gate sets its rows aside
        for c in taken
        if c.kind == "category" or (c.kind == "constant" and not _numeric(c))
    }
    words = {name: found for name, found in words.items() if 2 <= len(found) <= MAX_WORDS}
    names = [c.name for c in taken if c.name in words or _numeric(c)]
    return {"columns": names, **({"categories": words} if words else {})}


def _usable(column: Column) -> bool:
    return bool(column.name.strip()) and not column.name.startswith("_") and column.missing < MOSTLY


def _numeric(column: Column) -> bool:
    return column.kind == "number" or (column.kind == "constant" and number(column.example)[1] is None)


def _series(rows: Rows, columns: Sequence[Column]) -> tuple[str, str] | None:
    """Unit and time: a column whose values repeat, and one that grows within each of them."""
    if len(rows.cells) < 3 or len(columns) < 3:
        return None
    times = [c for c in columns if c.kind == "time" or _TIMES.search(c.name)]
    units = [c for c in columns if _UNITS.match(c.name) and c not in times]
    if not rows.header and all(c.kind in ("number", "constant") for c in columns):
        units, times = units or [columns[0]], times or [columns[1]]
    for unit in units:
        for time in times:
            if _grows(rows, unit.name, time.name):
                return unit.name, time.name
    return None


def _grows(rows: Rows, unit: str, time: str) -> bool:
    at, when = rows.names.index(unit), rows.names.index(time)
    last: dict[str, Any] = {}
    good = steps = 0
    for row in rows.cells:
        value: Any = number(row[when])[0] if number(row[when])[1] is None else row[when]
        before = last.get(row[at])
        if before is not None and type(before) is type(value):
            steps += 1
            good += value > before
        last[row[at]] = value
    return steps >= 2 and len(last) <= len(rows.cells) / 2 and good >= 0.5 * steps
