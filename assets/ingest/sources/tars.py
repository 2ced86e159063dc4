"""Members of a tar, read front to back, whatever it is packed with.

The standard library's reader holds whole extended headers in memory, as large as the archive says, and unpacks xz with
any dictionary; so blocks are walked here. A header itself is read by `tarfile.TarInfo.frombuf`.
"""

from __future__ import annotations

import bz2
import lzma
import tarfile
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

from assets.ingest.sources.members import BLOCK, Damaged, Member, read_exactly
from assets.records.limits import FREE_BYTES, MAX_ARCHIVE_INDEX, MAX_RATIO

_BLOCK = 512
_XZ_MEMORY = 256 * 1024**2
_MAX_NAME = 64 * 1024
_AGAIN = "; make it again"
_PACKINGS = ((b"\x1f\x8b", "gz"), (b"BZh", "bz2"), (b"\xfd7zXZ\0", "xz"))
_KINDS = {
    tarfile.LNKTYPE: "a link",
    tarfile.SYMTYPE: "a link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a pipe",
    tarfile.GNUTYPE_SPARSE: "a file with holes (sparse)",
    b"M": "part of a file on another volume",
}
_PLAIN = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
_BROKEN = (OSError, EOFError, zlib.error, lzma.LZMAError, ValueError)


def packing(first: bytes) -> str | None:
    """What a stream that begins with these bytes is packed with: "gz", "bz2", "xz" or None."""
    return next((name for magic, name in _PACKINGS if first.startswith(magic)), None)


def is_tar(first: bytes) -> bool:
    """Whether a stream that begins with these bytes is a tar, packed or not."""
    kind = packing(first)
    if kind is not None:
        try:
            first = _decompressor(kind).decompress(first, _BLOCK)
        except _BROKEN:
            return False
    if first[257:262] == b"ustar":
        return True
    if len(first) < _BLOCK or not first[0]:  # the oldest tars have no mark, only a sum
        return False
    try:
        _header(first[:_BLOCK])
    except tarfile.HeaderError:
        return False
    return True


def tar_members(stream: BinaryIO) -> Iterator[Member]:
    """Each member in order; what is not read of it is skipped when the next one is asked for. Raises Damaged."""
    first = read_exactly(stream, BLOCK)
    kind = packing(first)
    return _walk(_Reader(stream, first, kind))


class _Reader:
    """A tar's bytes, unpacked a block at a time, never much more than the ratio allows."""

    def __init__(self, stream: BinaryIO, first: bytes, kind: str | None) -> None:
        self._stream, self._kind = stream, kind
        self._waiting = first
        self._decompressor: Any = _decompressor(kind) if kind else None
        self._ready = b""
        self._streams = 0
        self.packed, self.given = len(first), 0

    def read(self, count: int) -> bytes:
        """At most `count` bytes; none at the end. Raises Damaged."""
        if not self._ready:
            self._ready = self._unpack() if self._decompressor else self._more()
        part, self._ready = self._ready[:count], self._ready[count:]
        self.given += len(part)
        if self._kind and self.given > FREE_BYTES and self.given > MAX_RATIO * self.packed:
            raise Damaged(f"it unpacks to more than {MAX_RATIO} times its size, as no real data does; look at it")
        return part

    def exactly(self, count: int) -> bytes:
        """`count` bytes. Raises Damaged where they are cut short."""
        parts = []
        while count:
            part = self.read(count)
            if not part:
                raise Damaged("it is cut short; copy it again")
            parts.append(part)
            count -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _more(self) -> bytes:
        if self._waiting:
            part, self._waiting = self._waiting, b""
            return part
        part = self._stream.read(BLOCK)
        self.packed += len(part)
        return part

    def _unpack(self) -> bytes:
        assert self._kind is not None
        while True:
            if self._decompressor.eof:
                rest = self._decompressor.unused_data or self._more()
                while rest and not rest.strip(b"\0"):
                    rest = self._more()  # tapes and some tools fill up with zeros
                if not rest:
                    return b""
                if packing(rest) != self._kind:
                    raise Damaged("something else follows after its end; make it again")
                self._decompressor, self._waiting = _decompressor(self._kind), rest
            packed = b"" if _holds_more(self._decompressor) else self._more()
            try:
                part = self._decompressor.decompress(packed, BLOCK)
            except _BROKEN as error:
                raise Damaged(f"its packing ({self._kind}) is damaged ({error}); copy it again") from error
            if part:
                return part  # type: ignore[no-any-return]
            if not packed and not self._decompressor.eof and not _holds_more(self._decompressor):
                raise Damaged("it is cut short; copy it again")


