"""The records of a file, each as the model's input: a picture, or each row, unit or text of a file of many."""

from __future__ import annotations

import datetime
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from edge.contracts import InputSpec, RowFiles
from edge.errors import RejectedError
from edge.runtime.inputs.rows import MAX_ROWS, parse_list, row_values, series_tensor, series_values
from edge.runtime.inputs.tables import SAMPLE_CHARS, Row, layout_of, opened_text, read_rows
from edge.runtime.inputs.words import MAX_TEXT_CHARS, text_tensor
from edge.runtime.inputs.written import PLAIN, iso_time, plain_number, word
from edge.runtime.preprocess import decode_image, image_tensor, noise_tensor, table_tensor

MAX_FILE_BYTES = 256 * 1024 * 1024
MAX_SERIES_BYTES = 64 * 1024 * 1024
"""A file of units is held in memory, since the rows of one may stand anywhere."""
_TABLES = (".csv", ".tsv", ".tab", ".parquet", ".pq", ".arrow", ".feather", ".ipc", ".jsonl", ".ndjson")


@dataclass(frozen=True)
class Found:
    """One record of a file: which ("" for the only one), and its tensor, or why there is none."""

    place: str
    tensor: NDArray[Any] | None
    problem: str = ""


def read_records(spec: InputSpec, path: Path) -> Iterator[Found]:
    """Every record of a file, in order; one that cannot be read says why and hinders no other.

    Raises:
        RejectedError: the file as a whole cannot be read; what was read before stands.
    """
    try:
        if path.exists() and not path.is_file():
            raise RejectedError("not a plain file")
        if not path.stat().st_size:
            raise RejectedError("the file is empty")
        if spec.kind == "image":
            data = _bounded(path)
            yield Found("", image_tensor(spec, decode_image(data, spec.shape[0])))
        elif spec.kind == "noise":
            yield Found("", noise_tensor(spec, parse_list(_whole_text(path), "numbers")))
        elif spec.kind == "text":
            yield from _texts(spec, path)
        elif spec.kind == "series":
            yield from _units(spec, path)
        else:
            yield from _rows(spec, path)
    except OSError as error:
        raise RejectedError(error.strerror or str(error)) from error


def _bounded(path: Path) -> bytes:
    with path.open("rb") as file:
        data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise RejectedError(f"more than {MAX_FILE_BYTES:,} bytes; give one record per file")
    return data


def _whole_text(path: Path) -> str:
    with opened_text(path) as stream:
        text = stream.read(MAX_TEXT_CHARS + 1)
    if not text.strip():
        raise RejectedError("the file is empty")
    return text


def _files(spec: InputSpec) -> RowFiles:
    return spec.files or RowFiles()


def _rows(spec: InputSpec, path: Path) -> Iterator[Found]:
    empty = True
    for row in read_rows(path, spec.columns, _files(spec)):
        empty = False
        yield _tried(row, lambda cells, files: table_tensor(spec, row_values(spec, _named(spec, cells), files)))
    if empty:
        raise RejectedError("0 rows under the header; a file of records has some")


def _tried(row: Row, made: Callable[[Any, RowFiles], NDArray[Any]]) -> Found:
    if row.cells is None:
        return Found(row.place, None, row.problem)
    try:
        return Found(row.place, made(row.cells, row.files))
    except RejectedError as error:
        return Found(row.place, None, str(error))


def _named(spec: InputSpec, cells: Any) -> Mapping[str, Any]:
    """A row by its columns; a list has their order."""
    if isinstance(cells, Mapping):
        return cells
    if len(cells) != len(spec.columns):
        raise RejectedError(f"{len(cells)} values, not {len(spec.columns)} or an object of columns")
    return dict(zip(spec.columns, cells, strict=True))


def _texts(spec: InputSpec, path: Path) -> Iterator[Found]:
    files = _files(spec)
    if not files.text or not _is_table(path, files):
        yield Found("", text_tensor(spec, _whole_text(path).rstrip("\r\n")))
        return
    for row in read_rows(path, (files.text,), files):
        yield _tried(row, lambda cells, form: text_tensor(spec, word(_text(cells, files.text), form)))


