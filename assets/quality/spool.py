"""A batch's records while it is judged: Arrow chunks on disk, so that more records than memory work."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

CHUNK_RECORDS = 250_000
"""A chunk has at most so many records: the suite's fixed cost is paid per chunk, its memory grows with the chunk."""
CHUNK_BYTES = 32 * 1024**2


class Spool:
    """Tables of one schema, each a file of a folder. Written once in order, then read by column, chunk or row.

    Small tables are gathered into one chunk; the last is written by `finish`.

    Attributes:
        rows: records so far.
        starts: position of each chunk's first record.
        paths: each chunk's file.
    """

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.schema = schema
        self._waiting: list[pa.Table] = []
        self._written = 0
        self.rows = 0
        self.starts: list[int] = []
        self.paths: list[Path] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for path in self.paths:
            path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self._folder.rmdir()

    @property
    def stops(self) -> list[int]:
        """Position after each chunk's last record."""
        return [*self.starts[1:], self._written][: len(self.starts)]

    def append(self, table: pa.Table) -> None:
        """Add records. Columns are cast to the spool's schema; a table of other columns is a caller's mistake."""
        for start in range(0, table.num_rows, CHUNK_RECORDS):
            part = table.slice(start, CHUNK_RECORDS).select(self.schema.names).cast(self.schema)
            rows = sum(item.num_rows for item in self._waiting)
            size = sum(item.nbytes for item in self._waiting)
            if rows + part.num_rows > CHUNK_RECORDS or size + part.nbytes > CHUNK_BYTES:
                self.finish()
            self._waiting.append(part)
            self.rows += part.num_rows

    def finish(self) -> None:
        """Write what was gathered; call it once after the last `append`."""
        if not self._waiting:
            return
        path = self._folder / f"{len(self.paths):06d}.arrow"
        table = pa.concat_tables(self._waiting).combine_chunks()
        self._waiting = []
        with pa.ipc.new_file(path, self.schema) as writer:  # not compressed: it is read again and again, then gone
            writer.write_table(table)
        self.starts.append(self._written)
        self.paths.append(path)
        self._written += table.num_rows

    def chunks(self, names: Sequence[str] | None = None) -> Iterator[tuple[int, pa.Table]]:
        """Position of the first record and the table of each chunk, with the columns `names` (all without)."""
        for start, path in zip(self.starts, self.paths, strict=True):
            yield start, read_chunk(path, names)

    def columns(self, names: Sequence[str]) -> pa.Table:
        """Whole columns, in memory."""
        parts = [table for _, table in self.chunks(names)]
        if parts:
            return pa.concat_tables(parts)
        return pa.schema([self.schema.field(name) for name in names]).empty_table()

    def column(self, name: str) -> pa.ChunkedArray:
        """One whole column, in memory."""
        return self.columns([name]).column(name)

    def take(self, rows: Sequence[int] | NDArray[np.int64], names: Sequence[str]) -> pa.Table:
        """The records at `rows`, in that order, with the columns `names`; only chunks that hold one are read."""
        wanted = np.asarray(rows, dtype=np.int64)
        order = np.argsort(wanted, kind="stable")
        ordered = wanted[order]
        parts = []
        for start, path, stop in zip(self.starts, self.paths, self.stops, strict=True):
            low, high = np.searchsorted(ordered, (start, stop))
            if high > low:
                parts.append(read_chunk(path, names).take(pa.array(ordered[low:high] - start)))
        if not parts:
            return pa.schema([self.schema.field(name) for name in names]).empty_table()
        back = np.empty(len(order), dtype=np.int64)
        back[order] = np.arange(len(order))
        return pa.concat_tables(parts).take(pa.array(back))


def read_chunk(path: Path, names: Sequence[str] | None = None) -> pa.Table:
    """One chunk's table; only the columns `names` are read from disk."""
    with pa.OSFile(str(path)) as file:
        if names is None:
            return pa.ipc.open_file(file).read_all()
        schema = pa.ipc.open_file(file).schema
        options = pa.ipc.IpcReadOptions(included_fields=[schema.get_field_index(name) for name in names])
        return pa.ipc.open_file(file, options=options).read_all().select(list(names))
