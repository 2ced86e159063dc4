"""The reader `idx`: files as MNIST and Fashion-MNIST come in, packed by gzip or not.

Pictures and labels are two files that belong together by name: `<stem>-images-idx3-ubyte` and
`<stem>-labels-idx1-ubyte` (a dot may stand for each hyphen, `.gz` may follow). A pair is read whole or not at all:
magic numbers, dimensions and lengths are checked before the first record, packed files by unpacking them to nowhere.
Labels are positions in the line's classes. A stem `train` gives train records, `t10k` or `test` test records, `val` and
the like validation records; a folder of such a name does the same.
"""

from __future__ import annotations

import gzip
import math
import re
import struct
import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from assets.errors import LandingError, RejectedError
from assets.line.data import DataContract
from assets.readers.files import Files
from assets.readers.picture_arrays import block_size, blocks, label_names, read_exactly, stack_table
from assets.records.batch import LandedFile
from assets.records.limits import FREE_BYTES, MAX_BLOCK_BYTES, MAX_RATIO
from assets.records.paths import declared_split, shown
from assets.records.reason import Reason, refusal
from edge.runtime.preprocess import MAX_PIXELS

NAMES = "<stem>-images-idx3-ubyte and <stem>-labels-idx1-ubyte"

IDX_NAME = re.compile(
    r"(?:(?P<stem>.*)[-._])?(?P<kind>images|labels)(?P<rest>[-._].*)?[-._]idx\d?[-._]ubyte(?:\.gz)?", re.I
)
_READ = 1024**2
_LABELS, _GREY, _COLOUR = 0x801, 0x803, 0x804  # magic numbers; the last digit counts the dimensions
_OF_LABELS, _OF_PICTURES = {_LABELS: 1}, {_GREY: 3, _COLOUR: 4}


@dataclass(frozen=True)
class _Header:
    """Where the values begin, and their dimensions."""

    start: int
    shape: tuple[int, ...]


def read_idx(files: Sequence[LandedFile], source: Files, data: DataContract) -> Iterator[pa.Table | Reason]:
    """A record for each picture of each pair that is whole, a refusal for each file that is not part of one.

    Args:
        data: the line's contract, with its section `image`.

    Raises:
        LandingError: `source` found a fault of the landing zone, which says nothing about the data.
    """
    pairs, alone, refused = _pairs(files)
    yield from refused
    for file, missing in alone:
        yield refusal(file.path, "whole file", _why_alone(file, missing, source))
    for images, labels in pairs:
        broken, whole = labels, images
        try:
            numbers = _numbers(labels, source)
            broken, whole = images, labels
            yield from _pictures(images, labels, numbers, source, data)
        except LandingError:
            raise
        except RejectedError as error:
            yield refusal(broken.path, "whole file", str(error))
            yield refusal(whole.path, "whole file", f"{shown(broken.path)}, to which it belongs, is refused: {error}")


def _pairs(
    files: Sequence[LandedFile],
) -> tuple[list[tuple[LandedFile, LandedFile]], list[tuple[LandedFile, str]], list[Reason]]:
    """Pictures with their labels, in order; files without a partner, with what that would be; refusals by name."""
    found: dict[tuple[str, ...], dict[str, LandedFile]] = defaultdict(dict)
    refused = []
    for file in files:
        folder, _, name = file.path.rpartition("/")
        match = IDX_NAME.fullmatch(name)
        if match is None:
            refused.append(refusal(file.path, "its name", f"not an idx file by its name; name such files {NAMES}"))
            continue
        stem, kind, rest = (match[part] or "" for part in ("stem", "kind", "rest"))
        key = (folder, stem.lower(), rest.lower())
        if (other := found[key].setdefault(kind.lower(), file)) is not file:
            text = f"it has the same part as {shown(other.path)}; leave one of them out"
            refused.append(refusal(file.path, "its name", text))
    _join_left_over(found)
    pairs, alone = [], []
    for parts in found.values():
        if len(parts) == 2:
            pairs.append((parts["images"], parts["labels"]))
        elif parts:
            ((kind, file),) = parts.items()
            alone.append((file, "labels" if kind == "images" else "images"))
    return pairs, alone, refused


def _why_alone(file: LandedFile, missing: str, source: Files) -> str:
    """What is wrong with a file without partner: what it holds, if that is broken, else that it is alone."""
    try:
        with _opened(file, source) as stream:
            _checked(stream, file, _OF_PICTURES if missing == "labels" else _OF_LABELS)
    except LandingError:
        raise
    except RejectedError as error:
        return str(error)
    return f"its {missing} are missing; land {NAMES} together, with the same stem"


def _join_left_over(found: dict[tuple[str, ...], dict[str, LandedFile]]) -> None:
    """One file of pictures and one of labels, all others of the folder paired: a pair, unless their splits differ."""
    left_over = defaultdict(list)
    for key, parts in found.items():
        if len(parts) == 1:
            left_over[key[0]].append(key)
    for keys in left_over.values():
        splits = {_stem_split(key[1]) for key in keys} - {""}
        if len(keys) == 2 and len(splits) < 2 and found[keys[0]].keys() != found[keys[1]].keys():
            found[keys[0]].update(found.pop(keys[1]))