class _Gzip:
    """zlib's object with the manners of bz2's and lzma's."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(31)

    def decompress(self, data: bytes, limit: int) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, limit)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail


def _decompressor(kind: str) -> Any:
    if kind == "gz":
        return _Gzip()
    return bz2.BZ2Decompressor() if kind == "bz2" else lzma.LZMADecompressor(lzma.FORMAT_XZ, _XZ_MEMORY)


def _holds_more(decompressor: Any) -> bool:
    return not decompressor.eof and not decompressor.needs_input


def _walk(source: _Reader) -> Iterator[Member]:
    extra: dict[str, str] = {}
    extended = 0
    while True:
        block = source.exactly(_BLOCK) if source.given else source.read(_BLOCK)
        if len(block) < _BLOCK:
            block += source.exactly(_BLOCK - len(block))
        if not block.strip(b"\0"):
            _check_end(source)
            return
        try:
            info = _header(block)
        except tarfile.HeaderError as error:
            raise Damaged(f"a member's header is damaged ({error}){_AGAIN}") from error
        if info.size < 0:
            raise Damaged(f"a member says that it has {info.size:,} bytes{_AGAIN}")
        if info.type in (b"x", b"X", b"g", b"L", b"K"):
            extended += info.size + _BLOCK
            if extended > MAX_ARCHIVE_INDEX or info.size > MAX_ARCHIVE_INDEX:
                raise Damaged(f"the names before one member take more than {MAX_ARCHIVE_INDEX:,} bytes{_AGAIN}")
            extra.update(_extended(info.type, _padded(source, info.size)))
            continue
        size, name = _size(extra, info.size), extra.get("path", info.name)
        yield from _member(source, block, info.type, name, size, extra)
        extra, extended = {}, 0


def _member(
    source: _Reader, block: bytes, kind: bytes, name: str, size: int, extra: dict[str, str]
) -> Iterator[Member]:
    if kind == tarfile.GNUTYPE_SPARSE:
        more = block[482]
        while more:
            more = source.exactly(_BLOCK)[504]
    has_data = kind not in (tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE)
    left = size if has_data and kind != tarfile.DIRTYPE else 0
    padding = -left % _BLOCK
    what = _KINDS.get(kind, None if kind in (*_PLAIN, tarfile.DIRTYPE) else f"of the unknown kind {kind!r}")
    if any(key.startswith("GNU.sparse") for key in extra):
        what = _KINDS[tarfile.GNUTYPE_SPARSE]
    problem = f"it is {what}, and only plain files are taken; put the file itself into the archive" if what else None

    def blocks() -> Iterator[bytes]:
        nonlocal left
        while left:
            part = source.read(min(left, BLOCK))
            if not part:
                raise Damaged(f"it is cut short within {name[:200]!r}; copy it again")
            left -= len(part)
            yield part

    folder = kind == tarfile.DIRTYPE or (kind in _PLAIN and name.endswith("/"))
    yield Member(name, problem, folder, left, None, blocks)
    for _ in blocks():
        pass
    source.exactly(padding)


def _padded(source: _Reader, size: int) -> bytes:
    data = source.exactly(size)
    source.exactly(-size % _BLOCK)
    return data


def _check_end(source: _Reader) -> None:
    """After the first empty block only empty blocks may follow; reading them also checks the packing's own sum."""
    if source.read(_BLOCK) == b"":
        raise Damaged("it ends without its end mark, it may be cut short; copy it again")
    while part := source.read(BLOCK):
        if part.strip(b"\0"):
            raise Damaged("more follows after its end mark, which was not read; make one archive of it")


def _header(block: bytes) -> tarfile.TarInfo:
    return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")


def _size(extra: dict[str, str], size: int) -> int:
    if "size" not in extra:
        return size
    text = extra["size"]
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise Damaged(f"a member says that it has {text[:40]!r} bytes{_AGAIN}")
    return int(text)


def _extended(kind: bytes, data: bytes) -> dict[str, str]:
    """What an extended header says of the next member; one for all members ("g") never names a single one."""
    if kind == b"L":
        return {"path": data[:_MAX_NAME].split(b"\0", 1)[0].decode("utf-8", "surrogateescape")}
    found: dict[str, str] = {}
    if kind in (b"g", b"K"):
        return found
    position = 0
    while position < len(data) and data[position]:
        head, _, _ = data[position : position + 20].partition(b" ")
        if not head.isdigit() or not len(head) + 2 < int(head) <= len(data) - position:
            raise Damaged(f"a member's extended header is damaged{_AGAIN}")
        key, _, value = data[position + len(head) + 1 : position + int(head) - 1].partition(b"=")
        if key in (b"path", b"size") or key.startswith(b"GNU.sparse"):
            found[key.decode("utf-8", "replace")[:40]] = value[:_MAX_NAME].decode("utf-8", "surrogateescape")
        position += int(head)
    return found
