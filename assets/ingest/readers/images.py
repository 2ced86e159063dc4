"""The reader `image_folder`: pictures in `<class>/` or `<split>/<class>/`, told by their content, not by their name."""

from __future__ import annotations

import hashlib
import math
import unicodedata
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from assets.data import DataContract
from assets.errors import LandingError, RejectedError
from assets.ingest.contract import LandedFile, Record
from assets.ingest.limits import MAX_IMAGE_BYTES
from assets.ingest.names import declared_split, shown
from assets.ingest.readers.files import Files
from assets.ingest.refusals import refusal
from assets.quality.contract import Reason
from edge.runtime.preprocess import decode_image

_BLOCK = 2**20
LAYOUT = "put pictures in <class>/ or in train/<class>/, validation/<class>/ and test/<class>/"


def read_images(files: Sequence[LandedFile], source: Files, data: DataContract) -> Iterator[Record | Reason]:
    """A record for each picture, a refusal for each file that is none.

    A folder that is no class of the line still gives records: the gate quarantines them, so they can come back.

    Args:
        data: the line's contract, with its section `image`.

    Raises:
        LandingError: `source` found a fault of the landing zone, which says nothing about the data.
    """
    assert data.image is not None
    for file in files:
        try:
            split, label = _place(file.path)
            content = source.read(file, MAX_IMAGE_BYTES)
            pixels = decode_image(content, data.image.channels)
        except LandingError:
            raise
        except RejectedError as error:
            yield refusal(file.path, "whole file", str(error))
            continue
        yield Record(picture_id(pixels), label, split, file.path, content, facts=_facts(pixels))


def picture_id(pixels: NDArray[np.uint8]) -> str:
    """SHA-256 (hex) of (height, width, channels) uint8 pixels with their shape: re-encoding keeps it."""
    shape = "x".join(map(str, pixels.shape))
    return hashlib.sha256(shape.encode() + b"\0" + np.ascontiguousarray(pixels).tobytes()).hexdigest()


def _place(path: str) -> tuple[str, str]:
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


def _facts(pixels: NDArray[np.uint8]) -> dict[str, float | str | None]:
    """Width, height, mean and standard deviation; counted in blocks, since float64 copies take 8 times the memory."""
    height, width = pixels.shape[:2]
    flat, counts = pixels.reshape(-1), np.zeros(256, dtype=np.int64)
    for start in range(0, flat.size, _BLOCK):
        counts += np.bincount(flat[start : start + _BLOCK], minlength=256)
    values = np.arange(256, dtype=np.float64)
    mean = float(counts @ values) / flat.size
    variance = float(counts @ (values - mean) ** 2) / flat.size
    return {"width": width, "height": height, "mean": mean, "std": math.sqrt(variance)}
