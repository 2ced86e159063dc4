"""How a line's records become tensors: the input's shape and its normalization, taken from training records only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from assets.errors import RejectedError
from assets.line.config import LineConfig
from assets.line.data import DataContract
from assets.loading.series import read_readings
from assets.loading.sources import open_pictures
from assets.loading.stored import find_stored
from assets.records.dataset import DatasetVersion
from assets.records.read import raw_inputs
from assets.storage.store import Store
from edge.contracts import InputSpec, RowFiles

INPUT_NAME = "input"
MAX_RECORDS = 20_000
"""A mean needs no more pictures than this."""
MAX_DECODED_AGAIN = 2_000
"""As many, where they must be decoded for it alone."""
AT_ONCE = 256


def input_spec(
    store: Store, dataset: DatasetVersion, config: LineConfig, report: Callable[[str], None] = lambda text: None
) -> InputSpec:
    """How the line's records become tensors, with mean and standard deviation of training records.

    Of pictures per channel, over at most `MAX_RECORDS`, which are then cached for training; of tables and series per
    column, over all of them. A channel or column without spread gets 1, so that it maps to zeros. Texts have none.

    Args:
        report: told in words how far decoding is.

    Raises:
        VerificationError: a shard is missing or its bytes were changed.
        RejectedError: a record cannot be read, or a column's spread is beyond float64.
        TransientError: the disk of the picture cache is full.
    """
    data, features = config.data, config.features
    if data.image is not None:
        return _image_spec(store, dataset, config, report)
    if data.text is not None:
        size, unit = features.buckets, features.unit
        return InputSpec("text", INPUT_NAME, (features.tokens,), (), (), buckets=size, unit=unit, files=row_files(data))
    section = data.inputs
    if section is None:
        raise RejectedError(f"line {dataset.line!r}: reader {data.reader} collects data only; no model reads it yet")
    columns = section.columns
    if data.series is not None:
        values = read_readings(store, dataset, "train", len(columns), data.series.unit_ids).values
    else:
        inputs, _ = raw_inputs(store, dataset, "train")
        if any(len(row) != 8 * len(columns) for row in inputs):
            raise RejectedError(f"a stored row does not have the line's {len(columns)} columns; judge its batch again")
        values = np.frombuffer(b"".join(inputs), dtype="<f8").reshape(len(inputs), len(columns))
    mean, std = _column_statistics(values, columns)
    words, other = dict(section.categories), dict(section.other)
    files = row_files(data)
    if data.series is not None:
        shape = (features.steps, len(columns))
        return InputSpec("series", INPUT_NAME, shape, mean, std, columns, words, other=other, files=files)
    return InputSpec("table", INPUT_NAME, (len(columns),), mean, std, columns, words, other=other, files=files)


def row_files(data: DataContract) -> RowFiles | None:
    """How the line's files of rows are written, for devices; None where records are files of their own."""
    section = data.inputs or data.text
    if section is None:
        return None
    files = RowFiles(section.header, section.skip_lines, **data.cells.model_dump())
    if data.series is not None:
        return replace(files, unit=data.series.unit, time=data.series.time)
    return files if data.text is None else replace(files, text=data.text.column)


def _image_spec(store: Store, dataset: DatasetVersion, config: LineConfig, report: Callable[[str], None]) -> InputSpec:
    image = config.data.image
    assert image is not None, "asked of lines with pictures"
    shape = (image.channels, image.height, image.width)
    plain = InputSpec("image", INPUT_NAME, shape, (0.0,) * shape[0], (1.0,) * shape[0])
    stored = find_stored(store, dataset, "train")
    source = open_pictures(stored, plain, config.training.cache_gb, None, report)
    most = MAX_RECORDS if source.kept else MAX_DECODED_AGAIN
    rows = np.unique(np.linspace(0, len(stored) - 1, min(most, len(stored))).astype(np.int64))
    count = np.zeros((shape[0], 256), dtype=np.int64)
    for start in range(0, len(rows), AT_ONCE):
        pixels = source.raw(rows[start : start + AT_ONCE])
        for channel in range(shape[0]):
            count[channel] += np.bincount(pixels[:, channel].ravel(), minlength=256)
    share = count / count.sum(axis=1, keepdims=True)
    mean = (share * _LEVELS).sum(axis=1)
    std = np.sqrt((share * (_LEVELS - mean[:, None]) ** 2).sum(axis=1))
    return InputSpec("image", INPUT_NAME, shape, _floats(mean), _floats(np.where(std > 1e-12, std, 1.0)))


_LEVELS = np.arange(256) / 255
"""What a pixel's byte stands for."""


def _column_statistics(
    values: NDArray[np.float64], columns: tuple[str, ...]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    with np.errstate(over="ignore", invalid="ignore"):
        mean, std = values.mean(axis=0), values.std(axis=0)
    for column, good in zip(columns, np.isfinite(mean) & np.isfinite(std), strict=True):
        if not good:
            raise RejectedError(f"column {column!r}: values too large to normalize; scale them in the source")
    # A constant's mean is rounded, and so is off by some 1e-15 of it: that is no spread.
    spread = (values.min(axis=0) < values.max(axis=0)) & (std > 1e-12) & (std > 1e-12 * np.abs(mean))
    return _floats(mean), _floats(np.where(spread, std, 1.0))


def _floats(values: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
