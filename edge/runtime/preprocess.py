"""From a record, as it is stored or as a sensor gives it, to the model's input tensor.

Training imports these functions, so device and training cannot differ. What each kind of record goes through is said
in `edge.runtime.inputs`: pictures, rows (of tables and series) and words.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.contracts import InputSpec
from edge.errors import RejectedError
from edge.runtime.inputs.pictures import (
    IMAGE_FORMATS,
    MAX_PIXELS,
    QUIET,
    PictureHeader,
    decode_image,
    image_tensor,
    picture_pixels,
    read_picture,
)
from edge.runtime.inputs.rows import (
    MAX_DEVIATIONS,
    parse_list,
    parse_row,
    row_values,
    series_tensor,
    series_values,
    stored_rows,
    table_tensor,
)
from edge.runtime.inputs.words import text_tensor

__all__ = [
    "IMAGE_FORMATS",
    "MAX_DEVIATIONS",
    "MAX_PIXELS",
    "QUIET",
    "PictureHeader",
    "decode_image",
    "golden_tensor",
    "image_tensor",
    "input_type",
    "noise_tensor",
    "parse_list",
    "parse_row",
    "picture_pixels",
    "read_picture",
    "record_tensor",
    "row_tensor",
    "row_values",
    "series_tensor",
    "table_tensor",
    "text_tensor",
]


def input_type(spec: InputSpec) -> type[np.float32] | type[np.int64]:
    """What the model's input consists of: float32, or int64 token numbers for text."""
    return np.int64 if spec.kind == "text" else np.float32


def record_tensor(spec: InputSpec, data: bytes) -> NDArray[Any]:
    """A stored record's `input` bytes to the model's input: float32, or int64 for text.

    Args:
        data: a picture file; little-endian float64 values of a row, of a series' rows one after another (oldest first),
            or of noise; a text in UTF-8.

    Raises:
        RejectedError: they are not what the model reads, with the place.
    """
    if spec.kind == "image":
        return image_tensor(spec, decode_image(data, spec.shape[0]))
    if spec.kind == "series":
        return series_tensor(spec, stored_rows(spec, data))
    if spec.kind == "text":
        try:
            return text_tensor(spec, data.decode())
        except UnicodeDecodeError as error:
            raise RejectedError(f"not text in UTF-8 ({error.reason} at byte {error.start})") from error
    if len(data) != 8 * spec.shape[0]:
        raise RejectedError(f"a stored row has {8 * spec.shape[0]} bytes, found {len(data)}")
    values = np.frombuffer(data, dtype="<f8")
    return noise_tensor(spec, values) if spec.kind == "noise" else table_tensor(spec, values)


def golden_tensor(spec: InputSpec, text: str) -> NDArray[Any]:
    """A golden record's `input` (see `GoldenRecord`) to the model's input. Raises RejectedError."""
    if spec.kind == "image":
        try:
            return record_tensor(spec, base64.b64decode(text, validate=True))
        except ValueError as error:
            raise RejectedError(f"the golden picture is not base64 ({error})") from error
    if spec.kind == "text":
        return text_tensor(spec, text)
    if spec.kind == "series":
        return series_tensor(spec, series_values(spec, parse_list(text, "rows")))
    if spec.kind == "noise":
        return noise_tensor(spec, parse_list(text, "numbers"))
    return row_tensor(spec, parse_row(text))


def row_tensor(spec: InputSpec, row: Mapping[str, Any]) -> NDArray[np.float32]:
    """A row of named numbers and words to the model's input; columns that the model does not read are ignored."""
    return table_tensor(spec, row_values(spec, row))


def noise_tensor(spec: InputSpec, values: Any) -> NDArray[np.float32]:
    """A list or array of a generator's random numbers to its (numbers,) float32. Raises RejectedError."""
    try:
        numbers = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise RejectedError("noise is a list of numbers; something else is in it") from error
    if numbers.shape != spec.shape or not (np.abs(numbers) <= MAX_DEVIATIONS).all():
        raise RejectedError(f"noise is {spec.shape[0]} numbers within {MAX_DEVIATIONS:g} of 0, found {numbers.shape}")
    return numbers.astype(np.float32)