def _text(cells: Any, column: str) -> str:
    text = cells.get(column) if isinstance(cells, Mapping) else None
    if not isinstance(text, str) or not text.strip():
        raise RejectedError(f"column {column!r} has no text")
    return text


def _is_table(path: Path, files: RowFiles) -> bool:
    """Whether a file holds texts as a table does: by its name, or by tabs between the columns of the line's files.

    Commas and spaces tell nothing: a text of its own has them too.
    """
    if path.name.lower().removesuffix(".gz").endswith(_TABLES):
        return True
    if not files.header:
        return False
    try:
        with opened_text(path) as stream:
            layout_of(stream.read(SAMPLE_CHARS), (files.text,), files, "\t")
    except RejectedError:
        return False
    return True


def _units(spec: InputSpec, path: Path) -> Iterator[Found]:
    """One record of each unit that a file names; without their column the file is one unit, oldest row first."""
    if path.stat().st_size > MAX_SERIES_BYTES:
        raise RejectedError(f"more than {MAX_SERIES_BYTES:,} bytes; give fewer units per file")
    files = _files(spec)
    units: dict[str, list[Any]] = {}
    form = PLAIN
    for row in read_rows(path, spec.columns, files):
        if row.cells is None:
            raise RejectedError(row.problem)  # nobody knows whose row it is
        named = isinstance(row.cells, Mapping) and files.unit in row.cells
        held = units.setdefault(str(row.cells[files.unit]).strip() if named else "", [])  # type: ignore[call-overload]
        held.append(row.cells)
        form = row.files
        if len(held) > MAX_ROWS:
            raise RejectedError(f"a series has 1 to {MAX_ROWS:,} rows, found {len(held):,} or more of one unit")
    if not units:
        raise RejectedError(f"a series has 1 to {MAX_ROWS:,} rows, found 0")
    for unit, held in units.items():
        place = f"unit {unit}" if unit else ""
        yield _tried(
            Row(place, held, files=form),
            lambda cells, form: series_tensor(spec, series_values(spec, _ordered(cells, files, form), form)),
        )


def _ordered(rows: Sequence[Any], files: RowFiles, form: RowFiles) -> Sequence[Any]:
    """A unit's rows by their time, where they have one; else as they are. `form` is how text is written."""
    if not files.time or not all(isinstance(row, Mapping) and files.time in row for row in rows):
        return rows
    times = [_time(row[files.time], form) for row in rows]
    if len({kind for kind, _ in times}) > 1:
        raise RejectedError(f"column {files.time!r} has numbers and times, or times with and without a zone")
    order = sorted(range(len(rows)), key=lambda at: times[at][1])
    if any(times[one][1] == times[two][1] for one, two in itertools.pairwise(order)):
        raise RejectedError(f"column {files.time!r} has a time twice; nobody knows which row is the later one")
    return [rows[at] for at in order]


def _time(cell: Any, form: RowFiles) -> tuple[str, float]:
    text = str(cell).strip()
    try:
        if math.isfinite(number := float(plain_number(text, form) if isinstance(cell, str) else text)):
            return "number", number
    except ValueError:
        pass
    text = iso_time(text, form)
    try:
        time = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise RejectedError(f"{text[:40]!r} is neither a number nor a time as ISO 8601 writes it") from None
    zoned = time.tzinfo is not None
    return ("zoned" if zoned else "plain"), (time if zoned else time.replace(tzinfo=datetime.timezone.utc)).timestamp()


def files_below(folder: Path) -> list[Path]:
    """Plain files of a folder and those below it, in order of their paths; hidden ones are left out."""
    found = sorted(folder.rglob("*"))
    hidden = {path for path in found if any(part.startswith(".") for part in path.relative_to(folder).parts)}
    return [path for path in found if path not in hidden and path.is_file()]
