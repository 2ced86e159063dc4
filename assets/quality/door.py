"""The last look before records are stored: what the gate let through is what a model can be trained on.

The rules have judged every record already. This asks the stored values themselves once more, so that a rule which looks
at the wrong thing ends the judging instead of the line: nothing of the batch is stored, and there is no verdict.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from assets.errors import RejectedError
from assets.line.data import DataContract


def refuse_unsound(accepted: pa.Table, data: DataContract) -> None:
    """Raise RejectedError where an accepted record of a chunk (of `chunk_schema`) is none of the contract.

    A row or reading has one finite number for each input column, the one that the rules were asked about; a label is a
    class, or a finite number; a reading has a unit and a time.
    """
    found = {"its label": _no_label(accepted.column("_label"), data)}
    if data.inputs is not None:
        found["its input"] = _no_input(accepted, data.inputs.columns, data.inputs.categories)
    if data.series is not None:
        found["its unit"] = pc.equal(pc.fill_null(accepted.column("_group"), ""), "")
        found["its time"] = pc.invert(pc.is_finite(pc.fill_null(accepted.column("_time"), np.nan)))
    for what, wrong in found.items():
        if rows := np.flatnonzero(np.asarray(wrong)).tolist():
            file = accepted.column("_file")[rows[0]].as_py()
            raise RejectedError(
                f"{file}: {what} is not what the line's contract allows, though every rule let it through "
                f"({len(rows):,} records): this is a fault of the gate, nothing was stored; please report it"
            )


def _no_label(labels: pa.ChunkedArray, data: DataContract) -> pa.ChunkedArray:
    if data.classes:
        return pc.invert(pc.is_in(labels, value_set=pa.array(data.classes, pa.string())))
    try:
        return pc.invert(pc.is_finite(pc.fill_null(labels.cast(pa.float64()), np.nan)))
    except pa.ArrowInvalid:
        return pa.chunked_array([pa.array([_no_number(label) for label in labels.to_pylist()])])


def _no_number(label: str | None) -> bool:
    try:
        return not np.isfinite(float(label or "nan"))
    except ValueError:
        return True


def _no_input(
    accepted: pa.Table, columns: Sequence[str], categories: Mapping[str, tuple[str, ...]]
) -> NDArray[np.bool_]:
    """Rows whose stored values are not finite, or others than the judged ones."""
    stored = accepted.column("_input")
    odd: NDArray[np.bool_] = np.asarray(pc.fill_null(pc.binary_length(stored), -1)) != 8 * len(columns)
    if odd.any():
        return odd
    values = np.frombuffer(b"".join(stored.to_pylist()), dtype="<f8").reshape(-1, len(columns))
    odd = ~np.isfinite(values).all(axis=1)
    for at, name in enumerate(columns):
        judged = accepted.column(name)
        if name in categories:
            judged = pc.index_in(judged, value_set=pa.array(categories[name], pa.string()))
        odd |= np.asarray(pc.fill_null(judged.cast(pa.float64()), np.nan)) != values[:, at]
    return odd
