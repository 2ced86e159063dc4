"""Random tables as tools write them, with what every record of them must be, worked out without our readers.

The cells of a table are Python values. What is expected is made from these; what is written is made by the csv module
and by pyarrow's writers, numbers and times of text as a random `cells` of the contract has them.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from assets.line.cell_form import PLAIN, CellForm
from assets.line.data import DataContract

Kind = str
KINDS: tuple[Kind, ...] = ("int", "decimal", "float", "word")
WORDS = ("red", "Green", "dark blue", "NA", "?", "-1", "1", "x;y", "a,b", 'say "hi"', "é", " led", "yes", "0.50")
PLAIN_WORDS = (*(word for word in WORDS if not set(word) & set(' ,;"\t')), "two")
"""Words that a text with spaces between its cells can hold: there are no quotes in it."""
FORMS = ("comma", "semicolon", "tab", "spaces", "parquet", "arrow", "stream")
_DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "spaces": " "}
_SEPARATORS = {".": ("", ",", " ", "'", "_"), ",": ("", ".", " ", "'", "_")}
_ALIKE = {" ": (" ", "\u00a0", "\u202f"), "'": ("'", "\u2019")}
_DAYS = ("{0.day}/{0.month}/{0.year:04}", "{0:%d.%m.%Y}", "{0:%d-%m-%Y} {0.hour}:{0:%M:%S}", "{0:%Y-%m-%dT%H:%M:%S}")
_STEMS = {"data": "", "train": "train", "test": "test", "validation-1": "validation", "plant_7": ""}


@dataclass(frozen=True)
class Expected:
    """One record: its values in the contract's order, its target's text, its unit or group, its time and split."""

    values: tuple[float, ...]
    label: str
    group: str
    time: float | None
    split: str


@dataclass(frozen=True)
class Written:
    """A table: the contract that describes it, its file, and its records in order."""

    data: DataContract
    path: str
    content: bytes
    records: tuple[Expected, ...]


@dataclass(frozen=True)
class Plan:
    """What a table's columns hold, and its rows' cells by column."""

    series: bool
    numbers: bool
    kinds: dict[str, Kind]
    words: tuple[str, ...]
    rows: tuple[dict[str, Any], ...]
    form: str
    stem: str
    cells: CellForm = PLAIN


def random_plan(random: Random) -> Plan:
    """A table of 1 to 30 rows; some rows, and some inputs under another target, are there more than once."""
    series, numbers, form = random.random() < 0.4, random.random() < 0.4, random.choice(FORMS)
    cells = _cell_form(series, random)
    known = PLAIN_WORDS if form == "spaces" else WORDS
    kinds = {f"c{at}": random.choice(KINDS) for at in range(random.randint(1, 5))}
    words = tuple(random.sample([word for word in known if word == word.strip() or not cells.trim], 4))
    rows: list[dict[str, Any]] = []
    for _ in range(random.randint(1, 30)):
        row = {name: _cell(kind, words, random) for name, kind in kinds.items()}
        row["target"] = _cell("decimal", words, random) if numbers else random.choice(words)
        if rows and not series and random.random() < 0.3:
            row = {**random.choice(rows), **({"target": row["target"]} if random.random() < 0.5 else {})}
        at = _moment(len(rows), random) if cells.day_first else len(rows)
        rows.append({**row, "unit": random.choice(("7", "8", "pump-1")), "time": at})
    return Plan(series, numbers, kinds, words, tuple(rows), form, random.choice(list(_STEMS)), cells)


def write_table(plan: Plan, random: Random) -> Written:
    """The plan's table in one file; columns in any order, some that nobody reads between them."""
    names = [*plan.kinds, "target", "unit", "time", "remark"]
    random.shuffle(names)
    rows = [{**row, "remark": f"r{at}"} for at, row in enumerate(plan.rows)]
    if plan.form in _DELIMITERS:
        suffix, content = _text(names, rows, plan, random)
    else:
        suffix, content = _columnar(names, rows, plan, random)
    return Written(
        contract(plan), f"{plan.stem}{suffix}", content, tuple(_expected(plan, row, _STEMS[plan.stem]) for row in rows)
    )


def _cell_form(series: bool, random: Random) -> CellForm:
    """How cells of text are written; half of the tables say nothing of it."""
    if random.random() < 0.5:
        return PLAIN
    decimal = random.choice(".,")
    flags = {"day_first": series and random.random() < 0.5, "trim": random.random() < 0.5}
    return CellForm.model_validate({"decimal": decimal, "thousands": random.choice(_SEPARATORS[decimal]), **flags})


def other_form(plan: Plan, random: Random) -> Plan:
    """The same rows, to be written otherwise."""
    forms = [form for form in FORMS if form != plan.form and (form != "spaces" or set(plan.words) <= set(PLAIN_WORDS))]
    return replace(plan, form=random.choice(forms))


def contract(plan: Plan) -> DataContract:
    """The contract of a plan's table; of one that is no series, `unit` is the group."""
    categories = {name: plan.words for name, kind in plan.kinds.items() if kind == "word"}
    section: dict[str, Any] = {"columns": tuple(plan.kinds), "categories": categories, "target": "target"}
    section |= {"unit": "unit", "time": "time"} if plan.series else {"group": "unit"}
    section["cells"] = plan.cells.model_dump()
    kind = "series" if plan.series else "table"
    return DataContract.model_validate({"reader": kind, kind: section, "classes": () if plan.numbers else plan.words})


def split_of(record: str, group: str, declared: str, data: DataContract) -> str:
    """The split that a record is in, by ADR 0009: a declared one, else by the group's or the record's hash."""
    name = f"group\0{group}" if group else record
    draw = int.from_bytes(hashlib.sha256(b"split\0" + name.encode()).digest()[:8], "big") / 2**64
    drawn = "test" if draw < data.test_share else "validation"
    return declared or (drawn if draw < data.test_share + data.validation_share else "train")


