"""The reader `cifar10`: its python layout (pickles, of which nothing is run) and its binary layout.

`data_batch_*` gives train records, `test_batch` test records. Labels are positions in the line's classes; where a
`batches.meta` beside them lists the same classes in another order, that order holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from assets.errors import LandingError, RejectedError
from assets.line.data import DataContract
from assets.readers.files import Files
from assets.readers.opcodes import read_pickled
from assets.readers.picture_arrays import block_size, blocks, label_names, read_exactly, stack_table
from assets.records.batch import LandedFile
from assets.records.reason import Reason, refusal

MAX_PICKLE_BYTES = 256 * 1024**2
"""Bytes of one file of the python layout: it is read whole. 10,000 pictures take 31 MB."""

CIFAR_NAME = re.compile(r"(data_batch(?:_\w+)?|test_batch)(\.bin)?", re.IGNORECASE)
CIFAR_META = re.compile(r"batches\.meta(\.txt)?", re.IGNORECASE)
_README = re.compile(r"readme\.html", re.IGNORECASE)
_SIDE, _VALUES = 32, 3 * 32 * 32
_META_BYTES = 1024**2
_BLOCK = block_size(_SIDE, _SIDE, 3)


def read_cifar(files: Sequence[LandedFile], source: Files, data: DataContract) -> Iterator[pa.Table | Reason]:
    """A record for each picture of each file that is whole, a refusal for each other file.

    Args:
        data: the line's contract, with its section `image`.

    Raises:
        LandingError: `source` found a fault of the landing zone, which says nothing about the data.
    """
    meta = [file for file in files if CIFAR_META.fullmatch(_base(file))]
    classes: Sequence[str] = data.classes
    for file in meta:
        try:
            names = class_names(source.read(file, _META_BYTES), file)
        except LandingError:
            raise
        except RejectedError as error:
            yield refusal(file.path, "whole file", str(error))
            continue
        yield Reason(file.path, "whole file", "ignored", "it lists the classes, it holds no records", "nothing to do")
        if sorted(names) == sorted(data.classes):
            classes = names
    for file in files:
        if _README.fullmatch(_base(file)):
            yield Reason(file.path, "its name", "ignored", "a page about the data, no records", "nothing to do")
        elif file not in meta:
            yield from _file(file, source, data, classes)


def _file(file: LandedFile, source: Files, data: DataContract, classes: Sequence[str]) -> Iterator[pa.Table | Reason]:
    try:
        match = CIFAR_NAME.fullmatch(_base(file))
        if match is None:
            raise RejectedError("not a CIFAR-10 file by its name; name such files data_batch_1 and test_batch (.bin)")
        split = "test" if match[1].lower() == "test_batch" else "train"
        parts = _binary(file, source) if match[2] else _python(file, source)
        for first, pixels, numbers in parts:
            yield stack_table(pixels, label_names(numbers, classes), file.path, first, split, data)
    except LandingError:
        raise
    except RejectedError as error:
        yield refusal(file.path, "whole file", str(error))


_Part = tuple[int, NDArray[np.uint8], NDArray[np.int64]]
"""Position of the first picture, (n, 32, 32, 3) pixels, (n,) labels."""


def _binary(file: LandedFile, source: Files) -> Iterator[_Part]:
    with source.open(file) as stream:
        size = stream.seek(0, 2)  # of a sealed file, not the one that landed
        count, over = divmod(size, 1 + _VALUES)
        if over or not count:
            raise RejectedError(
                f"{size:,} bytes are {count:,} records of {1 + _VALUES:,} bytes and {over:,} more, expected a whole "
                "number of records; copy it again"
            )
        stream.seek(0)
        for start, stop in blocks(count, _BLOCK):
            content = read_exactly(stream, (stop - start) * (1 + _VALUES))
            rows = np.frombuffer(content, dtype=np.uint8).reshape(stop - start, 1 + _VALUES)
            yield start, _pixels(rows[:, 1:]), rows[:, 0].astype(np.int64)


def _python(file: LandedFile, source: Files) -> Iterator[_Part]:
    found = read_pickled(source.read(file, MAX_PICKLE_BYTES))
    rows, labels = found.get("data"), found.get("labels")
    if not isinstance(rows, np.ndarray) or rows.dtype != np.uint8:
        raise RejectedError("it has no array of bytes under 'data'; land the original files")
    if rows.ndim != 2 or rows.shape[1] != _VALUES:
        shape = "x".join(map(str, rows.shape))
        raise RejectedError(
            f"its pictures are {shape} bytes, expected rows of {_VALUES:,} (3 x 32 x 32); copy it again"
        )
    numbers = _numbers(labels)
    if len(numbers) != len(rows):
        raise RejectedError(f"it has {len(rows):,} pictures, but {len(numbers):,} labels; copy it again")
    if not len(rows):
        raise RejectedError("it holds no pictures; copy it again")
    for start, stop in blocks(len(rows), _BLOCK):
        yield start, _pixels(rows[start:stop]), numbers[start:stop]


def _numbers(labels: Any) -> NDArray[np.int64]:
    if isinstance(labels, np.ndarray) and labels.ndim == 1 and labels.dtype != np.uint64:
        return labels.astype(np.int64)
    whole = isinstance(labels, list) and all(type(label) is int and abs(label) < 2**62 for label in labels)
    if not whole:
        raise RejectedError("it has no list of whole numbers under 'labels'; land the original files")
    return np.asarray(labels, dtype=np.int64)


def _pixels(rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(n, 3072), red before green before blue, to (n, 32, 32, 3)."""
    return np.ascontiguousarray(rows.reshape(-1, 3, _SIDE, _SIDE).transpose(0, 2, 3, 1))


def class_names(content: bytes, file: LandedFile) -> list[str]:
    """What `batches.meta` lists. Raises RejectedError."""
    if _base(file).lower().endswith(".txt"):
        return content.decode("utf-8", "replace").split()
    names = read_pickled(content).get("label_names")
    if not isinstance(names, list):
        raise RejectedError("it has no list under 'label_names'; land the original files")
    return [name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)[:200] for name in names]


def _base(file: LandedFile) -> str:
    return file.path.rpartition("/")[2]
