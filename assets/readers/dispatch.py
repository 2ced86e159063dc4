"""Hands each file of a batch to what reads it: the line's reader, or the one of records that return."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from assets.line.data import DataContract
from assets.readers.files import Files
from assets.readers.registry import reader_of
from assets.records.batch import BatchManifest, LandedFile
from assets.records.carry_over import Forms
from assets.records.limits import RETURNED_SUFFIX
from assets.records.paths import system_part, why_system
from assets.records.reason import Reason, refusal
from assets.records.record import Record

if TYPE_CHECKING:
    import pyarrow as pa

_ARCHIVES = (".zip", ".tar", ".tgz", ".tbz", ".tbz2", ".txz", ".tar.gz", ".tar.bz2", ".tar.xz")


def read_files(
    files: Sequence[LandedFile], source: Files, data: DataContract, forms: Forms = MappingProxyType({})
) -> Iterator[Record | pa.Table | Reason]:
    """Everything that lies in a batch: a system's own files ignored, then the data, then records that return.

    Args:
        forms: how each generation's inputs are stored, for records that returned in an earlier one.
    """
    own, returned = [], []
    for file in files:
        if (part := system_part(file.path)) is not None:
            yield Reason(file.path, "its name", "ignored", why_system(part), "nothing to do")
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

        yield from read_returned(returned, source, data, forms)


def read_batch(
    manifest: BatchManifest, source: Files, data: DataContract, forms: Forms = MappingProxyType({})
) -> Iterator[Record | pa.Table | Reason]:
    """Everything that a manifest says: what was left out of the batch, then what lies in it."""
    for thing in manifest.left_out:
        yield Reason(thing.path, "whole file", "refused", thing.reason, thing.remedy)
    yield from read_files(manifest.files, source, data, forms)
