"""How a model is fed and what it answers: the part of a release that preprocessing and self-tests read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from edge.contracts.codec import document


@dataclass(frozen=True)
class InputSpec:
    """From a record to the model's input tensor; the very same on the device and in training.

    Attributes:
        kind: "image" (a file) or "table" (a row of named numbers).
        name: the ONNX graph's input.
        shape: of one record without the batch axis: (channels, height, width) or (columns,).
        columns: the table's columns in order; empty for images.
        mean, std: per channel or per column, of values scaled to 0..1 for images and raw for tables.
        categories: columns that hold words, each with its words in order; the model sees a word's position.
    """

    kind: Literal["image", "table"]
    name: str
    shape: tuple[int, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    columns: tuple[str, ...] = ()
    categories: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        expected = self.shape[0] if self.shape else 0
        if len(self.mean) != expected or len(self.std) != expected:
            raise ValueError(f"mean and std have one number per channel or column ({expected})")
        if any(value <= 0 for value in self.std):
            raise ValueError("std has positive numbers only")
        if len(self.shape) != (3 if self.kind == "image" else 1):
            raise ValueError(f"shape {self.shape} does not fit kind {self.kind!r}")
        if self.kind == "table" and len(self.columns) != expected:
            raise ValueError(f"a table of {expected} inputs names {expected} columns")
        for name, words in self.categories.items():
            if name not in self.columns:
                raise ValueError(f"categories names {name!r}, which is no column")
            if not words or len(set(words)) < len(words):
                raise ValueError(f"categories.{name} has words, each once")


@dataclass(frozen=True)
class GoldenRecord:
    """One input as a device meets it, and what the model answered when it was released.

    Attributes:
        input: an image file's bytes in base64, or a table row as a JSON object's text.
        expected: the output tensor's numbers (logits), one per label, computed from the float parent in ONNX Runtime.
        label: the true label.
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
        min_agreement: least share of records whose largest output is at the same label.
    """

    records: tuple[GoldenRecord, ...]
    max_abs_diff: float
    min_agreement: float