def _cell(kind: Kind, words: Sequence[str], random: Random) -> Any:
    if kind == "int":
        return random.choice((0, 1, random.randint(-1000, 1000), random.randint(-(2**53), 2**53)))
    if kind == "decimal":
        return Decimal(random.randint(-99_999, 99_999)).scaleb(-random.randint(0, 3))
    if kind == "float":
        return (random.random() - 0.5) * random.choice((0.0, -0.0, 1.0, 1e6, 1e30, 1e-9))
    return random.choice(words)


def _expected(plan: Plan, row: dict[str, Any], split: str) -> Expected:
    values = tuple(
        float(plan.words.index(row[name])) if kind == "word" else _float(row[name]) for name, kind in plan.kinds.items()
    )
    label = repr(_float(row["target"])) if plan.numbers else row["target"]
    when = row["time"].timestamp() if isinstance(row["time"], datetime) else float(row["time"])
    return Expected(values, label, row["unit"], when if plan.series else None, split)


def _float(cell: Any) -> float:
    return float(str(cell)) + 0.0  # minus zero is zero


def _moment(at: int, random: Random) -> datetime:
    """A day after the last one, some of them with a time of day."""
    return datetime(1999, 12, 25, tzinfo=UTC) + timedelta(
        days=at, seconds=random.choice((0, random.randint(0, 86_399)))
    )


def _written(cell: Any, plan: Plan, random: Random) -> str:
    """A cell as text, as the plan's form has it."""
    if isinstance(cell, datetime):
        choices = _DAYS if cell.time() == time() else _DAYS[2:]
        written = random.choice(choices).format(cell)
        return written.replace(" ", "T") if plan.form == "spaces" else written
    if isinstance(cell, str):
        return _padded(cell, plan, random)
    sign, whole, more = re.fullmatch("(-?)([0-9]+)(.*)", str(cell)).groups()  # type: ignore[union-attr]
    between = random.choice(_ALIKE.get(plan.cells.thousands, (plan.cells.thousands,)))
    if random.random() < 0.7 and "e" not in more and not (plan.form == "spaces" and between.isspace()):
        whole = f"{int(whole):,}".replace(",", between)
    return f"{sign}{whole}{more.replace('.', plan.cells.decimal)}"


def _padded(word: str, plan: Plan, random: Random) -> str:
    """A word with spaces that do not count, where there may be such."""
    if not plan.cells.trim or plan.form == "spaces":
        return word
    return random.choice(("", " ", "\t")) + word + random.choice(("", "  ", "\u00a0"))


def _text(names: Sequence[str], rows: Sequence[dict[str, Any]], plan: Plan, random: Random) -> tuple[str, bytes]:
    end, form = random.choice(("\n", "\r\n")), plan.form
    head = [_padded(name, plan, random) for name in names]
    lines = [[_written(row[name], plan, random) for name in names] for row in rows]
    if form == "spaces":
        pad = " " * random.randint(1, 3)
        lines = [pad.join(line) for line in (head, *lines)]
        return random.choice((".txt", ".dat")), (end.join(lines) + end).encode()
    buffer = io.StringIO()
    quoting = random.choice((csv.QUOTE_MINIMAL, csv.QUOTE_ALL))
    writer = csv.writer(buffer, delimiter=_DELIMITERS[form], lineterminator=end, quoting=quoting)
    writer.writerows([head, *lines])
    content = buffer.getvalue().encode(random.choice(("utf-8", "utf-8-sig")))
    suffix = ".tsv" if form == "tab" else ".csv"
    return (f"{suffix}.gz", gzip.compress(content)) if random.random() < 0.2 else (suffix, content)


def _columnar(names: Sequence[str], rows: Sequence[dict[str, Any]], plan: Plan, random: Random) -> tuple[str, bytes]:
    times = "moment" if plan.cells.day_first else "int"
    kinds = {**plan.kinds, "target": "decimal" if plan.numbers else "word", "unit": "word", "time": times}
    columns = [_array([row[name] for row in rows], kinds.get(name, "word"), plan, random) for name in names]
    table = pa.Table.from_arrays(columns, [_padded(name, plan, random) for name in names])
    buffer = io.BytesIO()
    if plan.form == "parquet":
        pq.write_table(table, buffer, row_group_size=random.choice((3, 1000)))
        return ".parquet", buffer.getvalue()
    opened = pa.ipc.new_file if plan.form == "arrow" else pa.ipc.new_stream
    with opened(buffer, table.schema) as writer:
        writer.write_table(table)
    return ".arrow", buffer.getvalue()


def _array(cells: list[Any], kind: Kind, plan: Plan, random: Random) -> pa.Array:
    """Cells as an Arrow type that holds them: typed, as text, or as a dictionary."""
    choices: list[pa.Array] = [pa.array([_written(cell, plan, random) for cell in cells], pa.string())]
    if kind == "moment":
        choices += [pa.array([cell.replace(tzinfo=None) for cell in cells], pa.timestamp("us"))]
    elif kind == "word":
        choices += [choices[0].dictionary_encode(), choices[0].cast(pa.large_string())]
    elif kind == "int":
        choices += [pa.array(cells, pa.int64()), pa.array([Decimal(cell) for cell in cells], pa.decimal128(30, 2))]
    elif kind == "float":
        choices += [pa.array(cells, pa.float64())]
    else:
        choices += [pa.array(cells, pa.decimal128(12, 4)), pa.array([float(cell) for cell in cells], pa.float32())]
        choices += [pa.array([float(cell) for cell in cells], pa.float64())]
    return random.choice(choices)
