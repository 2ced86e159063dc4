"""The gate's table as the suite sees it: a pandas frame per chunk, with no more columns than are asked about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from assets.line.data import DataContract
from assets.quality.columns import ASPECT, Sparse, visible_columns


def frame_of(
    table: pa.Table, derived: Mapping[str, Sparse], start: int, names: Iterable[str], data: DataContract
) -> pd.DataFrame:
    """One chunk as a frame with index 0, 1, 2, ….

    Args:
        table: the chunk, with at least the columns behind `names`.
        derived: columns of the whole batch that computed checks added.
        start: position of the chunk's first record in the batch.
        names: columns to build: visible ones, own ones (`_label`) and derived ones.

    Returns:
        float64 for numbers (NaN without a value), categorical text for labels and splits, text else; None where a text
        is missing or empty. A label that is a number to predict is float64.
    """
    visible, rows = visible_columns(data), table.num_rows
    columns: dict[str, Any] = {}
    for name in names:
        if name in derived:
            columns[name] = derived[name].dense(start, start + rows)
            continue
        if name == ASPECT:
            width, height = (table.column(side).to_numpy() for side in ("width", "height"))
            columns[name] = np.maximum(width, height) / np.maximum(np.minimum(width, height), 1)
            continue
        source = visible.get(name, name)
        if source in table.column_names:  # else it is left out, and the expectation itself says that it is missing
            columns[name] = _values(table.column(source), source, data)
    return pd.DataFrame(columns, index=pd.RangeIndex(rows))


def _values(column: pa.ChunkedArray, source: str, data: DataContract) -> Any:
    if not pa.types.is_string(column.type):
        return column.to_numpy()
    column = pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)
    if source == "_label" and data.regression:
        return _numbers(column)
    if source in {"_label", "_split"}:
        return column.dictionary_encode().to_pandas()
    return pd.Series(column.to_numpy(zero_copy_only=False), dtype=object)


def _numbers(texts: pa.ChunkedArray) -> NDArray[np.float64]:
    """Texts that are numbers as float64, NaN for the others."""
    values = pd.to_numeric(pd.Series(texts.to_numpy(zero_copy_only=False), dtype=object), errors="coerce")
    return np.asarray(values.to_numpy(dtype=np.float64, na_value=np.nan))
