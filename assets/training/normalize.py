"""How a line's records become tensors: the input's shape and its normalization, taken from training records only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from assets.data import DataContract
from assets.errors import RejectedError
from assets.records import raw_inputs
from assets.store import Store
from assets.training.contract import DatasetVersion
from edge.contracts import InputSpec
from edge.runtime.preprocess import record_tensor

INPUT_NAME = "input"
MAX_RECORDS = 20_000
"""A mean needs no more records than this, and pictures are decoded once more for it."""


def input_spec(store: Store, dataset: DatasetVersion, data: DataContract) -> InputSpec:
    """Mean and standard deviation per channel or column over (at most `MAX_RECORDS`) training records.

    A channel or column without spread gets 1, so that it maps to zeros.

    Raises:
        RejectedError: a record cannot be read, or a column's spread is beyond float64.
    """
    inputs, _ = raw_inputs(store, dataset, "train", MAX_RECORDS)
    if data.image is not None:
        shape = (data.image.channels, data.image.height, data.image.width)
        plain = InputSpec("image", INPUT_NAME, shape, (0.0,) * shape[0], (1.0,) * shape[0])
        mean, std = _image_statistics(plain, inputs)
        return InputSpec("image", INPUT_NAME, shape, _floats(mean), _floats(std))
    assert data.table is not None, "a line reads pictures or tables"
    columns = data.table.columns
    mean, std = _table_statistics(inputs, columns)
    return InputSpec(
        "table", INPUT_NAME, (len(columns),), _floats(mean), _floats(std), columns, dict(data.table.categories)
    )


def _image_statistics(plain: InputSpec, inputs: list[bytes]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Per channel, over all pixels of all records, values scaled to 0..1; one picture in memory at a time."""
    total = np.zeros(plain.shape[0])
    squares = np.zeros(plain.shape[0])
    for data in inputs:
        pixels = record_tensor(plain, data).astype(np.float64)
        total += pixels.mean(axis=(1, 2))
        squares += (pixels**2).mean(axis=(1, 2))
    mean = total / len(inputs)
    return mean, _spread(np.sqrt(np.maximum(squares / len(inputs) - mean**2, 0)))


def _table_statistics(inputs: list[bytes], columns: tuple[str, ...]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if any(len(row) != 8 * len(columns) for row in inputs):
        raise RejectedError(f"a stored row does not have the line's {len(columns)} columns; judge its batch again")
    values = np.frombuffer(b"".join(inputs), dtype="<f8").reshape(len(inputs), len(columns))
    with np.errstate(over="ignore", invalid="ignore"):
        mean, std = values.mean(axis=0), values.std(axis=0)
    for column, good in zip(columns, np.isfinite(mean) & np.isfinite(std), strict=True):
        if not good:
            raise RejectedError(f"column {column!r}: values too large to normalize; scale them in the source")
    return mean, _spread(std)


def _spread(std: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(std > 1e-12, std, 1.0)


def _floats(values: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
