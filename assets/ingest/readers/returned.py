"""Records that return: `*.records.parquet` files, e.g. of corrected records, become records of a new batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from assets.data import DataContract
from assets.ingest.contract import LandedFile, Record
from assets.ingest.readers.files import Files
from assets.quality.contract import Reason


def read_returned(files: Sequence[LandedFile], source: Files, data: DataContract) -> Iterator[Record | Reason]:
    """A record for each row; id and facts are computed anew from `input`, since a file may say anything."""
    raise NotImplementedError
