"""The reader `image_folder`: pictures in `<class>/` or `<split>/<class>/`, told by their content, not by their name."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from functools import partial

from assets.errors import LandingError, RejectedError
from assets.line.data import DataContract
from assets.readers.files import Files
from assets.readers.pictures import measure_picture, picture_id_of
from assets.readers.pool import Room, in_order
from assets.records.batch import LandedFile
from assets.records.limits import MAX_IMAGE_BYTES
from assets.records.paths import declared_split, shown
from assets.records.reason import Reason, refusal
from assets.records.record import Record
from edge.runtime.preprocess import MAX_PIXELS, read_picture

LAYOUT = "put pictures in <class>/ or in train/<class>/, validation/<class>/ and test/<class>/"

_PIXELS = Room(MAX_PIXELS)
"""Pixels that are decoded at once: a folder of the largest pictures takes no more memory than one of them."""


def read_images(files: Sequence[LandedFile], source: Files, data: DataContract) -> Iterator[Record | Reason]:
    """A record for each picture, a refusal for each file that is none; decoded on all cores, given in order.

    A folder that is no class of the line still gives records: the gate quarantines them, so they can come back.

    Args:
        data: the line's contract, with its section `image`.

    Raises:
        LandingError: `source` found a fault of the landing zone, which says nothing about the data.
    """
    yield from in_order(partial(_item, source=source, data=data), files)


def record_of(
    stored: bytes, label: str, split: str, file: str, group: str, time: float | None, data: DataContract
) -> Record:
    """The record of a picture file's bytes, decoded completely.

    Args:
        label: as written; the contract's aliases are resolved here.
        time: pictures have none; it is not kept.

    Raises:
        RejectedError: no sound picture; "reason; remedy".
    """
    assert data.image is not None
    header, picture = read_picture(stored, data.image.channels, _PIXELS.reserve)
    identity = picture_id_of(picture)
    measures = measure_picture(picture)
    facts: dict[str, float | str | None] = {
        "width": float(header.width),
        "height": float(header.height),
        "mode": header.mode,
        "format": header.format,
        "brightness": float(measures.brightness[0]),
        "contrast": float(measures.contrast[0]),
        "sharpness": float(measures.sharpness[0]),
        "entropy": float(measures.entropy[0]),
    }
    return Record(
        identity,
        data.aliases.get(label, label),
        split,
        file,
        stored,
        group=group,
        facts=facts,
        embedding=measures.embedding[0],
        phash=int(measures.phash[0]),
    )


def _item(file: LandedFile, source: Files, data: DataContract) -> Record | Reason:
    try:
        split, label = folder_label(file.path)
        return record_of(source.read(file, MAX_IMAGE_BYTES), label, split, file.path, "", None, data)
    except LandingError:
        raise
    except RejectedError as error:
        return refusal(file.path, "whole file", str(error))


def folder_label(path: str) -> tuple[str, str]:
    """Split ("" where none is declared) and label that a picture's folders declare. Raises RejectedError."""
    folders = [unicodedata.normalize("NFC", part) for part in path.split("/")[:-1]]
    if len(folders) == 1:
        return "", folders[0]
    if not folders:
        raise RejectedError(f"it lies in no class folder; {LAYOUT}")
    split = declared_split(folders[0])
    if split is None or len(folders) > 2:
        raise RejectedError(f"it lies in {shown('/'.join(folders))}, which declares no class; {LAYOUT}")
    return split, folders[1]
