"""The formats of a model's numbers: the table that a new one is entered in.

Beside its row here, a format that needs no ranges is one module of its name in `assets.compression.quantize`, whose
`CONVERSION` makes its files (see `assets.compression.quantize.conversion`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

Format = Literal["int8", "float16", "weights8"]
"""Those that are tried on a network in float."""
AnyFormat = Literal["float32", Format]
TRIED: tuple[Format, ...] = get_args(Format)


@dataclass(frozen=True)
class NumberFormat:
    """A format as people read it, and how it is made.

    Attributes:
        words: of it in a recipe.
        name: of it in a candidate's name.
        ranges: whether activations have 8 bits too, in ranges that calibration finds; else a file is converted.
    """

    words: str
    name: str
    ranges: bool = False


FORMATS: Mapping[AnyFormat, NumberFormat] = {
    "float32": NumberFormat("float32", "float"),
    "int8": NumberFormat("INT8", "int8", ranges=True),
    "float16": NumberFormat("FP16", "float16"),
    "weights8": NumberFormat("weights in INT8, the rest in float32", "weights8"),
}
"""In the order in which they are tried."""
