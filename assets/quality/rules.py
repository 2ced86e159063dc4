"""The rules of a line's gate: plain data, derived from its contract and its own expectations, run by `suite.py`."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from assets.data import DataContract, ImageData
from assets.expectations import ROW_WISE
from assets.gate import UserExpectation
from assets.line import LineConfig
from assets.quality.frame import target_column

LEAST_CONTRAST = 1.0
"""Standard deviation of 8-bit values below which a picture shows nothing."""
MOST_ENLARGED = 4
"""A picture that is enlarged more than so many times carries too little of what the model would see."""
MOST_ASPECT = 20
"""Longer side over shorter side; beyond it resizing leaves nothing recognizable."""
COPIES = "every record is in the batch once"

Explain = Callable[[Mapping[str, Any]], tuple[str, str]]
"""From a record's row (its columns in the table of records, and derived ones) to reason and remedy."""
Severity = Literal["critical", "warning"]


@dataclass(frozen=True)
class Rule:
    """One expectation.

    Attributes:
        name: a claim about the batch.
        expectation: class name in `great_expectations.expectations`, with its `settings`.
        severity: "critical" decides; "warning" informs.
        mostly: share of records that must hold, for a row-wise expectation about the batch as a whole.
        explain: of a rule about single records; None for one about the batch.
        needs: columns besides those in `settings` that `explain` reads.
    """

    name: str
    description: str
    expectation: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    severity: Severity = "critical"
    mostly: float | None = None
    explain: Explain | None = None
    needs: tuple[str, ...] = ()

    @property
    def row_wise(self) -> bool:
        """Whether it looks at one record at a time."""
        return self.expectation in ROW_WISE

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it is asked over; empty for one about the table as such."""
        one = [self.settings[key] for key in ("column", "column_A", "column_B") if key in self.settings]
        many = self.settings.get("column_list") or ()
        return tuple(dict.fromkeys(name for name in (*one, *many) if isinstance(name, str)))


def rules_of(config: LineConfig) -> list[Rule]:
    """Every rule of a line's gate, in the order in which a record's first broken rule gives its reason."""
    data = config.data
    rules = [*_label_rules(data)]
    if data.image is not None:
        rules += _image_rules(data.image)
    if data.inputs is not None:
        rules += [_cell_rule(column) for column in data.inputs.columns]
    if data.series is not None:
        rules += _series_rules()
    if data.text is not None:
        rules += _text_rules(data.text.max_chars)
    if data.audio is not None:
        rules += _audio_rules(data.audio.rate, data.audio.seconds, data.audio.tolerance)
    rules += [_user_rule(number, own, data) for number, own in enumerate(config.quality.expectations, 1)]
    return [*rules, *_identity_rules(config), *_batch_rules(config)]


def _null(name: str, description: str, column: str, explain: Explain, severity: Severity, *needs: str) -> Rule:
    settings = {"column": column}
    return Rule(name, description, "ExpectColumnValuesToBeNull", settings, severity, explain=explain, needs=needs)


def _label_rules(data: DataContract) -> Iterator[Rule]:
    what = "label" if data.classes else "number to predict"
    yield Rule(
        f"every record has a {what}",
        f"A record without a {what} teaches nothing.",
        "ExpectColumnValuesToNotBeNull",
        {"column": "_label"},
        explain=partial(_explain_no_label, data),
        needs=("_notes",),
    )
    if data.classes:
        yield Rule(
            "every label is a class of the line",
            f"The line knows {len(data.classes)} classes: {_some(data.classes)}.",
            "ExpectColumnValuesToBeInSet",
            {"column": "_label", "value_set": list(data.classes)},
            explain=lambda row: _explain_label(str(row["_label"]), data),
        )


def _image_rules(image: ImageData) -> Iterator[Rule]:
    least = max(2, -(-min(image.height, image.width) // MOST_ENLARGED))
    sides = ("width", "height")
    size = f"{image.width} x {image.height}"
    for side in sides:
        yield Rule(
            f"every picture's {side} is large enough",
            f"Its shorter side has at least {least} pixels; the model sees {size}.",
            "ExpectColumnValuesToBeBetween",
            {"column": side, "min_value": least},
            explain=lambda row: (
                f"{row['width']:.0f} x {row['height']:.0f} pixels are too few for a model that sees {size}",
                f"use a picture whose shorter side has at least {least} pixels",
            ),
            needs=sides,
        )
    yield Rule(
        "every picture has a usual shape",
        f"Its longer side is at most {MOST_ASPECT} times its shorter side.",
        "ExpectColumnValuesToBeBetween",
        {"column": "_aspect", "max_value": MOST_ASPECT},
        explain=lambda row: (
            f"{row['width']:.0f} x {row['height']:.0f} pixels: one side is "
            f"{max(row['width'], row['height']) / max(1, min(row['width'], row['height'])):.0f} times the other",
            "crop it to what it shows",
        ),
        needs=sides,
    )
    yield Rule(
        "every picture shows something",
        f"The standard deviation of its values is at least {LEAST_CONTRAST:g} of 255.",
        "ExpectColumnValuesToBeBetween",
        {"column": "contrast", "min_value": LEAST_CONTRAST},
        explain=lambda row: (
            f"it is blank: all pixels are about {row['brightness']:.0f} of 255 "
            f"(standard deviation {row['contrast']:.2f})",
            "look at the camera, and take the picture again",
        ),
        needs=("brightness",),
    )
    yield Rule(
        "no picture is almost black or almost white",
        "The mean of its values is from 2 to 253 of 255.",
        "ExpectColumnValuesToBeBetween",
        {"column": "brightness", "min_value": 2, "max_value": 253},
        severity="warning",
    )
    yield _null(
        "no picture is dark, glaring or blurred beside the others",
        "A picture far outside what this batch looks like (dark, glaring or without sharp edges) may teach the wrong "
        "thing.",
        "_odd",
        lambda row: (str(row["_odd"]), "look at it; leave it out if nothing can be seen"),
        "warning",
    )


def _cell_rule(column: str) -> Rule:
    return Rule(
        f"every cell of {column} has a value",
        "An empty cell, a text that is no number, an unknown word or infinity cannot be computed with.",
        "ExpectColumnValuesToNotBeNull",
        {"column": column},
        explain=partial(_explain_cell, column),
        needs=("_notes",),
    )


def _series_rules() -> Iterator[Rule]:
    yield Rule(
        "every reading has a time",
        "A reading that cannot be placed in time belongs to no window.",
        "ExpectColumnValuesToNotBeNull",
        {"column": "_time"},
        explain=partial(_explain_cell, "time"),
        needs=("_notes",),
    )
    yield _null(
        "every unit's readings come in the order of time",
        "Windows over shuffled readings are worthless.",
        "_order",
        lambda row: (str(row["_order"]), "sort the readings of each unit by time, and land them again"),
        "critical",
    )
    yield _null(
        "no unit has a gap",
        "A window over a gap joins what does not belong together.",
        "_gap",
        lambda row: (str(row["_gap"]), "find the missing readings, or give the parts units of their own"),
        "warning",
    )


def _text_rules(longest: int) -> Iterator[Rule]:
    yield Rule(
        "every text says something",
        "A text of nothing but spaces teaches nothing.",
        "ExpectColumnValuesToBeBetween",
        {"column": "words", "min_value": 1},
        explain=lambda row: ("the text is blank", "write the text, or leave the row out"),
    )
    yield Rule(
        "no text is too long",
        f"At most {longest:,} characters (data.text.max_chars).",
        "ExpectColumnValuesToBeBetween",
        {"column": "chars", "max_value": longest},
        explain=lambda row: (
            f"{row['chars']:,.0f} characters, at most {longest:,} are taken",
            "split the text, or raise data.text.max_chars",
        ),
    )


def _audio_rules(rate: int, seconds: float, tolerance: float) -> Iterator[Rule]:
    yield Rule(
        "every sound has the line's sampling rate",
        f"{rate:,} samples per second (data.audio.rate).",
        "ExpectColumnValuesToBeBetween",
        {"column": "rate", "min_value": rate, "max_value": rate},
        explain=lambda row: (
            f"{row['rate']:,.0f} samples per second, the line has {rate:,}",
            f"resample it to {rate:,}, or correct data.audio.rate",
        ),
    )
    low, high = seconds * (1 - tolerance), seconds * (1 + tolerance)
    yield Rule(
        "every sound is about as long as the model hears",
        f"{low:g} to {high:g} seconds (data.audio.seconds, tolerance).",
        "ExpectColumnValuesToBeBetween",
        {"column": "seconds", "min_value": low, "max_value": high},
        explain=lambda row: (
            f"it lasts {row['seconds']:.2f} s, allowed are {low:g} to {high:g}",
            "cut or record it anew",
        ),
    )
    yield Rule(
        "every sound can be heard",
        "Its loudness is above -80 dB of full scale.",
        "ExpectColumnValuesToBeBetween",
        {"column": "loudness", "min_value": -80},
        explain=lambda row: (f"it is silent ({row['loudness']:.0f} dB of full scale)", "look at the microphone"),
    )
    yield Rule(
        "no sound is clipped",
        "At most one sample in a hundred stands at full scale.",
        "ExpectColumnValuesToBeBetween",
        {"column": "clipped", "max_value": 0.01},
        severity="warning",
    )


def _identity_rules(config: LineConfig) -> Iterator[Rule]:
    quality = config.quality
    yield _null(
        "no record was forgotten on request",
        "What somebody asked to be forgotten does not come back.",
        "_forgotten",
        lambda row: (f"it was forgotten on request on {row['_forgotten']}", "leave it out of the source"),
        "critical",
    )
    if config.data.classes:
        yield _null(
            "no record has two labels in the batch",
            "The same input under two classes: nobody can say which is true.",
            "_conflict",
            lambda row: (
                f"the same input is in this batch as {row['_conflict']}",
                "find out which class is true, and land it in a new batch under that one only",
            ),
            "critical",
        )
        yield _null(
            "no known record comes under another label",
            "Records that earlier batches had accepted keep their class.",
            "_relabelled",
            lambda row: (
                f"it comes as {row['_label']!r}, but was accepted before as {row['_relabelled']!r}",
                "find out which class is true; if it is the old one, land it under that in a new batch",
            ),
            "critical",
            "_label",
        )
    if quality.leakage != "off":
        yield _null(
            "no train record is almost a validation or test record",
            "A model that has seen what it is tested on looks better than it is.",
            "_leak",
            lambda row: (
                f"it is almost the same as {row['_leak']}, on which models are judged",
                "leave one of them out",
            ),
            "critical" if quality.leakage == "quarantine" else "warning",
        )
    if quality.near_duplicates != "off":
        yield _null(
            "no record is almost another one",
            "Many almost equal records weigh more than they teach.",
            "_near",
            lambda row: (f"it is almost the same as {row['_near']}", "keep one of them"),
            "critical" if quality.near_duplicates == "quarantine" else "warning",
        )
    if quality.label_suspects != "off" and config.data.classes:
        yield _null(
            "no label looks wrong",
            "A model that never saw the record is sure of another class.",
            "_suspect",
            lambda row: (
                f"it is labelled {row['_label']!r}, but looks like {row['_suspect']!r}",
                "look at it: correct the label, or accept it as it is",
            ),
            "critical" if quality.label_suspects == "quarantine" else "warning",
            "_label",
        )
    yield _null(
        COPIES,
        "Of exact copies one is kept; the others do not count as bad records.",
        "_copy_of",
        lambda row: (f"it is an exact copy of {row['_copy_of']}", "nothing to do: one of them is kept"),
        "critical",
    )


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
        "ExpectColumnDistinctValuesToBeInSet",
        {"column": "_split", "value_set": ["train", "validation", "test"]},
    )
    if config.data.classes:
        yield Rule(
            "every class is in the batch",
            "A class that is missing may have been forgotten.",
            "ExpectColumnDistinctValuesToContainSet",
            {"column": "_label", "value_set": list(config.data.classes)},
            severity="warning",
        )
    yield Rule(
        "every record is new",
        "Records that were accepted before add nothing.",
        "ExpectColumnValuesToBeNull",
        {"column": "_known_label"},
        severity="warning",
    )


def _user_rule(number: int, own: UserExpectation, data: DataContract) -> Rule:
    settings = own.settings
    if own.mostly is not None and own.expect not in ROW_WISE:
        settings["mostly"] = own.mostly
    rule = Rule(
        f"own expectation {number}: {own.expect}",
        own.description or f"{own.expect} with {_settings(settings)}.",
        own.expect,
        settings,
        own.severity,
        mostly=own.mostly if own.expect in ROW_WISE else None,
    )
    if own.mostly is not None:
        return rule
    return Rule(**{**vars(rule), "explain": partial(_explain_own, rule, frozenset(data.privacy.private))})


def _explain_own(rule: Rule, private: frozenset[str], row: Mapping[str, Any]) -> tuple[str, str]:
    shown = ", ".join(
        f"{name} is {'hidden (private)' if name in private else _short(row.get(name))}" for name in rule.columns
    )
    return (
        f"{shown or 'the record'}: {rule.description.rstrip('.')} does not hold",
        "correct the record, or change the line's quality.expectations",
    )


def _explain_no_label(data: DataContract, row: Mapping[str, Any]) -> tuple[str, str]:
    note = (row["_notes"] or {}).get(target_column(data) or "target")
    return note or f"the {'label' if data.classes else 'number to predict'} is missing", "fill it in"


def _explain_label(label: str, data: DataContract) -> tuple[str, str]:
    where = "folder" if data.reader in {"image_folder", "audio_folder"} else "cell"
    simple = {name.strip().casefold(): name for name in data.classes}
    key = label.strip().casefold().removesuffix(".0")
    near = simple.get(key) or next(iter(difflib.get_close_matches(key[:80], simple, 1, 0.8)), None)
    near = simple.get(near, near) if near else None
    remedy = (
        f"if {near!r} is meant, write it so, or name it in data.aliases"
        if near
        else f"correct the {where}, or add it to the line's data.classes, and land these records as a new batch"
    )
    return f"{_short(label)} is not a class of this line ({_some(data.classes)})", remedy


def _explain_cell(column: str, row: Mapping[str, Any]) -> tuple[str, str]:
    reason = f"column {column}: {(row['_notes'] or {}).get(column, 'the cell has no value')}"
    hint = "write decimals with a point" if "is not a number" in reason else "fill it in or correct it"
    return reason, f"{hint}, or leave the row out"


def _settings(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={_short(value)}" for name, value in settings.items())


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:10]) + (f", … {len(names) - 10} more" if len(names) > 10 else "")


def _short(text: object) -> str:
    quoted = repr(text)
    return quoted if len(quoted) <= 80 else f"{quoted[:76]}…{quoted[0]}"