def _stem_split(stem: str) -> str:
    word = re.split(r"[-._]", stem)[0]
    return "test" if word == "t10k" else declared_split(word) or ""


def _split(path: str) -> str:
    name = path.rpartition("/")[2].lower()
    folders = path.split("/")[:-1]
    return _stem_split(name) or next((split for folder in folders if (split := declared_split(folder))), "")


def _numbers(labels: LandedFile, source: Files) -> NDArray[np.int64]:
    """(n,) labels as they are in the file."""
    with _opened(labels, source) as stream:
        (count,) = _checked(stream, labels, _OF_LABELS).shape
        return np.frombuffer(read_exactly(stream, count), dtype=np.uint8).astype(np.int64)


def _pictures(
    images: LandedFile, labels: LandedFile, numbers: NDArray[np.int64], source: Files, data: DataContract
) -> Iterator[pa.Table]:
    names = label_names(numbers, data.classes)
    with _opened(images, source) as stream:
        header = _checked(stream, images, _OF_PICTURES)
        count = header.shape[0]
        if count != len(names):
            raise RejectedError(
                f"it has {count:,} pictures, but {shown(labels.path)} has {len(names):,} labels; land files that "
                "belong together"
            )
        height, width, channels = (*header.shape[1:], 1)[:3]
        for start, stop in blocks(count, block_size(height, width, channels)):
            content = read_exactly(stream, (stop - start) * height * width * channels)
            pixels = np.frombuffer(content, dtype=np.uint8).reshape(-1, height, width, channels)
            yield stack_table(pixels, names[start:stop], images.path, start, _split(images.path), data)


@contextmanager
def _opened(file: LandedFile, source: Files) -> Iterator[BinaryIO]:
    """The file's values, unpacked where its content is gzip. Its name has no say in it."""
    if file.size > MAX_BLOCK_BYTES:
        raise RejectedError(f"{file.size:,} bytes are more than {MAX_BLOCK_BYTES:,}; split the file")
    with source.open(file) as raw:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        try:
            if not packed:
                yield raw
                return
            with gzip.GzipFile(fileobj=raw) as stream:
                yield cast(BinaryIO, stream)
        except (OSError, EOFError, zlib.error) as error:
            raise RejectedError(f"it cannot be unpacked ({error}); copy it again") from error


def _checked(stream: BinaryIO, file: LandedFile, kinds: dict[int, int]) -> _Header:
    """The header, once the file was seen to hold exactly what it declares; the stream is then at the first value."""
    wanted = " or ".join(f"0x{magic:08x}" for magic in kinds)
    first = stream.read(4)
    if len(first) < 4:
        raise RejectedError(f"it has {len(first)} bytes, too few for an idx header; copy it again")
    (magic,) = struct.unpack(">I", first)
    if magic not in kinds:
        other = f"its magic number is 0x{magic:08x}, expected {wanted}"
        if magic in {**_OF_LABELS, **_OF_PICTURES}:
            holds = "labels" if magic in _OF_LABELS else "pictures"
            raise RejectedError(f"{other}: it holds {holds}; the two files of the pair may be swapped: rename them")
        if magic >> 16 == 0x1F8B:
            raise RejectedError(f"{other}: it is packed by gzip more than once; unpack it once more")
        raise RejectedError(f"{other}; export it as idx of bytes")
    rest = stream.read(4 * kinds[magic])
    if len(rest) < 4 * kinds[magic]:
        raise RejectedError(f"its header ends after {4 + len(rest)} bytes; copy it again")
    shape = struct.unpack(f">{kinds[magic]}I", rest)
    start, expected = 4 + len(rest), math.prod(shape)
    _check_shape(magic, shape, wanted)
    allowed = min(MAX_BLOCK_BYTES, FREE_BYTES + MAX_RATIO * file.size)
    if start + expected > allowed:
        raise RejectedError(
            f"it declares {_times(shape)} = {expected:,} bytes, at most {allowed:,} are read from a file of its size; "
            "split the file"
        )
    found, end = start, start + expected
    while found <= end and (block := stream.read(min(_READ, end + 1 - found))):
        found += len(block)
    if found != end:
        more = "more" if found > end else f"{found - start:,}"
        raise RejectedError(f"it declares {_times(shape)} = {expected:,} values, but holds {more}; copy it again")
    stream.seek(start)
    return _Header(start, shape)


def _check_shape(magic: int, shape: tuple[int, ...], wanted: str) -> None:
    if magic == _COLOUR and shape[3] != 3:
        raise RejectedError(
            f"its magic number is 0x{magic:08x} (4 dimensions, found {_times(shape)}), expected {wanted}, the latter "
            "with 3 colours last; export it as pictures x height x width"
        )
    if 0 in shape:
        raise RejectedError(f"it declares {_times(shape)} values, that is none; export it again")
    if len(shape) > 1 and shape[1] * shape[2] > MAX_PIXELS:
        raise RejectedError(f"pictures of {_times(shape[1:])} are more than {MAX_PIXELS:,} pixels; scale them down")


def _times(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))
