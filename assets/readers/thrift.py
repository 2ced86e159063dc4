"""Reads what is needed of Thrift's compact protocol, in which Parquet writes its footer and page headers.

Own code, because asking pyarrow for these numbers ends the whole process where a footer contradicts itself. Every read
stays inside the bytes at hand; what is not asked for is stepped over without being built.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from assets.errors import RejectedError

Shape = Mapping[int, "Shape | None"]
"""Field number to the shape of the struct (or of the structs of the list) that it holds; None for plain values."""

_DEPTH = 16
_LIST = 2_000_000
_FIXED = {1: 0, 2: 0, 3: 1, 7: 8}
"""Bytes of a value by its compact type; true and false are in the type itself."""


class CutOffError(Exception):
    """The bytes at hand end within a value."""


def read_struct(data: bytes, at: int, shape: Shape, depth: int = 0) -> tuple[dict[int, Any], int]:
    """The fields of a struct that `shape` asks for, and where the struct ends.

    Returns:
        Field number to whole number, bytes, dict (a struct) or list of these.

    Raises:
        CutOffError: `data` ends within it.
        RejectedError: it makes no sense; "reason; remedy".
    """
    if depth > _DEPTH:
        raise RejectedError("its structure is nested too deeply; write it again")
    fields: dict[int, Any] = {}
    number = 0
    while True:
        head, at = _byte(data, at)
        if head == 0:
            return fields, at
        if head >> 4:
            number += head >> 4
        else:
            number, at = _zigzag(data, at)
        if number in shape:
            fields[number], at = _value(data, at, head & 15, shape[number], depth)
        else:
            at = _skip(data, at, head & 15, depth)


def _value(data: bytes, at: int, kind: int, shape: Shape | None, depth: int) -> tuple[Any, int]:
    if kind in {4, 5, 6}:
        return _zigzag(data, at)
    if kind == 8:
        length, at = _varint(data, at)
        return data[at : _within(data, at + length)], at + length
    if kind in {9, 10}:
        count, kind, at = _list(data, at, depth)
        found = []
        for _ in range(count):
            item, at = _value(data, at, kind, shape, depth + 1)
            found.append(item)
        return found, at
    if kind == 12 and shape is not None:
        return read_struct(data, at, shape, depth + 1)
    raise RejectedError("its structure is of no known form; write it again")


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
        count, kind, at = _list(data, at, depth)
        for _ in range(count):
            at = _within(data, at + 1) if kind in {1, 2} else _skip(data, at, kind, depth + 1)
        return at
    if kind == 12:
        return read_struct(data, at, {}, depth + 1)[1]
    raise RejectedError("its structure is of no known form; write it again")


def _list(data: bytes, at: int, depth: int) -> tuple[int, int, int]:
    """How many values of which type a list has, and where they begin."""
    head, at = _byte(data, at)
    count = head >> 4
    if count == 15:
        count, at = _varint(data, at)
    if depth > _DEPTH or count > _LIST:
        raise RejectedError("its structure is larger than any writer makes it; write it again")
    return count, head & 15, at


def _within(data: bytes, at: int) -> int:
    if at > len(data):
        raise CutOffError
    return at


def _byte(data: bytes, at: int) -> tuple[int, int]:
    if at >= len(data):
        raise CutOffError
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
            raise RejectedError("a number in its structure is too large; write it again")


def _zigzag(data: bytes, at: int) -> tuple[int, int]:
    value, at = _varint(data, at)
    return (value >> 1) ^ -(value & 1), at
