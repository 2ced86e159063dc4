"""What rows look like: their columns, a guess at what each holds, and the section of a data contract they suggest."""

from __future__ import annotations

import datetime
import re
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, BinaryIO, Literal, cast

import pyarrow as pa

from assets.errors import RejectedError
from assets.ingest.inspection.cell_forms import readable
from assets.ingest.inspection.headers import header_of
from assets.ingest.inspection.source_files import SourceFiles
from assets.readers.cells import number
from assets.readers.columnar import typed_blocks
from assets.readers.csvrows import BLOCK_BYTES, Blocks, Form, Lines, rows_of
from assets.readers.frames import check_frames
from assets.readers.pages import read_footer
from assets.readers.rows import without_sep
from assets.records.batch import LandedFile
from assets.records.limits import MAX_CELL_CHARS, MAX_COLUMNS

Kind = Literal["number", "category", "text", "time", "identifier", "constant", "empty"]
LOOKED_AT = 5_000
"""Rows of a file that are looked at."""
MAX_WORDS = 50
_MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "-", "?"})
_TARGETS = re.compile(
    r"(^|[\W_])(target|label|class|y|outcome|species|diagnosis|category|failure|failed|fault|churn|survived|rul)($|[\W_])",
    re.IGNORECASE,
)
_TIMES = re.compile(r"^(time|timestamp|date|datetime|ts|cycle|step|epoch)$|time$|date$", re.IGNORECASE)
_UNITS = re.compile(
    r"^(unit|machine|engine|device|sensor|asset|turbine|patient|subject|station|id)([\W_]?(id|nr|no))?$", re.I
)
_NUMBERINGS = re.compile(r"^(unnamed: \d+|index|idx|row|no|nr|#|uid|udi|id)$|[\W_](id|idx|index|nr|no)$", re.I)
_TEXTS = re.compile(r"^(text|message|sms|body|content|review|comment|sentence|tweet|description|v2)$", re.IGNORECASE)


@dataclass(frozen=True)
class Column:
    """A column of the rows that were looked at.

    Attributes:
        words: value to how often it occurs, of the first ones.
        missing: share of cells without a value.
    """

    name: str
    kind: Kind
    words: dict[str, int] = field(default_factory=dict)
    missing: float = 0.0
    example: str = ""


@dataclass(frozen=True)
class Rows:
    """A file's first rows.

    Attributes:
        names: of all columns; made up where there is no header line.
        header: whether there is a header line.
        form: "comma", "semicolon", "tab", "spaces", "Parquet" or "Arrow".
        cells: the rows, "" where there is no value.
        before: lines before the first row, a title for example.
        spaced: whether names of columns have spaces around them.
    """

    names: tuple[str, ...]
    header: bool
    form: str
    cells: list[tuple[str, ...]]
    before: int = 0
    spaced: bool = False


_FORMS = {",": "comma", ";": "semicolon", "\t": "tab", " ": "spaces"}


