"""Members of a zip, as its list at the end has them; each is read as a stream.

The standard library's reader refuses a whole zip for one bad name and unpacks bzip2 and LZMA without a bound, so the
list is read here, and only what is stored or deflated is unpacked.
"""

from __future__ import annotations

import os
import stat
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import BinaryIO

from assets.ingest.sources.members import BLOCK, Damaged, Member, Unreadable, read_exactly
from assets.records.limits import MAX_ARCHIVE_INDEX, MAX_FILES

_CUT = "it has no list of its members, it may be cut short; copy it again"
_LIED = "its own header says something else than the archive's list; make the archive again"
_END, _END64, _LOCATOR = struct.Struct("<4s4H2LH"), struct.Struct("<4sQ2H2L4Q"), struct.Struct("<4sLQL")
_ENTRY, _LOCAL = struct.Struct("<4s6H3L5H2L"), struct.Struct("<4s5H3L2H")
_METHODS = {9: "deflate64", 12: "bzip2", 14: "LZMA", 93: "Zstandard", 95: "xz", 98: "PPMd", 99: "AES encryption"}
_ENCRYPTED = 0x1 | 0x40 | 0x2000
_MANY = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class _Entry:
    """A row of the list: where the member begins, and what is said of it."""

    name: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    offset: int
    system: int
    attributes: int


def is_zip(first: bytes) -> bool:
    """Whether a file that begins with these bytes is a zip."""
    return first[:4] in (b"PK\3\4", b"PK\5\6")


def zip_members(stream: BinaryIO) -> Iterator[Member]:
    """Each member in the order of the list; `stream` can seek. Raises Damaged."""
    start, size = _index(stream)
    stream.seek(start)
    entries: list[_Entry] = []
    damage: Damaged | None = None
    try:
        entries.extend(_entries(read_exactly(stream, size)))
    except Damaged as error:
        damage = error
    overlapping = _overlapping(entries, start)
    for index, entry in enumerate(entries):
        yield _member(stream, entry, index in overlapping)
    if damage is not None:
        raise damage


def _index(stream: BinaryIO) -> tuple[int, int]:
    """Where the list of members begins, and its bytes."""
    length = stream.seek(0, os.SEEK_END)
    tail_start = max(0, length - _END.size - 65_535)
    stream.seek(tail_start)
    tail = read_exactly(stream, length - tail_start)
    at = tail.rfind(b"PK\5\6")
    if at < 0 or len(tail) - at < _END.size:
        raise Damaged(_CUT)
    _, disk, first_disk, _, count, size, offset, _ = _END.unpack_from(tail, at)
    end = tail_start + at
    if 0xFFFF in (disk, count) or _MANY in (size, offset):
        stream.seek(max(0, end - _LOCATOR.size))
        locator = read_exactly(stream, _LOCATOR.size)
        if locator[:4] == b"PK\6\7":
            end = _LOCATOR.unpack(locator)[2]
            stream.seek(min(end, length))
            record = read_exactly(stream, _END64.size)
            if len(record) < _END64.size or record[:4] != b"PK\6\6":
                raise Damaged(_CUT)
            *_, disk, first_disk, _, count, size, offset = _END64.unpack(record)
    if disk or first_disk:
        raise Damaged("it is one part of a zip in several parts; make one zip of it")
    if size > MAX_ARCHIVE_INDEX:
        raise Damaged(f"its list of members takes {size:,} bytes, at most {MAX_ARCHIVE_INDEX:,} are read; split it")
    if offset + size > end:
        raise Damaged("its list of members is not where its end says; make it again")
    return offset, size


def _entries(data: bytes) -> Iterator[_Entry]:
    position = count = 0
    while position < len(data):
        count += 1
        if count > 2 * MAX_FILES:
            raise Damaged(f"it has more than {2 * MAX_FILES:,} members; split it")
        if len(data) - position < _ENTRY.size or data[position : position + 4] != b"PK\1\2":
            raise Damaged("its list of members is damaged; copy it again")
        row = _ENTRY.unpack_from(data, position)
        made_by, _, flags, method, _, _, crc, packed, size, names, extras, comments, _, _, attributes, offset = row[1:]
        begin = position + _ENTRY.size
        name = data[begin : begin + names]
        size, packed, offset = _large(data[begin + names : begin + names + extras], size, packed, offset)
        yield _Entry(name, flags, method, crc, packed, size, offset, made_by >> 8, attributes)
        position = begin + names + extras + comments


