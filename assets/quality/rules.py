"""The rules of a line's gate, derived from its contract: plain data, turned into expectations by `suite.py`."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from assets.ingest.contract import Record
from assets.line import DataContract, ImageData, LineConfig, TableData
from assets.quality.frame import input_column

LEAST_CONTRAST = 1.0
"""Standard deviation of 8-bit values below which a picture shows nothing."""
MOST_ENLARGED = 4
"""A picture that is enlarged more than so many times carries too little of what the model would see."""
MOST_ASPECT = 20
"""Longer side over shorter side; beyond it resizing leaves nothing recognizable."""

Explain = Callable[[Record, Mapping[str, Any]], tuple[str, str]]


@dataclass(frozen=True)
class Rule:
    """One expectation.

    Attributes:
        name: a claim about the batch.
        expectation: class name in `great_expectations.expectations`, with its `settings`.
        severity: "critical" decides; "warning" informs.
        explain: of a rule about single records: (record, its row) to reason and remedy. None for one about the batch.
    """

    name: str
    description: str
    expectation: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    severity: Literal["critical", "warning"] = "critical"
    explain: Explain | None = None


def rules_of(config: LineConfig) -> list[Rule]:
    """Every rule of a line's gate, in the order in which a record's first broken rule gives its reason."""
    rules = [*_record_rules(config.data)]
    if config.data.image is not None:
        rules += _image_rules(config.data.image)
    if config.data.table is not None:
        rules += _table_rules(config.data.table)
    return [*rules, *_identity_rules(), *_batch_rules(config)]


def _record_rules(data: DataContract) -> Iterator[Rule]:
    yield Rule(
        "every record has a label",
        "A record without a class teaches nothing.",
        "ExpectColumnValuesToNotBeNull",
        {"column": "label"},
        explain=lambda record, row: ("the label is missing", "fill it in"),
    )
    yield Rule(
        "every label is a class of the line",
        f"The line knows {len(data.classes)} classes: {_some(data.classes)}.",
        "ExpectColumnValuesToBeInSet",
        {"column": "label", "value_set": list(data.classes)},
        explain=lambda record, row: _explain_label(record.label, data),
    )
    yield Rule(
        "every record has an id",
        "The id is the digest of the input; without one, copies cannot be told.",
        "ExpectColumnValuesToNotBeNull",
        {"column": "id"},
        explain=lambda record, row: ("it has no id", "this is a fault of the reader, not of the data: report it"),
    )


def _image_rules(image: ImageData) -> Iterator[Rule]:
    least = max(2, -(-min(image.height, image.width) // MOST_ENLARGED))
    yield Rule(
        "every picture is large enough",
        f"Its shorter side has at least {least} pixels; the model sees {image.width} x {image.height}.",
        "ExpectColumnValuesToBeBetween",
        {"column": "smaller_side", "min_value": least},
        explain=lambda record, row: (
            f"{row['width']:.0f} x {row['height']:.0f} pixels are too few for a model that sees "
            f"{image.width} x {image.height}",
            f"use a picture whose shorter side has at least {least} pixels",
        ),
    )
    yield Rule(
        "every picture has a usual shape",
        f"Its longer side is at most {MOST_ASPECT} times its shorter side.",
        "ExpectColumnValuesToBeBetween",
        {"column": "aspect", "max_value": MOST_ASPECT},
        explain=lambda record, row: (
            f"{row['width']:.0f} x {row['height']:.0f} pixels: one side is {row['aspect']:.0f} times the other",
            "crop it to what it shows",
        ),
    )
    yield Rule(
        "every picture shows something",
        f"The standard deviation of its values is at least {LEAST_CONTRAST:g} of 255.",
        "ExpectColumnValuesToBeBetween",
        {"column": "std", "min_value": LEAST_CONTRAST},
        explain=lambda record, row: (
            f"it is blank: all pixels are about {row['mean']:.0f} of 255 (standard deviation {row['std']:.2f})",
            "look at the camera, and take the picture again",
        ),
    )
    yield Rule(
        "no picture is almost black or almost white",
        "The mean of its values is from 2 to 253 of 255.",
        "ExpectColumnValuesToBeBetween",
        {"column": "mean", "min_value": 2, "max_value": 253},
        severity="warning",
    )


def _table_rules(table: TableData) -> Iterator[Rule]:
    for index, column in enumerate(table.columns):
        yield Rule(
            f"every cell of {column} is a finite number",
            "An empty cell, a text or infinity cannot be computed with.",
            "ExpectColumnValuesToNotBeNull",
            {"column": input_column(index)},
            explain=partial(_explain_cell, index, column),
        )


def _identity_rules() -> Iterator[Rule]:
    yield Rule(
        "no record has two labels in the batch",
        "The same input under two classes: nobody can say which is true.",
        "ExpectColumnValuesToBeBetween",
        {"column": "labels_of_id", "max_value": 1},
        explain=lambda record, row: (
            f"the same input is in this batch as {row['batch_labels']}",
            "find out which class is true, and land it in a new batch under that one only",
        ),
    )
    yield Rule(
        "no known record comes under another label",
        "Records that earlier batches had accepted keep their class.",
        "ExpectColumnPairValuesToBeEqual",
        {"column_A": "label", "column_B": "known_label", "ignore_row_if": "either_value_is_missing"},
        explain=lambda record, row: (
            f"it comes as {record.label!r}, but was accepted before as {row['known_label']!r}",
            "find out which class is true; if it is the old one, land it under that in a new batch",
        ),
    )
    yield Rule(
        DISTINCT,
        "Of exact copies the first is kept; the others do not count as bad records.",
        "ExpectColumnValuesToBeUnique",
        {"column": "id"},
        explain=lambda record, row: (f"it is an exact copy of {row['first_file']}", "nothing to do: the first is kept"),
    )


DISTINCT = "every record is in the batch once"


def _batch_rules(config: LineConfig) -> Iterator[Rule]:
    yield Rule(
        "the batch has enough records",
        f"At least {config.quality.min_records:,} (quality.min_records).",
        "ExpectTableRowCountToBeBetween",
        {"min_value": config.quality.min_records},
    )
    yield Rule(
        "every split is a split",
        "A declared split is train, validation or test.",
        "ExpectColumnValuesToBeInSet",
        {"column": "split", "value_set": ["", "train", "validation", "test"]},
    )
    yield Rule(
        "every class is in the batch",
        "A class that is missing may have been forgotten.",
        "ExpectColumnDistinctValuesToContainSet",
        {"column": "label", "value_set": list(config.data.classes)},
        severity="warning",
    )
    yield Rule(
        "every record is new",
        "Records that were accepted before add nothing.",
        "ExpectColumnValuesToBeNull",
        {"column": "known_label"},
        severity="warning",
    )


def _explain_label(label: str, data: DataContract) -> tuple[str, str]:
    where = "folder" if data.reader == "image_folder" else "cell"
    simple = {name.strip().casefold(): name for name in data.classes}
    key = label.strip().casefold().removesuffix(".0")
    near = simple.get(key) or next(iter(difflib.get_close_matches(key[:80], simple, 1, 0.8)), None)
    near = simple.get(near, near) if near else None
    remedy = (
        f"if {near!r} is meant, write it so"
        if near
        else f"correct the {where}, or add it to the line's data.classes, and land these records as a new batch"
    )
    return f"{_short(label)} is not a class of this line ({_some(data.classes)})", remedy


def _explain_cell(index: int, column: str, record: Record, row: Mapping[str, Any]) -> tuple[str, str]:
    reason = record.notes.get(index, f"column {column}: the cell is not a finite number")
    hint = "write decimals with a point" if "is not a number" in reason else "fill it in or correct it"
    return reason, f"{hint}, or leave the row out"


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:10]) + (f", … {len(names) - 10} more" if len(names) > 10 else "")


def _short(text: str) -> str:
    quoted = repr(text)
    return quoted if len(quoted) <= 80 else f"{quoted[:76]}…{quoted[0]}"
