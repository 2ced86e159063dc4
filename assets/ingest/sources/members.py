"""What a zip and a tar have in common: members, and how the archive or one of them is damaged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

BLOCK = 256 * 1024


class Damaged(Exception):  # noqa: N818 - says what is wrong, and never leaves this room
    """The archive cannot be read any further: what came before it is sound. Its text is "reason; remedy"."""


class Unreadable(Exception):  # noqa: N818 - as above
    """This member cannot be read; the next one may be. Its text is "reason; remedy"."""


@dataclass(frozen=True)
class Member:
    """One entry of an archive.

    Attributes:
        name: as it is stored; half characters stand for bytes that are not UTF-8.
        problem: why it is no plain file, "reason; remedy"; None where it is one.
        folder: it is a folder, which holds no data.
        size: unpacked bytes that the archive claims; only ever used to refuse early.
        packed: bytes that it takes in the archive, or None where they cannot be told from others'.
        blocks: its bytes, unpacked, a block of at most `BLOCK` at a time. Raises Damaged or Unreadable.
    """

    name: str
    problem: str | None
    folder: bool
    size: int
    packed: int | None
    blocks: Callable[[], Iterator[bytes]]


def read_exactly(stream: BinaryIO, count: int) -> bytes:
    """`count` bytes, fewer only at the end; one `read` of a stream may give less than it could."""
    parts, missing = [], count
    while missing and (part := stream.read(min(missing, BLOCK))):
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)
