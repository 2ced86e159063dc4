"""Finds a line's reader, and what makes a record of stored bytes.

A reader is a pure function of a batch's files; what it cannot read becomes a `Reason`. Only a file that is not the one
that landed raises: that is a fault of the landing zone, and no verdict on the data may come of it.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol, cast

from assets.line.data import DataContract
from assets.line.readers import READERS
from assets.readers.files import Files
from assets.records.batch import LandedFile
from assets.records.reason import Reason
from assets.records.record import Record

if TYPE_CHECKING:
    import pyarrow as pa


class ReadFiles(Protocol):
    """Reads the files of a batch in their order; records come one by one, or as tables of `chunk_schema`.

    A LandingError of `source` goes through; any other refusal becomes a `Reason`.
    """

    def __call__(
        self, files: Sequence[LandedFile], source: Files, data: DataContract
    ) -> Iterator[Record | pa.Table | Reason]: ...


class RecordMaker(Protocol):
    """Makes a record of its stored bytes: id, facts and the like are computed anew. Raises RejectedError."""

    def __call__(
        self,
        stored: bytes,
        label: str,
        split: str,
        file: str,
        group: str,
        time: float | None,
        data: DataContract,
        /,
    ) -> Record: ...


_MAKERS = {"image": "images", "table": "tables", "series": "series", "text": "text", "audio": "audio"}
"""Section of the contract to the module whose `record_of` makes its records, whichever reader they came by."""


def reader_of(name: str) -> ReadFiles:
    """The reader that a data contract names in `reader`."""
    module, _, function = READERS[name].function.partition(":")
    return cast(ReadFiles, getattr(importlib.import_module(f"assets.readers.{module}"), function))


def record_maker(data: DataContract) -> RecordMaker:
    """`record_of` of the kind of records that a data contract describes."""
    module = importlib.import_module(f"assets.readers.{_MAKERS[READERS[data.reader].section]}")
    return cast(RecordMaker, module.record_of)


def make_record(
    data: DataContract, stored: bytes, label: str, split: str, file: str, group: str, time: float | None
) -> Record:
    """The record that stored bytes (see `Record.input`) are, its id and facts made anew.

    Raises:
        RejectedError: they are no such input; "reason; remedy".
    """
    return record_maker(data)(stored, label, split, file, group, time, data)
