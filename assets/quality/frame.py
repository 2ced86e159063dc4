"""The gate's table: one row per record, with everything the suite asks about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from assets.ingest.contract import Record
from assets.line import DataContract


def input_column(index: int) -> str:
    """The frame's name of a table's input column: by position, so that no name in a contract can clash with ours."""
    return f"input_{index}"


def build_frame(records: Sequence[Record], data: DataContract, known: Mapping[str, str]) -> pd.DataFrame:
    """One row per record, index 0, 1, 2, ….

    Args:
        known: id to label of those records that earlier batches of the line had accepted.

    Returns:
        Columns id, label (None where missing), split; labels_of_id: how many of the line's classes this batch gives the
        record's id; known_label: None where the id is new. For pictures width, height, smaller_side, aspect
        (float64, pixels), mean and std (float64, 0 to 255); for tables `input_column(i)` (float64, NaN where
        the cell is not a finite number; the record's notes say why).
    """
    frame = pd.DataFrame(
        {
            "id": pd.Series([record.id for record in records], dtype=object),
            "label": pd.Series([record.label or None for record in records], dtype=object),
            "split": pd.Series([record.split for record in records], dtype=object),
            "known_label": pd.Series([known.get(record.id) for record in records], dtype=object),
        }
    )
    sound = frame[frame["label"].isin(data.classes)]
    labels = sound.groupby("id")["label"].nunique()
    frame["labels_of_id"] = frame["id"].map(labels).fillna(1).astype(int)
    if data.image is not None:
        for fact in ("width", "height", "mean", "std"):
            frame[fact] = np.array([record.facts[fact] for record in records], dtype=np.float64)
        sides = frame[["width", "height"]]
        frame["smaller_side"] = sides.min(axis=1)
        frame["aspect"] = sides.max(axis=1) / sides.min(axis=1)
        return frame
    assert data.table is not None
    width = len(data.table.columns)
    values = np.frombuffer(b"".join(record.input for record in records), dtype="<f8").reshape(len(records), width)
    finite = np.where(np.isfinite(values), values, np.nan)
    inputs = pd.DataFrame(finite, columns=[input_column(index) for index in range(width)])
    return pd.concat([frame, inputs], axis=1)
