"""Corrections of one record, and whether a record can be trained on as it is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from assets.errors import RejectedError
from assets.line.data import DataContract
from assets.readers.registry import make_record
from assets.records.line_store import BoundLine
from assets.records.verdict import BatchVerdict
from assets.review.held import Held, scan
from assets.review.standing import Standing

if TYPE_CHECKING:
    import pyarrow as pa

MAX_FILE_BYTES = 64 * 1024**2
_CELL = 200


def checked_label(data: DataContract, label: str) -> str:
    """A corrected label as the line writes it. Raises RejectedError where it is no class, or no number."""
    label = data.aliases.get(label, label)
    if problem := label_problem(data, label):
        raise RejectedError(problem)
    return label


def label_problem(data: DataContract, label: str) -> str | None:
    """Why a record with this label cannot be trained on, or None."""
    if data.classes:
        if label in data.classes:
            return None
        some = ", ".join(data.classes[:10]) + ("…" if len(data.classes) > 10 else "")
        return f"{_short(label)} is not a class of the line ({some}); choose one of these with --label"
    try:
        number = float(label) if label.strip() and "_" not in label else math.nan
    except ValueError:
        number = math.nan
    return None if math.isfinite(number) else f"{_short(label)} is not a number; correct it with --label"


def checked_changes(data: DataContract, changes: Mapping[str, str]) -> tuple[dict[str, str], str]:
    """Corrected cells, checked, and the label among them ("" where the target column is not among them).

    Raises:
        RejectedError: an unknown column, or a value that it does not take.
    """
    cells = dict(changes)
    section = data.table or data.series or data.text
    if section is None:
        raise RejectedError(f"records of reader {data.reader} have no columns; repair the file and give it with --file")
    target = section.target
    label = checked_label(data, cells.pop(target)) if target is not None and target in cells else ""
    for column, text in cells.items():
        if data.text is not None:
            if column != data.text.column:
                raise RejectedError(f"{_short(column)} is not the line's column of text ({data.text.column})")
            if not text.strip():
                raise RejectedError(f"column {column}: the text is blank; write it, or reject the record")
        else:
            _cell_value(data, column, text)
    return cells, label


def apply(data: DataContract, stored: bytes, changes: Mapping[str, str]) -> bytes:
    """A record's stored input with these cells changed. Raises RejectedError."""
    if not changes:
        return stored
    if data.text is not None:
        return changes[data.text.column].encode()
    section = data.inputs
    assert section is not None
    values = np.frombuffer(stored, dtype="<f8").copy()
    if len(values) != len(section.columns):
        raise RejectedError(
            f"the stored row has {len(values)} values, the line has {len(section.columns)} columns now; land it again"
        )
    for column, text in changes.items():
        values[section.columns.index(column)] = _cell_value(data, column, text)
    return values.astype("<f8").tobytes()


def checked_record(data: DataContract, held: Held, stored: bytes, label: str) -> str:
    """The id of a corrected record. Raises RejectedError where it cannot be read as one, or still lacks something."""
    try:
        record = make_record(data, stored, label, held.split, held.file, held.group, held.time)
    except RejectedError as error:
        raise RejectedError(f"{held.file}: the corrected record cannot be read: {error}") from error
    if problem := input_problem(data, record.input):
        raise RejectedError(f"{held.file}: {problem}")
    return record.id


def as_held(batch: str, row: Mapping[str, Any]) -> Held:
    """A row of `RECORD_COLUMNS` as a quarantined record."""
    texts = {name: row[name] or "" for name in ("id", "label", "split", "file", "group")}
    return Held(
        batch=batch, row=-1, time=row["time"], input=row["input"] or b"", rule="", reason="", remedy="", **texts
    )


def input_problem(data: DataContract, stored: bytes) -> str | None:
    """Why a row of numbers cannot be trained on, or None; other inputs were decoded when they were read."""
    section = data.inputs
    if section is None:
        return None
    values = np.frombuffer(stored, dtype="<f8")
    if len(values) != len(section.columns):
        return f"its row has {len(values)} values, the line has {len(section.columns)} columns now; land it again"
    empty = np.flatnonzero(~np.isfinite(values))
    if not len(empty):
        return None
    name = section.columns[int(empty[0])]
    return f"column {name} has no value; give one with --set {name}=VALUE"


