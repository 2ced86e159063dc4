"""How a model is fed and what it answers: the part of a release that preprocessing and self-tests read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from edge.contracts.codec import ADDED_LATER, document

MAX_BATCH = 32
"""The largest batch that every session takes, and that plans are built for."""
AXES: Mapping[str, int] = {"image": 3, "table": 1, "series": 2, "text": 1, "noise": 1}
"""How many axes one record of a kind has; a "tensor" has any number of them."""
CHANNEL_AXIS: Mapping[str, int] = {"image": 0, "table": 0, "series": 1}
"""The axis that `mean` and `std` run along."""


@dataclass(frozen=True)
class RowFiles:
    """How files of rows of a line are written, so that a device reads them as the line did.

    Attributes:
        header: names of all columns of files without a header line; () where each has one.
        skip_lines: lines of a text before its header or first row.
        text: of texts: the column that holds them.
        unit, time: of series: the columns that say whose a reading is, and when it was.
        decimal: the decimal sign of numbers in text.
        thousands: what stands between groups of three digits, "" for nothing; a space stands for no-break spaces too.
        day_first: times may have the day first, 31/12/2024.
        trim: spaces around words and names of columns do not count.
    """

    header: tuple[str, ...] = ()
    skip_lines: int = 0
    text: str = ""
    unit: str = ""
    time: str = ""
    decimal: Literal[".", ","] = field(default=".", metadata=ADDED_LATER)
    thousands: Literal["", ",", ".", " ", "'", "_"] = field(default="", metadata=ADDED_LATER)
    day_first: bool = field(default=False, metadata=ADDED_LATER)
    trim: bool = field(default=False, metadata=ADDED_LATER)

    def __post_init__(self) -> None:
        if self.decimal == self.thousands:
            raise ValueError(f"decimal and thousands are both {self.decimal!r}")


@dataclass(frozen=True)
class InputSpec:
    """From a record to the model's input tensor; the very same on the device and in training.

    Attributes:
        kind: "image" (a file), "table" (a row of named numbers), "series" (the last rows of one unit), "text",
            "noise" (random numbers, which a generator makes pictures of), or "tensor": what a model from elsewhere
            reads, made by its owner's own code; no device prepares it, so no line has it.
        name: the ONNX graph's input, float32; int64 token numbers for text.
        shape: of one record without the batch axis: (channels, height, width), (columns,), (steps, columns), (tokens,)
            or (numbers,).
        columns: of a table or series in order; empty otherwise.
        mean, std: per channel or per column, of values scaled to 0..1 for images and raw for tables and series; empty
            for text and noise.
        categories: columns that hold words, each with its words in order; the model sees a word's position.
        other: column to the one of its words that stands for every word not named.
        buckets: of text: tokens are hashed to 1..buckets (0 is padding), so that no word of the data is shipped.
        unit: of text: what a token is.
        files: of tables, series and texts: how files of rows are written; None in releases made before it was told.
    """

    kind: Literal["image", "table", "series", "text", "noise", "tensor"]
    name: str
    shape: tuple[int, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    columns: tuple[str, ...] = ()
    categories: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    buckets: int = 0
    unit: Literal["word", "byte"] = "word"
    other: Mapping[str, str] = field(default_factory=dict)
    files: RowFiles | None = field(default=None, metadata=ADDED_LATER)

    def __post_init__(self) -> None:
        if len(self.shape) != AXES.get(self.kind, len(self.shape)) or any(length < 1 for length in self.shape):
            raise ValueError(f"shape {self.shape} does not fit kind {self.kind!r}")
        if (self.kind == "text") != (self.buckets > 0):
            raise ValueError("a text, and nothing else, has buckets")
        expected = self.shape[CHANNEL_AXIS[self.kind]] if self.kind in CHANNEL_AXIS else 0
        if len(self.mean) != expected or len(self.std) != expected:
            raise ValueError(f"mean and std have one number per channel or column ({expected})")
        if any(value <= 0 for value in self.std):
            raise ValueError("std has positive numbers only")
        if self.kind in {"table", "series"} and len(self.columns) != expected:
            raise ValueError(f"a {self.kind} of {expected} inputs names {expected} columns")
        for name, words in self.categories.items():
            if name not in self.columns:
                raise ValueError(f"categories names {name!r}, which is no column")
            if not words or len(set(words)) < len(words):
                raise ValueError(f"categories.{name} has words, each once")
        for name, word in self.other.items():
            if word not in self.categories.get(name, ()):
                raise ValueError(f"other.{name}: {word!r} is not one of the column's words")


@dataclass(frozen=True)
class AnswerSpec:
    """What the model's one output tensor stands for.

    Attributes:
        kind: "class": (labels,) logits; "number": (1,) in the target's own unit; "anomaly": (1,) a score, anomalous
            above `threshold`; "image": (channels, height, width) pixels, 0 to 1; "tensor": numbers whose meaning only
            the model's owner knows, all outputs of a record in one row.
        threshold: of anomalies, chosen on validation records.
    """

    kind: Literal["class", "number", "anomaly", "image", "tensor"] = "class"
    threshold: float | None = None

    def __post_init__(self) -> None:
        if (self.kind == "anomaly") != (self.threshold is not None):
            raise ValueError("an anomaly score, and nothing else, has a threshold")


CLASS_ANSWER = AnswerSpec()


@dataclass(frozen=True)
class GoldenRecord:
    """One input as a device meets it, and what the model answered when it was released.

    Attributes:
        input: an image file's bytes in base64; a table row as a JSON object; a series as a JSON list of rows, oldest
            first; noise as a JSON list of numbers; a text as it is.
        expected: the output tensor's numbers, flat, computed from the float parent in ONNX Runtime.
        label: the true label, or the true number's text; "" where there is none.
    """

    input: str
    expected: tuple[float, ...]
    label: str


@document("edgeloop.golden")
@dataclass(frozen=True)
class GoldenSet:
    """Golden records, and how far an artifact may be from them.

    Attributes:
        max_abs_diff: tolerated difference of any one output number.
        min_agreement: least share of records that get the same label; of other answers than classes, the least share
            whose numbers are within `max_abs_diff`.
    """

    records: tuple[GoldenRecord, ...]
    max_abs_diff: float
    min_agreement: float