def _large(extra: bytes, *values: int) -> tuple[int, ...]:
    """Sizes and offset of 64 bits, where the row says that they are in its extra fields."""
    found = list(values)
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<2H", extra)
        field, extra = extra[4 : 4 + length], extra[4 + length :]
        if kind == 1:
            for index, value in enumerate(values):
                if value == _MANY and len(field) >= 8:
                    (found[index],) = struct.unpack_from("<Q", field)
                    field = field[8:]
    return tuple(found)


def _overlapping(entries: list[_Entry], end: int) -> set[int]:
    """Members whose bytes reach into another's or into the list: one kernel of data used many times over."""
    order = sorted(range(len(entries)), key=lambda index: entries[index].offset)
    found = set()
    for index, after in zip_longest(order, order[1:]):
        stop = end if after is None else min(entries[after].offset, end)
        if entries[index].offset + _LOCAL.size + len(entries[index].name) + entries[index].packed > stop:
            found.add(index)
    return found


def _member(stream: BinaryIO, entry: _Entry, overlaps: bool) -> Member:
    name = _name(entry)
    mode = stat.S_IFMT(entry.attributes >> 16) if entry.system == 3 else 0
    folder = name.endswith("/")
    problem = None
    if entry.flags & _ENCRYPTED:
        problem = "it is encrypted; decrypt it, and land it without a password"
    elif stat.S_ISLNK(mode):
        problem = "it is a link, and only plain files are taken; put the file itself into the archive"
    elif mode and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        problem = "it is a pipe, socket or device, not a plain file; leave it out"
    elif overlaps and not folder:
        problem = "it shares bytes with another member, as in a zip bomb; make the archive again"
    elif entry.method not in (0, 8):
        method = _METHODS.get(entry.method, f"method {entry.method}")
        problem = f"it is packed with {method}, which is not read; make the archive again with the method deflate"
    return Member(name, problem, folder, entry.size, entry.packed, lambda: _blocks(stream, entry))


def _name(entry: _Entry) -> str:
    """UTF-8, said or not; half characters stand for other bytes, whose alphabet cannot be known."""
    return entry.name.decode("utf-8", "surrogateescape")


def _blocks(stream: BinaryIO, entry: _Entry) -> Iterator[bytes]:
    stream.seek(entry.offset)
    local = read_exactly(stream, _LOCAL.size)
    if len(local) < _LOCAL.size or local[:4] != b"PK\3\4":
        raise Unreadable(_LIED)
    _, _, flags, method, _, _, _, _, _, names, extras = _LOCAL.unpack(local)
    if read_exactly(stream, names) != entry.name or method != entry.method or flags & _ENCRYPTED:
        raise Unreadable(_LIED)
    stream.seek(extras, os.SEEK_CUR)
    crc = size = 0
    for part in _unpacked(stream, entry):
        crc, size = zlib.crc32(part, crc), size + len(part)
        if size > entry.size:
            raise Unreadable(f"it unpacks to more than the {entry.size:,} bytes that the archive says; make it again")
        yield part
    if size != entry.size or crc != entry.crc:
        raise Unreadable("its bytes are damaged (size or sum does not match); copy the archive again")


def _unpacked(stream: BinaryIO, entry: _Entry) -> Iterator[bytes]:
    left = entry.packed
    decompressor = zlib.decompressobj(-15)
    while left:
        packed = stream.read(min(left, BLOCK))
        if not packed:
            raise Unreadable("its bytes are cut short; copy the archive again")
        left -= len(packed)
        if entry.method == 0:
            yield packed
            continue
        while packed:
            try:
                part = decompressor.decompress(packed, BLOCK)
            except zlib.error as error:
                raise Unreadable(f"its bytes are damaged ({error}); copy the archive again") from error
            packed = decompressor.unconsumed_tail
            if part:
                yield part
            if decompressor.eof:
                return
    while entry.method == 8 and not decompressor.eof:  # all is read, but not all is out
        part = decompressor.decompress(b"", BLOCK)
        if part:
            yield part
        elif not decompressor.eof:
            raise Unreadable("its bytes are cut short; copy the archive again")
