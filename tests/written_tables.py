"""Random tables as tools write them, with what every record of them must be, worked out without our readers.

The cells of a table are Python values. What is expected is made from these; what is written is made by the csv module
and by pyarrow's writers.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from assets.line.data import DataContract

Kind = str
KINDS: tuple[Kind, ...] = ("int", "decimal", "float", "word")
WORDS = ("red", "Green", "dark blue", "NA", "?", "-1", "1", "x;y", "a,b", 'say "hi"', "é", " led", "yes", "0.50")
PLAIN_WORDS = (*(word for word in WORDS if not set(word) & set(' ,;"\t')), "two")
"""Words that a text with spaces between its cells can hold: there are no quotes in it."""
FORMS = ("comma", "semicolon", "tab", "spaces", "parquet", "arrow", "stream")
_DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "spaces": " "}
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


def random_plan(random: Random) -> Plan:
    """A table of 1 to 30 rows; some rows, and some inputs under another target, are there more than once."""
    series, numbers, form = random.random() < 0.4, random.random() < 0.4, random.choice(FORMS)
    kinds = {f"c{at}": random.choice(KINDS) for at in range(random.randint(1, 5))}
    words = tuple(random.sample(PLAIN_WORDS if form == "spaces" else WORDS, 4))
    rows: list[dict[str, Any]] = []
    for _ in range(random.randint(1, 30)):
        row = {name: _cell(kind, words, random) for name, kind in kinds.items()}
        row["target"] = _cell("decimal", words, random) if numbers else random.choice(words)
        if rows and not series and random.random() < 0.3:
            row = {**random.choice(rows), **({"target": row["target"]} if random.random() < 0.5 else {})}
        rows.append({**row, "unit": random.choice(("7", "8", "pump-1")), "time": len(rows)})
    return Plan(series, numbers, kinds, words, tuple(rows), form, random.choice(list(_STEMS)))


def write_table(plan: Plan, random: Random) -> Written:
    """The plan's table in one file; columns in any order, some that nobody reads between them."""
    names = [*plan.kinds, "target", "unit", "time", "remark"]
    random.shuffle(names)
    rows = [{**row, "remark": f"r{at}"} for at, row in enumerate(plan.rows)]
    if plan.form in _DELIMITERS:
        suffix, content = _text(names, rows, plan.form, random)
    else:
        suffix, content = _columnar(names, rows, plan, random)
    return Written(
        contract(plan), f"{plan.stem}{suffix}", content, tuple(_expected(plan, row, _STEMS[plan.stem]) for row in rows)
    )


def other_form(plan: Plan, random: Random) -> Plan:
    """The same rows, to be written otherwise."""
    forms = [form for form in FORMS if form != plan.form and (form != "spaces" or set(plan.words) <= set(PLAIN_WORDS))]
    return replace(plan, form=random.choice(forms))


def contract(plan: Plan) -> DataContract:
    """The contract of a plan's table; of one that is no series, `unit` is the group."""
    categories = {name: plan.words for name, kind in plan.kinds.items() if kind == "word"}
    section: dict[str, Any] = {"columns": tuple(plan.kinds), "categories": categories, "target": "target"}
    section |= {"unit": "unit", "time": "time"} if plan.series else {"group": "unit"}
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
    return Expected(values, label, row["unit"], float(row["time"]) if plan.series else None, split)


def _float(cell: Any) -> float:
    return float(str(cell)) + 0.0  # minus zero is zero


def _text(names: Sequence[str], rows: Sequence[dict[str, Any]], form: str, random: Random) -> tuple[str, bytes]:
    end = random.choice(("\n", "\r\n"))
    if form == "spaces":
        pad = " " * random.randint(1, 3)
        lines = [pad.join(names), *(pad.join(str(row[name]) for name in names) for row in rows)]
        return random.choice((".txt", ".dat")), (end.join(lines) + end).encode()
    buffer = io.StringIO()
    quoting = random.choice((csv.QUOTE_MINIMAL, csv.QUOTE_ALL))
    writer = csv.writer(buffer, delimiter=_DELIMITERS[form], lineterminator=end, quoting=quoting)
    writer.writerow(names)
    writer.writerows([str(row[name]) for name in names] for row in rows)
    content = buffer.getvalue().encode(random.choice(("utf-8", "utf-8-sig")))
    suffix = ".tsv" if form == "tab" else ".csv"
    return (f"{suffix}.gz", gzip.compress(content)) if random.random() < 0.2 else (suffix, content)


def _columnar(names: Sequence[str], rows: Sequence[dict[str, Any]], plan: Plan, random: Random) -> tuple[str, bytes]:
    kinds = {**plan.kinds, "target": "decimal" if plan.numbers else "word", "unit": "word", "time": "int"}
    columns = [_array([row[name] for row in rows], kinds.get(name, "word"), random) for name in names]
    table = pa.Table.from_arrays(columns, list(names))
    buffer = io.BytesIO()
    if plan.form == "parquet":
        pq.write_table(table, buffer, row_group_size=random.choice((3, 1000)))
        return ".parquet", buffer.getvalue()
    opened = pa.ipc.new_file if plan.form == "arrow" else pa.ipc.new_stream
    with opened(buffer, table.schema) as writer:
        writer.write_table(table)
    return ".arrow", buffer.getvalue()


def _array(cells: list[Any], kind: Kind, random: Random) -> pa.Array:
    """Cells as an Arrow type that holds them: typed, as text, or as a dictionary."""
    choices: list[pa.Array] = [pa.array([str(cell) for cell in cells], pa.string())]
    if kind == "word":
        choices += [choices[0].dictionary_encode(), choices[0].cast(pa.large_string())]
    elif kind == "int":
        choices = [pa.array(cells, pa.int64()), pa.array([Decimal(cell) for cell in cells], pa.decimal128(30, 2))]
    elif kind == "float":
        choices = [pa.array(cells, pa.float64())]
    else:
        choices += [pa.array(cells, pa.decimal128(12, 4)), pa.array([float(cell) for cell in cells], pa.float32())]
        choices += [pa.array([float(cell) for cell in cells], pa.float64())]
    return random.choice(choices)
