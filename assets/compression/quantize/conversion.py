"""What the module of a number format that needs no ranges declares; found by the format's name."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Collection
from dataclasses import dataclass

from assets.compression.quantize.layers import Dialect
from assets.line.number_formats import Format


@dataclass(frozen=True)
class StudentInt8:
    """How INT8 does on a student, which decides whether it is tried in other formats.

    Attributes:
        tried: whether the policy asks for INT8.
        stands: whether INT8 keeps the student in the budget.
        shipped: dialects that targets run.
    """

    tried: bool
    stands: bool
    shipped: Collection[str]


@dataclass(frozen=True)
class Conversion:
    """How files of a format are made of a float file.

    Attributes:
        convert: from a float file and a dialect to that dialect's file; raises RejectedError where it cannot be, or
            would save too little.
        for_student: whether a student is tried in it; the teacher always is.
    """

    convert: Callable[[bytes, Dialect], bytes]
    for_student: Callable[[StudentInt8], bool]


def conversion_of(form: Format) -> Conversion:
    """The conversion of a format of `assets.line.number_formats` that has no ranges."""
    found = importlib.import_module(f"{__package__}.{form}").CONVERSION
    assert isinstance(found, Conversion), "a format's module declares its conversion"
    return found
