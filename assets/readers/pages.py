"""What a Parquet file says of itself, read before anything is unpacked: its columns, rows, and pages.

The footer sums sizes up, but nothing holds it to the truth, and a page is unpacked as its own header says: so every
page's header is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from assets.errors import RejectedError
from assets.readers.thrift import CutOffError, Shape, read_struct
from assets.records.limits import MAX_COLUMNS, MAX_FOOTER_BYTES, MAX_UNPACKED_PAGE
from assets.records.paths import shown

_HEADER_BYTES = 1024
_LARGEST_HEADER = 512 * 1024
_NESTING = 32
_CHUNK: Shape = {1: None, 3: {3: None, 7: None, 9: None, 11: None}}
_FOOTER: Shape = {2: {4: None, 5: None}, 3: None, 4: {1: _CHUNK, 3: None}, 5: {1: None, 2: None}}
_PAGE: Shape = {2: None, 3: None}


@dataclass(frozen=True)
class Part:
    """The values of one column in one row group: its pages lie from `start` to `end`.

    Attributes:
        path: the column's name; of a nested one, names joined by dots.
    """

    path: str
    start: int
    end: int


@dataclass(frozen=True)
class Footer:
    """What a Parquet file holds.

    Attributes:
        rows: how many.
        names: its columns, in order.
        plain: those of them that are not nested.
        groups: the parts of each row group that has rows.
        about: what its writer noted, by name.
    """

    rows: int
    names: tuple[str, ...]
    plain: frozenset[str]
    groups: tuple[tuple[Part, ...], ...]
    about: Mapping[bytes, bytes] = field(default_factory=dict)


def read_footer(stream: BinaryIO, size: int) -> Footer:
    """The footer of a Parquet file of `size` bytes; the stream is then at its begin.

    Raises:
        RejectedError: cut off, encrypted, beyond a limit, or it makes no sense; "reason; remedy".
    """
    if size < 12:
        raise RejectedError("it is cut off; copy it again")
    stream.seek(size - 8)
    tail = stream.read(8)
    if tail[4:] == b"PARE":
        raise RejectedError("it is encrypted; write it without encryption")
    if tail[4:] != b"PAR1":
        raise RejectedError("it is cut off: a Parquet file ends with PAR1; copy it again")
    length = int.from_bytes(tail[:4], "little")
    if length > min(MAX_FOOTER_BYTES, size - 12):
        raise RejectedError(f"its footer is said to have {length:,} bytes; write it again")
    stream.seek(size - 8 - length)
    description = stream.read(length)
    stream.seek(0)
    try:
        found, _ = read_struct(description, 0, _FOOTER)
        names, plain = _columns(found[2])
        groups = tuple(tuple(_part(chunk, size) for chunk in group[1]) for group in found[4] if group[3])
        rows = int(found[3])
        about = {bytes(note[1]): bytes(note.get(2, b"")) for note in found.get(5, ())}
        counted = sum(int(group[3]) for group in found[4])
    except (CutOffError, KeyError, TypeError, IndexError, ValueError, AttributeError) as error:
        raise RejectedError("its footer makes no sense; write it again") from error
    if rows < 0 or rows != counted:
        raise RejectedError("its footer contradicts itself on the number of rows; write it again")
    return Footer(rows, names, plain, groups, about)


def check_pages(stream: BinaryIO, footer: Footer, names: Sequence[str] | None = None) -> int:
    """Read the header of every page of the plain columns `names`, or of all columns.

    Returns:
        Bytes that the pages of a row group unpack to, of the largest group.

    Raises:
        RejectedError: a page unpacks to more than `MAX_UNPACKED_PAGE`, or its header makes no sense.
    """
    wanted = None if names is None else set(names)
    largest = 0
    for group in footer.groups:
        parts = [part for part in group if wanted is None or part.path in wanted]
        largest = max(largest, sum(_unpacked(stream, part) for part in parts))
    return largest


def _unpacked(stream: BinaryIO, part: Part) -> int:
    at, total = part.start, 0
    while at < part.end:
        unpacked, packed, used = _header(stream, at)
        if unpacked > MAX_UNPACKED_PAGE:
            raise RejectedError(
                f"a page unpacks to {unpacked:,} bytes, at most {MAX_UNPACKED_PAGE:,} are; write it with smaller pages"
            )
        if unpacked < 0 or packed < 0:
            raise RejectedError("a page is said to have fewer than no bytes; write it again")
        at += used + packed
        total += unpacked
    return total


def _columns(elements: Sequence[Any]) -> tuple[tuple[str, ...], frozenset[str]]:
    """Names of the columns, and of those that are not nested; the schema is a tree, written from its root on."""
    if len(elements) > 4 * MAX_COLUMNS:
        raise RejectedError(f"its schema has {len(elements):,} parts; leave some out")
    names, plain = [], set()
    open_children = [int(elements[0].get(5, 0))]
    for element in elements[1:]:
        while open_children and open_children[-1] <= 0:
            open_children.pop()
        if not open_children or len(open_children) > _NESTING:
            raise RejectedError(f"its columns are nested more than {_NESTING} deep; write plain columns")
        open_children[-1] -= 1
        children = int(element.get(5, 0))
        if len(open_children) == 1:
            names.append(element[4].decode())
            if not children:
                plain.add(names[-1])
        if children > 0:
            open_children.append(children)
    return tuple(names), frozenset(plain)


def _part(chunk: Any, size: int) -> Part:
    if 1 in chunk:
        raise RejectedError("its columns lie in other files; write it as one file")
    meta = chunk[3]
    path = ".".join(part.decode() for part in meta[3])
    start = meta[9] if not 0 < meta.get(11, 0) < meta[9] else meta[11]  # where Arrow begins to read
    end = start + meta[7]
    if not 4 <= start <= end <= size:
        raise RejectedError(f"its column {shown(path)} is said to lie outside the file; copy it again")
    return Part(path, start, end)


def _header(stream: BinaryIO, at: int) -> tuple[int, int, int]:
    """A page's unpacked and packed size, and the size of its header."""
    size = _HEADER_BYTES
    while True:
        stream.seek(at)
        data = stream.read(size)
        try:
            fields, used = read_struct(data, 0, _PAGE)
        except CutOffError:
            if len(data) < size or size >= _LARGEST_HEADER:
                raise RejectedError("it is cut off within a page's header; copy it again") from None
            size *= 8
            continue
        sizes = fields.get(2), fields.get(3)
        if not all(isinstance(one, int) for one in sizes):
            raise RejectedError("a page's header does not say its size; write it again")
        return int(fields[2]), int(fields[3]), used
