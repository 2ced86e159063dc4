"""From a landed batch to records: opens the batch, checks each file against its manifest, and hands it to its reader.

A reader is a pure function of a batch's files; what it cannot read becomes a `Reason`. Only a file that is not the one
that landed raises: that is a fault of the landing zone, and no verdict on the data may come of it.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, cast

from assets.line.data import SECTIONS, DataContract
from assets.readers.files import BatchFiles, Files
from assets.records.batch import BatchManifest, LandedFile
from assets.records.limits import RETURNED_SUFFIX
from assets.records.paths import system_part
from assets.records.reason import Reason, refusal
from assets.records.record import Record

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["READERS", "BatchFiles", "Files", "read_files", "read_items", "reader_of", "record_maker"]


class Reader(Protocol):
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


READERS: Mapping[str, tuple[str, str]] = {
    "image_folder": ("images", "read_images"),
    "idx": ("idx", "read_idx"),
    "cifar10": ("cifar", "read_cifar"),
    "table": ("tables", "read_tables"),
    "series": ("series", "read_series"),
    "text": ("text", "read_texts"),
    "audio_folder": ("audio", "read_audio"),
}
"""`data.reader` to the module of this package and its function; imported when it is needed."""

_ARCHIVES = (".zip", ".tar", ".tgz", ".tbz", ".tbz2", ".txz", ".tar.gz", ".tar.bz2", ".tar.xz")
_MAKERS = {"image": "images", "table": "tables", "series": "series", "text": "text", "audio": "audio"}


def reader_of(name: str) -> Reader:
    """The reader that a data contract names in `reader`."""
    module, function = READERS[name]
    return cast(Reader, getattr(importlib.import_module(f"{__name__}.{module}"), function))


def record_maker(data: DataContract) -> RecordMaker:
    """`record_of` of the kind of records that a data contract describes."""
    module = importlib.import_module(f"{__name__}.{_MAKERS[SECTIONS[data.reader]]}")
    return cast(RecordMaker, module.record_of)


def read_files(files: Sequence[LandedFile], source: Files, data: DataContract) -> Iterator[Record | pa.Table | Reason]:
    """Everything that lies in a batch: a system's own files ignored, then the data, then records that return."""
    own, returned = [], []
    for file in files:
        if (part := system_part(file.path)) is not None:
            yield Reason(file.path, "its name", "ignored", f"{part} is a system's own file, not data", "nothing to do")
        elif file.path.lower().endswith(RETURNED_SUFFIX):
            returned.append(file)
        elif file.path.lower().endswith(_ARCHIVES):
            what = "it is an archive inside a batch that another tool declared; they are unpacked when they land"
            yield refusal(file.path, "whole file", f"{what}; land it with `edgeloop land`, or put it into the inbox")
        else:
            own.append(file)
    if own:
        yield from reader_of(data.reader)(own, source, data)
    if returned:
        from assets.readers.returned import read_returned

        yield from read_returned(returned, source, data)


def read_items(manifest: BatchManifest, source: Files, data: DataContract) -> Iterator[Record | pa.Table | Reason]:
    for thing in manifest.left_out:
        yield Reason(thing.path, "whole file", "refused", thing.reason, thing.remedy)
    yield from read_files(manifest.files, source, data)
