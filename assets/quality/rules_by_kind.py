"""Rules that a kind of record brings along: pictures, cells, readings, texts and sounds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from assets.line.data import DataContract, ImageData
from assets.quality.rule import Rule, null_rule
from assets.readers.cells import BEYOND, UNKNOWN_WORD

LEAST_CONTRAST = 1.0
"""Standard deviation of 8-bit values below which a picture shows nothing."""
MOST_ENLARGED = 4
"""A picture that is enlarged more than so many times carries too little of what the model would see."""
MOST_ASPECT = 20
"""Longer side over shorter side; beyond it resizing leaves nothing recognizable."""

GOES_ON = "every reading goes on where its unit was"


def kind_rules(data: DataContract) -> Iterator[Rule]:
    """The rules of the kind of records that the contract describes."""
    if data.image is not None:
        yield from _image_rules(data.image)
    if data.inputs is not None:
        yield from (_cell_rule(column) for column in data.inputs.columns)
    if data.series is not None:
        yield from _series_rules(data.series.unit, data.series.time)
    if data.table is not None and data.table.group is not None:
        yield _group_rule(data.table.group)
    if data.text is not None:
        yield from _text_rules(data.text.max_chars)
    if data.audio is not None:
        yield from _audio_rules(data.audio.rate, data.audio.seconds, data.audio.tolerance)


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
    yield null_rule(
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


def _group_rule(column: str) -> Rule:
    return Rule(
        f"every record's {column} is known",
        "Without its group nobody knows on which side a record belongs.",
        "ExpectColumnValuesToNotBeNull",
        {"column": "_group"},
        explain=partial(_explain_cell, column),
        needs=("_notes",),
    )


def _series_rules(unit: str, time: str) -> Iterator[Rule]:
    yield _group_rule(unit)
    yield Rule(
        "every reading has a time",
        "A reading that cannot be placed in time belongs to no window.",
        "ExpectColumnValuesToNotBeNull",
        {"column": "_time"},
        explain=partial(_explain_time, time),
        needs=("_notes",),
    )
    yield null_rule(
        "every unit's readings come in the order of time",
        "Windows over shuffled readings are worthless.",
        "_order",
        lambda row: with_remedy(str(row["_order"]), "sort the readings of each unit by time, and land them again"),
        "critical",
    )
    yield null_rule(
        GOES_ON,
        "An accepted time of a unit has one reading, and where names hold for good (`unit_ids: global`) a later batch "
        "goes on behind it.",
        "_earlier",
        lambda row: with_remedy(str(row["_earlier"]), "leave it out"),
        "critical",
    )
    yield null_rule(
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


def with_remedy(text: str, usual: str) -> tuple[str, str]:
    """Reason and remedy of "reason; remedy", or the usual remedy where there is none."""
    reason, mark, remedy = text.rpartition("; ")
    return (reason, remedy) if mark else (text, usual)


def _explain_cell(column: str, row: Mapping[str, Any]) -> tuple[str, str]:
    reason = f"column {column}: {(row['_notes'] or {}).get(column, 'the cell has no value')}"
    if UNKNOWN_WORD in reason:
        return reason, f"add it to `categories` of the line's {column!r}, correct it, or leave the row out"
    if BEYOND in reason:
        return reason, "scale it, or make the column a category"
    hint = "write decimals with a point" if "is not a number" in reason else "fill it in or correct it"
    return reason, f"{hint}, or leave the row out"


def _explain_time(column: str, row: Mapping[str, Any]) -> tuple[str, str]:
    reason, remedy = _explain_cell(column, row)
    return reason, "write it in seconds or microseconds, or as ISO 8601" if BEYOND in reason else remedy
