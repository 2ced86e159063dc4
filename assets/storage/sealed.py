"""Stored bytes that nobody reads without the key: AES-256-GCM, where a line says `data.privacy.encrypt`.

    edgeloop-sealed-1 | key id | digest | frame size | plain size | what it is | frame, frame, …

The same bytes, sealed with the same key, are the same sealed bytes: artifacts are named by their digest, and landing a
source again must give the same batch. That is safe though AES-GCM must never see one nonce twice with two texts,
because no two texts share a key: `digest` is HMAC-SHA-256 (under a key of its own) of the plain bytes and of what they
are, each file is encrypted under a key derived from that digest, and its frames count up. Two equal digests are two
equal files. What an onlooker learns is that two files are equal, and their size (this is the construction of RFC 5297,
SIV, with AES-GCM inside). Frames of 1 MiB let a large file be read anywhere without holding it.

Which key that is, `assets.storage.data_keys` finds out.
"""

from __future__ import annotations

import hashlib
import hmac
import io
import struct
from collections.abc import Callable, Iterator
from typing import BinaryIO, cast

from assets.errors import RejectedError
from assets.storage.data_keys import KEY_VARIABLE, aes, data_keys
from assets.storage.store import Store
from edge.contracts import ArtifactRef
from edge.errors import VerificationError

MAGIC = b"edgeloop-sealed-1\n"
FRAME = 1024**2
MAX_AD_BYTES = 512
_TAG = 16
_FIXED = struct.Struct(">8s32sIQH")


def is_sealed(data: bytes) -> bool:
    """Whether these are sealed bytes; their first `len(MAGIC)` are enough."""
    return data.startswith(MAGIC)


def seal(data: bytes, line: str, kind: str) -> bytes:
    """`data` encrypted and bound to what it is. Sealing twice seals twice: text that only looks sealed is not spared.

    Args:
        line, kind: a line's name, and e.g. "records"; whoever unseals can insist on them.

    Raises:
        RejectedError: $EDGELOOP_DATA_KEY is not set, or does not lead to a key.
    """
    return b"".join(seal_stream(lambda: io.BytesIO(data), line, kind))


def seal_stream(source: Callable[[], BinaryIO], line: str, kind: str) -> Iterator[bytes]:
    """A file of any size, sealed, piece by piece; `source` is opened twice: the digest comes first.

    Raises:
        RejectedError: as `seal`; or the source changed between the two times.
    """
    key = data_keys()[0]
    what = _what(line, kind)
    mac = hmac.new(key.derive(b"digest"), struct.pack(">H", len(what)) + what, hashlib.sha256)
    size = 0
    with source() as stream:
        while chunk := stream.read(FRAME):
            mac.update(chunk)
            size += len(chunk)
    header = MAGIC + _FIXED.pack(key.id, mac.digest(), FRAME, size, len(what)) + what
    cipher = aes(key.derive(b"file" + header))
    frames = _frames(size, FRAME)
    yield header
    with source() as stream:
        for number in range(frames):
            plain = _exactly(stream, min(FRAME, size - number * FRAME))
            yield cipher.encrypt(_nonce(number, last=number == frames - 1), plain, header)
        if stream.read(1):
            raise RejectedError("the file grew while it was sealed; land it again once it is complete")


def unseal(data: bytes, line: str | None = None, kind: str | None = None) -> bytes:
    """The plain bytes of sealed ones; bytes that are not sealed are returned as they are.

    Args:
        line, kind: where given, what was sealed must be of them.

    Raises:
        RejectedError: the key is missing or another one.
        VerificationError: the bytes were changed, cut or belong elsewhere.
    """
    if not is_sealed(data):
        return data
    with UnsealedStream(io.BytesIO(data), line, kind) as stream:
        return stream.readall()


def open_unsealed(stream: BinaryIO, line: str | None = None, kind: str | None = None) -> BinaryIO:
    """A seekable stream of the plain bytes, sealed or not. Raises as `unseal` does, also later when it is read."""
    start = stream.read(len(MAGIC))
    stream.seek(0)
    if not is_sealed(start):
        return stream
    return cast(BinaryIO, io.BufferedReader(UnsealedStream(stream, line, kind), FRAME))


