"""What the batches of an Arrow IPC stream unpack to, read from their descriptions before any batch is read.

Each message is a description (a flatbuffer) and a body; a packed buffer of the body begins with its unpacked size.
"""

from __future__ import annotations

import io
import struct
from typing import BinaryIO

from assets.errors import RejectedError
from assets.records.limits import MAX_FOOTER_BYTES, MAX_UNPACKED_BATCH

_RECORD_BATCH, _DICTIONARY_BATCH = 3, 2
_MAX_MESSAGES = 1_000_000


def check_frames(stream: BinaryIO, start: int) -> None:
    """Raise RejectedError where a message from `start` on is too large, cut off or unpacks to too much."""
    size = stream.seek(0, io.SEEK_END)
    at, dictionaries = start, 0
    for _ in range(_MAX_MESSAGES):
        stream.seek(at)
        head = stream.read(8)
        if len(head) < 8 or head[:4] != b"\xff\xff\xff\xff" or head[4:] == bytes(4):
            if at == start:
                raise RejectedError("it holds no message of Arrow; write it again")
            if len(head) >= 8 and head[:4] != b"\xff\xff\xff\xff":
                raise RejectedError("a message does not begin where it must; write it again")
            return
        length = int.from_bytes(head[4:], "little")
        if length > MAX_FOOTER_BYTES:
            raise RejectedError(f"a description is said to have {length:,} bytes; write it again")
        description = stream.read(length)
        if len(description) < length:
            raise RejectedError("it is cut off within a description; copy it again")
        body = at + 8 + length
        try:
            kind, length, unpacked = _message(stream, description, body, size)
        except (struct.error, IndexError, ValueError) as error:
            raise RejectedError("a description makes no sense; write it again") from error
        at = body + length
        dictionaries += unpacked if kind == _DICTIONARY_BATCH else 0  # they stay in memory, all of them
        if max(unpacked, dictionaries) > MAX_UNPACKED_BATCH:
            raise RejectedError(
                f"a batch has {max(unpacked, dictionaries):,} bytes, at most {MAX_UNPACKED_BATCH:,} are read; "
                "write it with smaller batches"
            )
    raise RejectedError(f"it has more than {_MAX_MESSAGES:,} messages; write it with larger batches")


def _message(stream: BinaryIO, description: bytes, body: int, size: int) -> tuple[int, int, int]:
    """A message's kind, the bytes of its body, and what they unpack to."""
    message = _Table(description, _unsigned(description, 0))
    length = message.number(3, "<q")
    if not 0 <= length <= size - body:
        raise RejectedError(f"a batch is said to have {length:,} bytes, {size - body:,} follow; copy it again")
    kind = message.number(1, "<B")
    if kind not in {_RECORD_BATCH, _DICTIONARY_BATCH}:
        return kind, length, 0
    batch = message.table(2)
    if batch is not None and kind == _DICTIONARY_BATCH:
        batch = batch.table(1)
    if batch is None:
        raise ValueError("a batch without a header")
    return kind, length, _unpacked(stream, batch, body, length) if batch.place(3) else length


def _unpacked(stream: BinaryIO, batch: _Table, body: int, length: int) -> int:
    total = 0
    for offset, packed in batch.buffers(2):
        if min(offset, packed) < 0 or offset + packed > length:
            raise ValueError("a buffer outside its body")
        if packed < 8:
            continue
        stream.seek(body + offset)
        (unpacked,) = struct.unpack("<q", stream.read(8))
        if unpacked < -1:
            raise ValueError("a buffer of fewer than no bytes")
        total += packed if unpacked == -1 else unpacked
    return total


def _unsigned(data: bytes, at: int) -> int:
    return int(struct.unpack_from("<I", data, at)[0])


class _Table:
    """A flatbuffer's table; every access is checked against the buffer's end."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self._at = at
        self._fields = at - struct.unpack_from("<i", data, at)[0]
        if not 0 <= self._fields <= len(data):
            raise ValueError("a table outside the description")

    def place(self, field: int) -> int:
        """Where a field is; 0 where it is not given."""
        size = struct.unpack_from("<H", self._data, self._fields)[0]
        if 4 + 2 * field + 2 > size:
            return 0
        offset = int(struct.unpack_from("<H", self._data, self._fields + 4 + 2 * field)[0])
        return self._at + offset if offset else 0

    def number(self, field: int, form: str) -> int:
        """A number; 0 where it is not given."""
        place = self.place(field)
        return int(struct.unpack_from(form, self._data, place)[0]) if place else 0

    def table(self, field: int) -> _Table | None:
        """A table inside; None where it is not given."""
        place = self.place(field)
        return _Table(self._data, place + _unsigned(self._data, place)) if place else None

    def buffers(self, field: int) -> list[tuple[int, int]]:
        """Offset and length of each buffer that a vector lists."""
        place = self.place(field)
        if not place:
            return []
        vector = place + _unsigned(self._data, place)
        count = _unsigned(self._data, vector)
        if count * 16 > len(self._data):
            raise ValueError("more buffers than the description holds")
        return [struct.unpack_from("<qq", self._data, vector + 4 + 16 * index) for index in range(count)]
