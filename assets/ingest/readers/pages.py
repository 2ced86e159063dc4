"""What the pages of a Parquet file unpack to, read from their headers before any page is unpacked.

The footer sums sizes up, but nothing holds it to the truth, and a page is unpacked as its own header says. Headers are
written in Thrift's compact protocol, of which this reads what a page header may hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, BinaryIO

from assets.errors import RejectedError
from assets.ingest.limits import MAX_UNPACKED_PAGE

_HEADER_BYTES = 1024
_LARGEST_HEADER = 512 * 1024
_DEPTH = 16
_LIST = 10_000


class _CutOffError(Exception):
    """The header goes on beyond the bytes at hand."""


def check_pages(stream: BinaryIO, metadata: Any, columns: Sequence[int]) -> int:
    """Raise RejectedError where a page of the leaf columns `columns` unpacks to too much, or its header makes no sense.

    Args:
        metadata: the file's, as pyarrow gives it.

    Returns:
        Bytes that these columns unpack to in the largest row group.
    """
    largest = 0
    for group in range(metadata.num_row_groups):
        unpacked = 0
        for index in columns:
            chunk = metadata.row_group(group).column(index)
            offsets = [chunk.data_page_offset]
            if chunk.has_dictionary_page and chunk.dictionary_page_offset:
                offsets.append(chunk.dictionary_page_offset)
            start = min(offsets)
            unpacked += _check_chunk(stream, start, start + chunk.total_compressed_size)
        largest = max(largest, unpacked)
    return largest


def _check_chunk(stream: BinaryIO, at: int, end: int) -> int:
    """Bytes that its pages unpack to."""
    total = 0
    if at < 4 or end < at:
        raise RejectedError("a column's place in it makes no sense; write it again")
    while at < end:
        unpacked, packed, size = _header(stream, at)
        if unpacked > MAX_UNPACKED_PAGE:
            raise RejectedError(
                f"a page unpacks to {unpacked:,} bytes, at most {MAX_UNPACKED_PAGE:,} are; write it with smaller pages"
            )
        if unpacked < 0 or packed < 0:
            raise RejectedError("a page is said to have fewer than no bytes; write it again")
        at += size + packed
        total += unpacked
    return total


def _header(stream: BinaryIO, at: int) -> tuple[int, int, int]:
    """A page's unpacked and packed size, and the size of its header."""
    size = _HEADER_BYTES
    while True:
        stream.seek(at)
        data = stream.read(size)
        try:
            fields, used = _struct(data, 0, 0)
        except _CutOffError:
            if len(data) < size or size >= _LARGEST_HEADER:
                raise RejectedError("it is cut off within a page's header; copy it again") from None
            size *= 8
            continue
        if 2 not in fields or 3 not in fields:
            raise RejectedError("a page's header does not say its size; write it again")
        return fields[2], fields[3], used


def _struct(data: bytes, at: int, depth: int) -> tuple[dict[int, int], int]:
    """A struct's fields that are whole numbers, and where it ends."""
    if depth > _DEPTH:
        raise RejectedError("a page's header is nested too deeply; write it again")
    fields: dict[int, int] = {}
    number = 0
    while True:
        head, at = _byte(data, at)
        if head == 0:
            return fields, at
        if head >> 4:
            number += head >> 4
        else:
            number, at = _zigzag(data, at)
        kind = head & 15
        if kind in {4, 5, 6}:
            fields[number], at = _zigzag(data, at)
        else:
            at = _skip(data, at, kind, depth)


_FIXED = {1: 0, 2: 0, 3: 1, 7: 8}
"""Bytes of a value by its compact type; true and false are in the type itself."""


def _skip(data: bytes, at: int, kind: int, depth: int) -> int:
    """Where a value of a compact type ends."""
    if kind in _FIXED:
        return _within(data, at + _FIXED[kind])
    if kind in {4, 5, 6}:
        return _zigzag(data, at)[1]
    if kind == 8:
        length, at = _varint(data, at)
        return _within(data, at + length)
    if kind in {9, 10}:
        return _skip_list(data, at, depth)
    if kind == 12:
        return _struct(data, at, depth + 1)[1]
    raise RejectedError("a page's header makes no sense; write it again")


def _skip_list(data: bytes, at: int, depth: int) -> int:
    head, at = _byte(data, at)
    count, kind = head >> 4, head & 15
    if depth > _DEPTH:
        raise RejectedError("a page's header is nested too deeply; write it again")
    if count == 15:
        count, at = _varint(data, at)
    if count > _LIST:
        raise RejectedError("a page's header is longer than any writer makes it; write it again")
    for _ in range(count):
        at = _within(data, at + 1) if kind in {1, 2} else _skip(data, at, kind, depth + 1)
    return at


def _within(data: bytes, at: int) -> int:
    if at > len(data):
        raise _CutOffError
    return at


def _byte(data: bytes, at: int) -> tuple[int, int]:
    if at >= len(data):
        raise _CutOffError
    return data[at], at + 1


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte, at = _byte(data, at)
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
        if shift > 63:
            raise RejectedError("a page's header makes no sense; write it again")


def _zigzag(data: bytes, at: int) -> tuple[int, int]:
    value, at = _varint(data, at)
    return (value >> 1) ^ -(value & 1), at