def first_rows(file: LandedFile, source: SourceFiles) -> Rows | None:
    """The first rows of a file, or None where it holds none."""
    try:
        with source.open(file) as stream:
            head = stream.read(8)
            stream.seek(0)
            if head.startswith(b"PAR1"):
                return _parquet(file, stream)
            if head.startswith((b"ARROW1", b"\xff\xff\xff\xff")):
                return _arrow(stream)
            block = stream.read(BLOCK_BYTES // 4)
            if block.startswith(b"\x1f\x8b"):
                block = zlib.decompressobj(31).decompress(block, BLOCK_BYTES)
        return _text(block.removeprefix(b"\xef\xbb\xbf"), len(block) < file.size)
    except (RejectedError, OSError, zlib.error, ValueError, KeyError, TypeError):
        return None


def _text(block: bytes, cut: bool) -> Rows | None:
    if cut:
        block = block[: block.rfind(b"\n") + 1]
    block, delimiters = without_sep(block)
    if not block.strip() or b"\0" in block[:4096] or block[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return None
    best: tuple[float, float, int, Form, list[tuple[str, ...]]] | None = None
    for delimiter in delimiters or ",;\t ":
        form = Form(delimiter, delimiter not in {"\t", " "}, 100_000)
        lines = Lines(block, Blocks(cast(BinaryIO, _Nothing())), 0)
        rows = [row.cells for row, _ in zip(rows_of(lines, form), range(LOOKED_AT), strict=False) if not row.problem]
        widths = Counter(map(len, rows))
        if not widths:
            continue
        width, times = max(widths.items(), key=lambda item: (item[1], item[0]))
        if width > MAX_COLUMNS:
            continue
        share = times / len(rows)
        score = (share if width > 1 else 0.0) - (0.3 if delimiter == " " else 0.0)
        fit = [row for row in rows if len(row) == width]
        rank = score, _numeric_share(fit), width
        if best is None or rank > best[:3]:
            best = *rank, form, fit
    if best is None or best[4] == []:
        return None
    *_, width, form, rows = best
    first, *rest = map(readable, rows)
    header = header_of(first, rest)
    names = tuple(name.strip() for name in rows[0]) if header else tuple(f"c{index + 1}" for index in range(width))
    before = _lines_before(block, form, rows[0])
    spaced = header and any(name != name.strip() for name in rows[0])
    return Rows(names, header, _FORMS[form.delimiter], rows[1:] if header else rows, before, spaced)


def _numeric_share(rows: Sequence[Sequence[str]]) -> float:
    """Share of cells of the first rows that are numbers: cut at the wrong mark, 1,5;2,5 has other cells too."""
    cells = [cell for row in rows[:50] for cell in readable(row)]
    return sum(number(cell)[1] is None for cell in cells) / max(1, len(cells))


def _lines_before(block: bytes, form: Form, wanted: Sequence[str]) -> int:
    """Lines before the first row of the table's width: a title, for example."""
    lines = Lines(block, Blocks(cast(BinaryIO, _Nothing())), 0)
    return next((row.first - 1 for row in rows_of(lines, form) if tuple(row.cells) == tuple(wanted)), 0)


class _Nothing:
    def read(self, size: int) -> bytes:
        return b""


def _parquet(file: LandedFile, stream: BinaryIO) -> Rows | None:
    footer = read_footer(stream, file.size)
    names = tuple(name for name in footer.names if name in footer.plain)
    stream.seek(0)
    return _typed(typed_blocks(file, stream, names, frozenset(), lambda found: names, MAX_CELL_CHARS), names, "Parquet")


def _arrow(stream: BinaryIO) -> Rows | None:
    start = 8 if stream.read(6) == b"ARROW1" else 0
    check_frames(stream, start)
    stream.seek(start)
    names = tuple(pa.ipc.open_stream(pa.PythonFile(stream, "r")).schema.names)
    stream.seek(0)
    file = LandedFile("x", "0" * 64, 0)
    return _typed(typed_blocks(file, stream, names, frozenset(), lambda found: names, MAX_CELL_CHARS), names, "Arrow")


def _typed(blocks: Any, names: tuple[str, ...], form: str) -> Rows | None:
    for block in blocks:
        if not hasattr(block, "columns"):
            continue
        part = block.part(0, min(LOOKED_AT, len(block.places)))
        columns = [["" if cell is None else _word(cell) for cell in part.columns[name].to_pylist()] for name in names]
        spaced = any(name != name.strip() for name in names)
        return Rows(names, True, form, list(zip(*columns, strict=True)), spaced=spaced)
    return None


def _word(cell: Any) -> str:
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e15:
        return str(int(cell))
    return str(cell)


def columns_of(rows: Rows) -> list[Column]:
    """What each column seems to hold."""
    return [_column(name, [row[index] for row in rows.cells]) for index, name in enumerate(rows.names)]


def _column(name: str, written: list[str]) -> Column:
    cells = [cell.strip() for cell in written]
    values = [cell for cell in cells if cell.lower() not in _MISSING]
    common = Counter(cell for cell in cells if cell).most_common(1)
    if common and common[0][0].lower() in _MISSING and not all(number(cell)[1] is None for cell in values):
        values = [cell for cell in cells if cell]  # the commonest word of a column is a word: NA may be a country
    missing = 1 - len(values) / max(1, len(cells))
    if not values:
        return Column(name, "empty", {}, missing)
    words = Counter(values)
    top = dict(words.most_common(MAX_WORDS + 1))
    numeric = sum(number(value)[1] is None for value in words) / len(words)
    example = values[0][:60]
    kind = _kind(name, values, words, numeric)
    if kind == "category":  # words are exact: what is proposed must read the very cells
        kept = set(values)
        top = dict(Counter(cell for cell in written if cell.strip() in kept).most_common(MAX_WORDS + 1))
    return Column(name, kind, top, missing, example)


def _kind(name: str, values: list[str], words: Counter[str], numeric: float) -> Kind:
    count = len(values)
    if len(words) == 1 and count > 1:
        return "constant"
    if numeric >= 0.95:
        steps = count > 20 and len(words) == count and all(re.fullmatch(r"\d+", value) for value in values)
        return "identifier" if steps and (_counts_up(values) or _is_numbering(name, values)) else "number"
    if sum(_is_time(value) for value in values[:200]) >= 0.95 * min(count, 200):
        return "time"
    length = sum(map(len, values)) / count
    spaces = sum(" " in value for value in values) / count
    if len(words) <= MAX_WORDS and (len(words) <= 0.5 * count or count < 20) and length < 40:
        return "category"
    if length >= 15 and spaces > 0.5:
        return "text"
    return "identifier" if len(words) > 0.9 * count else "text" if spaces > 0.5 else "category"


def _counts_up(values: list[str]) -> bool:
    numbers = [int(value[:18]) for value in values]
    return all(after - before == 1 for before, after in pairwise(numbers))


def _is_numbering(name: str, values: list[str]) -> bool:
    """Whether whole numbers, each once, number the rows: they leave hardly one out, or their column says so."""
    numbers = [int(value[:18]) for value in values]
    return max(numbers) - min(numbers) < 1.05 * len(numbers) or _NUMBERINGS.search(name) is not None


def _is_time(value: str) -> bool:
    if len(value) < 8 or len(value) > 40:
        return False
    try:
        datetime.datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


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
        target = next((c for c in labels if _TARGETS.search(c.name)), labels[0])
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
            target = _target(rest)
            section["target"] = target.name
            rest = [c for c in rest if c is not target]
        return "series", {"series": {**section, **_inputs(rest), **header}}
    target = _target([by_name[name] for name in rows.names])
    rest = [c for c in columns if c is not target]
    return "table", {"table": {"target": target.name, **_inputs(rest), **header}}


def _inputs(columns: Sequence[Column]) -> dict[str, Any]:
    taken = [c for c in columns if c.kind in ("number", "constant", "category") and _usable(c)]
    words = {
        c.name: sorted(c.words) for c in taken if c.kind == "category" or (c.kind == "constant" and not _numeric(c))
    }
    words = {name: found for name, found in words.items() if 2 <= len(found) <= MAX_WORDS}
    names = [c.name for c in taken if c.name in words or _numeric(c)]
    return {"columns": names, **({"categories": words} if words else {})}


def _usable(column: Column) -> bool:
    return bool(column.name.strip()) and not column.name.startswith("_") and column.missing < 0.5


def _numeric(column: Column) -> bool:
    return column.kind == "number" or (column.kind == "constant" and number(column.example)[1] is None)


def _target(columns: Sequence[Column]) -> Column:
    fit = [c for c in columns if c.kind in ("category", "number", "constant") and c.name.strip()]
    if not fit:
        return columns[-1]
    named = [c for c in fit if _TARGETS.search(c.name)]
    words = [c for c in fit if c.kind == "category"]
    return (named or words[-1:] or fit[-1:])[0]


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
