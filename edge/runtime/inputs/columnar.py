"""Rows of Parquet and Arrow files, their numbers as the text that a CSV of them holds; pyarrow reads them."""

from __future__ import annotations

import reprlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from edge.contracts import RowFiles
from edge.errors import RejectedError
from edge.runtime.inputs.written import word

ROWS_AT_ONCE = 10_000


def typed_rows(path: Path, wanted: Sequence[str], files: RowFiles) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Place and cells of every row, with the wanted columns and those that say whose a row is and when.

    Raises:
        RejectedError: pyarrow is not there, the file is damaged, or a column is missing.
    """
    try:
        import pyarrow as pa
    except ImportError:
        raise RejectedError(
            "Parquet and Arrow files need pyarrow, which is not installed here; run: pip install pyarrow, or give CSV"
        ) from None
    try:
        number = 0
        for batch in _batches(path, wanted, files):
            columns = {word(name, files): _plain(batch.column(name)) for name in batch.schema.names}
            for row in zip(*columns.values(), strict=True):
                number += 1
                yield f"row {number}", dict(zip(columns, row, strict=True))
    except (pa.ArrowException, OSError) as error:
        raise RejectedError(f"not a readable Parquet or Arrow file ({str(error)[:200]}); write it again") from error


def _batches(path: Path, wanted: Sequence[str], files: RowFiles) -> Iterator[Any]:
    import pyarrow.parquet as pq
    from pyarrow import ipc

    with path.open("rb") as file:
        magic = file.read(6)
        file.seek(0)
        if magic.startswith(b"PAR1"):
            parquet = pq.ParquetFile(file)
            names = _chosen(parquet.schema_arrow.names, wanted, files)
            yield from parquet.iter_batches(ROWS_AT_ONCE, columns=names)
            return
        if magic == b"ARROW1":
            opened: Any = ipc.open_file(file)
            batches = (opened.get_batch(at) for at in range(opened.num_record_batches))
        else:
            opened = batches = ipc.open_stream(file)
        names = _chosen(opened.schema.names, wanted, files)
        for batch in batches:
            yield batch.select(names)


def _chosen(there: Sequence[str], wanted: Sequence[str], files: RowFiles) -> list[str]:
    meant = [word(name, files) for name in there]
    if missing := [name for name in wanted if name not in meant]:
        raise RejectedError(f"column {missing[0]!r} is missing; it has {', '.join(map(reprlib.repr, there[:8]))}")
    chosen = [name for name in dict.fromkeys((*wanted, files.unit, files.time)) if name in meant]
    if twice := next((name for name in chosen if meant.count(name) > 1), None):
        raise RejectedError(f"column {twice!r} is there twice; give each column a name of its own")
    return [there[meant.index(name)] for name in chosen]


def _plain(column: Any) -> list[Any]:
    """Cells as Python values: floats of 32 and 16 bits by their shortest text, decimals as such, times as text."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_dictionary(kind):
        return _plain(column.dictionary_decode())
    if pa.types.is_float32(kind) or pa.types.is_float16(kind):
        values, gaps = column.to_numpy(zero_copy_only=False), column.is_null().to_pylist()
        return [None if null else float(str(value)) for value, null in zip(values, gaps, strict=True)]
    if pa.types.is_temporal(kind):
        return [None if value is None else str(value) for value in column.to_pylist()]
    found: list[Any] = column.to_pylist()
    return found