def fetch_records(store: Store, ref: ArtifactRef) -> bytes:
    """An artifact's bytes, checked against its reference and unsealed. Raises as `Store.fetch` and `unseal` do."""
    return unseal(store.fetch(ref))


class UnsealedStream(io.RawIOBase):
    """The plain bytes of a sealed stream, decrypted frame by frame as they are asked for."""

    def __init__(self, sealed: BinaryIO, line: str | None = None, kind: str | None = None) -> None:
        self._sealed = sealed
        fixed = _exactly(sealed, len(MAGIC) + _FIXED.size)
        if len(fixed) < len(MAGIC) + _FIXED.size:
            raise _changed("it is cut short")
        key_id, _, self._frame, self._size, length = _FIXED.unpack(fixed[len(MAGIC) :])
        what = _exactly(sealed, length) if length <= MAX_AD_BYTES else b""
        self._header = fixed + what
        self._frames = _frames(self._size, self._frame) if 0 < self._frame <= 64 * FRAME else 0
        end = sealed.seek(0, io.SEEK_END)
        if len(what) < length or not self._frames or end != len(self._header) + self._size + _TAG * self._frames:
            raise _changed("it is cut short, or something was added to it")
        key = next((key for key in data_keys() if key.id == key_id), None)
        if key is None:
            raise RejectedError(
                f"sealed with key {key_id.hex()}, and {KEY_VARIABLE} names another; add the old key after the new one"
            )
        found_kind, _, found_line = what.decode("utf-8", "replace").partition("/")
        self._cipher = aes(key.derive(b"file" + self._header))
        self._at = 0
        self._held: tuple[int, bytes] = (-1, b"")
        self._load(self._frames - 1)  # proves header and end before anything is handed on
        for wanted, found in ((line, found_line), (kind, found_kind)):
            if wanted is not None and wanted != found:
                raise _changed(f"it was sealed as {found_kind} of line {found_line!r}: it was put in another's place")

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """As for any stream."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError("negative position")
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        """As for any stream."""
        return self._at

    def readall(self) -> bytes:
        """The rest, frame by frame: a buffer's small steps would be slow."""
        parts = []
        while self._at < self._size:
            number, start = divmod(self._at, self._frame)
            parts.append(self._load(number)[start:])
            self._at += len(parts[-1])
        return b"".join(parts)

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """As for any stream; at most to the end of a frame."""
        if self._at >= self._size:
            return 0
        number, start = divmod(self._at, self._frame)
        piece = self._load(number)[start : start + len(buffer)]
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)

    def close(self) -> None:
        """Close the sealed stream too."""
        if not self.closed:
            self._sealed.close()
        super().close()

    def _load(self, number: int) -> bytes:
        from cryptography.exceptions import InvalidTag

        if self._held[0] == number:
            return self._held[1]
        self._sealed.seek(len(self._header) + number * (self._frame + _TAG))
        length = min(self._frame, self._size - number * self._frame)
        sealed = _exactly(self._sealed, length + _TAG)
        try:
            plain = self._cipher.decrypt(_nonce(number, last=number == self._frames - 1), sealed, self._header)
        except (InvalidTag, ValueError) as error:
            raise _changed("its bytes are not the ones that were sealed") from error
        self._held = (number, plain)
        return plain


def _what(line: str, kind: str) -> bytes:
    what = f"{kind}/{line}".encode()
    if "/" in kind or len(what) > MAX_AD_BYTES:
        raise ValueError(f"{kind!r} of {line!r} is no name to seal under")
    return what


def _frames(size: int, frame: int) -> int:
    return max(1, -(-size // frame))


def _nonce(number: int, *, last: bool) -> bytes:
    return struct.pack(">IQ", last, number)


def _exactly(stream: BinaryIO, count: int) -> bytes:
    parts, missing = [], count
    while missing > 0 and (part := stream.read(missing)):
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def _changed(what: str) -> VerificationError:
    return VerificationError(f"sealed data: {what}; restore the file from a backup, or land its batch again")
