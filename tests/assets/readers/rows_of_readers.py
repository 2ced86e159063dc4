"""What the tests of the readers share: files in memory, and tables of records as rows."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pytest

from assets.errors import RejectedError
from assets.line.data import DataContract
from assets.readers.files import Files
from assets.records.batch import LandedFile
from assets.records.chunks import chunk_schema, to_table
from assets.records.reason import Reason
from assets.records.record import Record

Item = Record | pa.Table | Reason
SHARED = Path(__file__).parents[4] / "shared/data"

needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/data is absent: the real sets were not read")


class InMemory:
    """Files by their path."""

    def __init__(self, contents: Mapping[str, bytes]) -> None:
        self._contents = contents

    def read(self, file: LandedFile, limit: int) -> bytes:
        if file.size > limit:
            raise RejectedError(f"{file.size:,} bytes are more than {limit:,}; make the file smaller")
        return self._contents[file.path]

    def open(self, file: LandedFile) -> BinaryIO:
        return io.BytesIO(self._contents[file.path])


def read_all(
    reader: Callable[[Sequence[LandedFile], Files, DataContract], Iterator[Item]],
    contents: Mapping[str, bytes],
    data: DataContract,
) -> tuple[list[dict[str, Any]], list[Reason]]:
    """Every record as a row, in order, and every reason; tables are checked against the contract's schema."""
    files = [LandedFile(path, hashlib.sha256(raw).hexdigest(), len(raw)) for path, raw in contents.items()]
    rows: list[dict[str, Any]] = []
    reasons = []
    for item in reader(files, InMemory(contents), data):
        if isinstance(item, Reason):
            assert item.reason
            assert item.remedy
            item.reason.encode()
            reasons.append(item)
            continue
        table = to_table([item], chunk_schema(data)) if isinstance(item, Record) else item
        assert table.schema == chunk_schema(data)
        table.validate(full=True)
        rows += table.to_pylist()
    return rows, reasons
