"""Pseudonyms: the same value of the same column of the same line is the same token, and only the key leads back.

A token is `p:` and 32 hex digits of HMAC-SHA-256 over line, column and value. With the key somebody can try names until
one gives the token; without it nobody can. So forgetting the key forgets every person at once.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import os
import re
import struct
from collections.abc import Callable
from pathlib import Path

from assets.errors import RejectedError
from assets.records.line_store import LineStore
from assets.storage.private_files import check_private, create_private, keys_folder, make_private_folder

TOKEN = re.compile(r"p:[0-9a-f]{32}")
_REMEMBERED = 65_536
_KEY_BYTES = 32


class Tokens:
    """Makes the tokens of one line."""

    def __init__(self, key: bytes, line: str) -> None:
        self._key = key
        self._line = line.encode()

    def of(self, column: str) -> Callable[[str], str]:
        """A function from a column's values to their tokens.

        Spaces around a value do not count. A value that is empty stays so, and a token stays the token it is.
        """
        start = hmac.new(self._key, digestmod=hashlib.sha256)
        for part in (self._line, column.encode("utf-8", "surrogatepass")):
            start.update(struct.pack(">I", len(part)) + part)

        @functools.lru_cache(maxsize=_REMEMBERED)
        def token(value: str) -> str:
            text = value.strip()
            if not text or TOKEN.fullmatch(text):
                return text
            mac = start.copy()
            mac.update(text.encode("utf-8", "surrogatepass"))
            return f"p:{mac.hexdigest()[:32]}"

        return token


def pseudonym_key(line: LineStore) -> bytes:
    """The line's key, made on first use; it lies with the private keys, never in a shared store.

    Raises:
        RejectedError: it cannot be read, others may read it, or there is no place to keep it.
    """
    path = _path(line)
    try:
        if not path.exists():
            make_private_folder(path.parent.parent)
            make_private_folder(path.parent)
            create_private(path, os.urandom(_KEY_BYTES))
        check_private(path)
        key = path.read_bytes()
    except OSError as error:
        raise RejectedError(f"{path}: the key of {line.name}'s pseudonyms cannot be kept ({error.strerror})") from error
    if len(key) != _KEY_BYTES:
        raise RejectedError(
            f"{path}: the key of {line.name}'s pseudonyms has {len(key)} bytes, not {_KEY_BYTES}; restore it"
        )
    return key


def forget_pseudonym_key(line: LineStore) -> bool:
    """Remove the line's key: its tokens lead to nobody any more. False where there is none.

    The next batch gets a new key, so its tokens do not match earlier ones. Copies elsewhere (backups) are not removed.
    """
    path = _path(line)
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return True


def _path(line: LineStore) -> Path:
    return keys_folder(line.store) / line.name / "pseudonym.key"
