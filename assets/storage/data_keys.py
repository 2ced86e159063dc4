"""The keys that stored records are sealed with.

$EDGELOOP_DATA_KEY names the key: `env:NAME` (32 bytes in base64 or hex), `file:/path` (mode 600), or `kms+NAME:ADDRESS
#WRAPPED`, a data key wrapped by a key management service. Of several, apart by spaces, the first seals and all unseal.
"""

from __future__ import annotations

import base64
import binascii
import functools
import hashlib
import hmac
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from assets.errors import RejectedError
from assets.storage.private_files import check_private

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_VARIABLE = "EDGELOOP_DATA_KEY"
WRAPPERS_GROUP = "edgeloop.key_wrappers"
"""Entry points `NAME = "package:function"`; the function takes ADDRESS and gives a `KeyWrapper` for `kms+NAME:`."""
MAX_KEY_BYTES = 64 * 1024


class KeyWrapper(Protocol):
    """A key management service: it holds a key that never leaves it, and wraps data keys with that."""

    def wrap(self, key: bytes) -> bytes:
        """`key` (32 bytes), wrapped."""
        ...

    def unwrap(self, wrapped: bytes) -> bytes:
        """What `wrap` was given. Raises RejectedError where this service did not wrap it."""
        ...


class FileWrapper:
    """The service `kms+file:`: a master key in a file of this machine. For tests, and where there is no other."""

    def __init__(self, address: str) -> None:
        self._master = _key_file(address)

    def wrap(self, key: bytes) -> bytes:
        """See `KeyWrapper`."""
        nonce = os.urandom(12)
        return nonce + aes(self._master).encrypt(nonce, key, b"edgeloop data key")

    def unwrap(self, wrapped: bytes) -> bytes:
        """See `KeyWrapper`."""
        from cryptography.exceptions import InvalidTag

        try:
            return aes(self._master).decrypt(wrapped[:12], wrapped[12:], b"edgeloop data key")
        except (InvalidTag, ValueError) as error:
            raise RejectedError(
                f"{KEY_VARIABLE}: this master key did not wrap that data key; name the master key that did"
            ) from error


def new_data_key(service: str) -> str:
    """A fresh data key, wrapped: what $EDGELOOP_DATA_KEY is set to.

    Args:
        service: `kms+NAME:ADDRESS`.

    Raises:
        RejectedError: there is no such service, or it refuses.
    """
    return f"{service}#{base64.b64encode(_wrapper(service).wrap(os.urandom(32))).decode()}"


@dataclass(frozen=True)
class DataKey:
    """A key of 32 bytes; what it is used for is done with keys derived from it."""

    secret: bytes

    @property
    def id(self) -> bytes:
        """8 bytes that name the key and say nothing about it."""
        return self.derive(b"id")[:8]

    def derive(self, purpose: bytes) -> bytes:
        """A key of 32 bytes for one purpose."""
        return hmac.new(self.secret, b"edgeloop-sealed-1\0" + purpose, hashlib.sha256).digest()


def data_keys() -> list[DataKey]:
    """The keys that $EDGELOOP_DATA_KEY names: the first seals, all unseal. Raises RejectedError."""
    names = os.environ.get(KEY_VARIABLE, "").split()
    if not names:
        raise RejectedError(
            f"{KEY_VARIABLE} is not set, but records are encrypted; set it to env:NAME, file:/path or a KMS's URI"
        )
    return [DataKey(_secret(name)) for name in names]


def _secret(uri: str) -> bytes:
    scheme, _, rest = uri.partition(":")
    if scheme == "env":
        text = os.environ.get(rest)
        if text is None:
            raise RejectedError(f"{KEY_VARIABLE}={uri}: the variable {rest} is not set; set it to 32 bytes in base64")
        return _decode(text, f"the variable {rest}")
    if scheme == "file":
        return _key_file(rest)
    if scheme.startswith("kms+"):
        return _unwrapped(uri)
    raise RejectedError(f"{KEY_VARIABLE}: {scheme[:20]!r} is no kind of key; use env:NAME, file:/path or kms+NAME:…")


@functools.lru_cache(maxsize=8)
def _unwrapped(uri: str) -> bytes:
    service, _, wrapped = uri.partition("#")
    if not wrapped:
        raise RejectedError(f"{KEY_VARIABLE}={service}: no wrapped data key follows after #; make one")
    try:
        data = base64.b64decode(wrapped, validate=True)
    except binascii.Error as error:
        raise RejectedError(f"{KEY_VARIABLE}={service}: what follows after # is not base64; copy it again") from error
    key = _wrapper(service).unwrap(data)
    if len(key) != 32:
        raise RejectedError(f"{KEY_VARIABLE}={service}: the data key has {len(key)} bytes, it must have 32; make one")
    return key


def _wrapper(service: str) -> KeyWrapper:
    from importlib.metadata import entry_points

    scheme, _, address = service.partition(":")
    name = scheme.removeprefix("kms+")
    if name == "file":
        return FileWrapper(address)
    for entry in entry_points(group=WRAPPERS_GROUP, name=name):
        made: KeyWrapper = entry.load()(address)
        return made
    raise RejectedError(
        f"{KEY_VARIABLE}: nothing installed here knows {scheme}; install the package that offers {name!r} as an entry "
        f"point of {WRAPPERS_GROUP}"
    )


def _key_file(path: str) -> bytes:
    file = Path(path)
    try:
        check_private(file)
        if not file.is_file() or file.stat().st_size > MAX_KEY_BYTES:
            raise RejectedError(f"{path}: not a key file; restore it")
        data = file.read_bytes()
    except OSError as error:
        raise RejectedError(f"{path}: the data key cannot be read ({error.strerror}); restore it") from error
    if len(data) == 32:
        return data
    return _decode(data.decode("ascii", "replace"), path)


def _decode(text: str, place: str) -> bytes:
    text = text.strip()
    try:
        key = bytes.fromhex(text) if re.fullmatch(r"[0-9a-fA-F]{64}", text) else base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error) as error:
        raise RejectedError(f"{place}: not a key in base64 or hex; make one with: openssl rand -base64 32") from error
    if len(key) != 32:
        raise RejectedError(f"{place}: a data key has 32 bytes, this has {len(key)}; run: openssl rand -base64 32")
    return key


def aes(key: bytes) -> AESGCM:
    """AES-256-GCM with this key."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key)
