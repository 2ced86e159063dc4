"""A table of CSV, TSV or Parquet."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.errors import RejectedError
from assets.standalone.signature import Signature
from assets.standalone.sources.raw import MAX_BYTES, Raw, Reading, checked, expected, record_ids
from edge.contracts import InputSpec

_TARGETS = ("target", "label", "y")


def read_table(source: Path, signature: Signature, how: Reading, spec: InputSpec | None = None) -> Raw:
    """A table whose columns, in their order and without the target, are the model's one input of (records, columns)."""
    port = signature.inputs[0]
    if len(signature.inputs) > 1 or len(port.shape) != 2:
        raise RejectedError(f"{source}: a table gives one input of (records, columns); {expected(signature)}")
    table = _columns(source)
    target = how.target or next((name for name in _TARGETS if name in table), "")
    if how.target and target not in table:
        raise RejectedError(f"{source}: there is no column {target!r}; there are {_few(table)}")
    y = _labels(table.pop(target)) if target else None
    if spec is not None and spec.columns:
        if missing := [name for name in spec.columns if name not in table]:
            raise RejectedError(
                f"{source}: the model reads column {missing[0]!r}, which is missing; there are {_few(table)}"
            )
        table = {name: table[name] for name in spec.columns}
    if port.shape[1] not in (None, len(table)):
        hint = "" if target else "; name the column of labels with --target-column if there is one"
        raise RejectedError(
            f"{source}: {len(table)} columns beside the target, the model reads {port.shape[1]} ({_few(table)}){hint}"
        )
    values = [_numbers(source, name, column, spec) for name, column in table.items()]
    x = np.stack(values, axis=1) if values else np.empty((0, 0))
    if spec is not None and spec.columns:
        x = (x - np.array(spec.mean)) / np.array(spec.std)
    feeds = {port.name: checked(source, port, x.astype(port.dtype))}
    return Raw(feeds, y, None, record_ids(feeds))


def _columns(source: Path) -> dict[str, Any]:
    """Column name to a pyarrow column; sizes are looked at first."""
    import pyarrow as pa
    from pyarrow import csv, parquet

    if source.stat().st_size > MAX_BYTES // 4:
        raise RejectedError(f"{source}: larger than {MAX_BYTES // 4:,} bytes; give fewer rows")
    try:
        if source.suffix.lower() == ".parquet":
            with parquet.ParquetFile(source) as file:
                cells = file.metadata.num_rows * file.metadata.num_columns
                if cells * 8 > MAX_BYTES:
                    raise RejectedError(f"{source}: {cells:,} cells; give fewer rows")
                table = file.read()
        else:
            delimiter = "\t" if source.suffix.lower() == ".tsv" else ","
            table = csv.read_csv(source, parse_options=csv.ParseOptions(delimiter=delimiter))
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise RejectedError(f"{source}: not readable as a table ({reason}); export it again") from error
    if len(set(table.column_names)) < len(table.column_names):
        raise RejectedError(f"{source}: two columns have one name; give each its own")
    return dict(zip(table.column_names, table.columns, strict=True))


def _labels(column: Any) -> NDArray[Any]:
    import pyarrow as pa

    if column.null_count:
        raise RejectedError(f"the target column has {column.null_count:,} empty cells; leave such rows out")
    if pa.types.is_floating(column.type) or pa.types.is_integer(column.type):
        return np.asarray(column.to_numpy())
    return np.array([str(value) for value in column.to_pylist()])


def _numbers(source: Path, name: str, column: Any, spec: InputSpec | None) -> NDArray[np.float64]:
    import pyarrow as pa

    words = spec.categories.get(name) if spec is not None else None
    if words is not None:
        known = {word: float(at) for at, word in enumerate(words)}
        return np.array([known.get(str(value), math.nan) for value in column.to_pylist()])
    kinds = (pa.types.is_floating, pa.types.is_integer, pa.types.is_boolean)
    if not any(kind(column.type) for kind in kinds):
        raise RejectedError(
            f"{source}: column {name!r} holds {column.type}, the model reads numbers; encode it as in training"
        )
    if column.null_count:
        raise RejectedError(
            f"{source}: column {name!r} has {column.null_count:,} empty cells; fill them as in training"
        )
    return np.asarray(column.to_numpy(), dtype=np.float64)


def _few(names: Mapping[str, Any]) -> str:
    shown = ", ".join(list(names)[:8])
    return f"{shown}, …" if len(names) > 8 else shown or "none"