def refuse_unfit(line: BoundLine, verdict: BatchVerdict, members: pa.Table, label: str = "") -> None:
    """Refuse records that cannot be trained on as they are.

    Args:
        members: of the batch, with columns id and label.
        label: the one they will have; "" where each keeps its own.

    Raises:
        RejectedError: names the first one, why, and how many there are.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    data = line.config.data
    columns = ("id", "label", "file", *(("input",) if data.inputs is not None else ()))
    meant = members.append_column("position", pa.array(np.ones(members.num_rows, dtype=np.int64)))
    wanted, pairs, found = Standing(meant, []), [], _Unfit()
    for _, everything in scan(line.store, verdict, columns):
        rows = pa.array(wanted.of(everything["id"], everything["label"]) > 0)
        table = _labelled(everything.filter(rows), label)
        pairs.append(table.select(["id", "label"]))
        labels = table["label"].unique().to_pylist()
        problems = {text: problem for text in labels if (problem := label_problem(data, text or ""))}
        for text, problem in problems.items():
            same = pc.is_null(table["label"]) if text is None else pc.equal(table["label"], text)
            found.add(table.filter(pc.fill_null(same, False)), problem)
        if data.inputs is not None:
            _refuse_empty_cells(data, table, found)
    if found.count == 0 and pairs and line.config.conflicts == "quarantine":
        twice = pa.concat_tables(pairs).group_by("id").aggregate([("label", "count_distinct")])
        twice = twice.filter(pc.greater(twice["label_count_distinct"], 1))
        if twice.num_rows:
            first = pc.equal(pa.concat_tables(pairs)["id"], twice["id"][0])
            names = " and as ".join(map(_short, pa.concat_tables(pairs).filter(first)["label"].unique().to_pylist()))
            found.count, found.first = twice.num_rows, f"the same input is held as {names}; say which one, with --label"
    if found.count:
        more = f" ({found.count - 1:,} more are like it)" if found.count > 1 else ""
        raise RejectedError(f"cannot go back as it is: {found.first}{more}; nothing was recorded")


def _labelled(table: pa.Table, label: str) -> pa.Table:
    """The table with this label in every row; "" leaves each its own."""
    import pyarrow as pa

    if not label:
        return table
    return table.set_column(1, "label", pa.array([label] * table.num_rows, pa.string()))


@dataclass
class _Unfit:
    """Records that cannot be trained on: how many, and what is wrong with the first."""

    count: int = 0
    first: str = ""

    def add(self, table: pa.Table, problem: str) -> None:
        if table.num_rows:
            self.first = self.first or f"{table['file'][0].as_py()}: {problem}"
            self.count += table.num_rows


def _refuse_empty_cells(data: DataContract, table: pa.Table, found: _Unfit) -> None:
    """Add rows with an empty cell; looked at one by one only where there is one."""
    import pyarrow as pa

    assert data.inputs is not None
    width = 8 * len(data.inputs.columns)
    stored = [value or b"" for value in table["input"].to_pylist()]
    if all(len(value) == width for value in stored):
        values = np.frombuffer(b"".join(stored), dtype="<f8").reshape(len(stored), -1)
        rows = np.flatnonzero(~np.isfinite(values).all(axis=1))
    else:
        rows = np.arange(len(stored))
    for row in rows:
        if problem := input_problem(data, stored[row]):
            found.add(table.take(pa.array([row])), problem)


def _cell_value(data: DataContract, column: str, text: str) -> float:
    section = data.inputs
    assert section is not None
    if column not in section.columns:
        some = ", ".join(section.columns[:10]) + ("…" if len(section.columns) > 10 else "")
        raise RejectedError(f"{_short(column)} is not one of the line's columns ({some})")
    words = section.categories.get(column)
    if words is not None:
        if text not in words and column in section.other:
            text = section.other[column]
        if text not in words:
            raise RejectedError(f"column {column}: {_short(text)} is not one of {', '.join(words[:10])}")
        return float(words.index(text))
    try:
        number = float(text) if "_" not in text else math.nan
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise RejectedError(f"column {column}: {_short(text)} is not a finite number; write decimals with a point")
    return number


def _short(text: str) -> str:
    quoted = repr(text)
    return quoted if len(quoted) <= _CELL else f"{quoted[: _CELL - 4]}…{quoted[0]}"
