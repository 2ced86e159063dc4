"""One ed25519 key per TUF role, in a folder that only its owner may read.

The keys made here on first use are demo keys: whoever can read the folder can sign as every role, so they protect
nothing beyond this machine. They say so in their own text, in the root metadata and in every release. To use real
keys, put PKCS#8 PEM files of your own (root and targets made offline) in their place before the repository is made:
one real key there, and no demo key is ever made beside it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from assets.storage.private_files import check_private, create_private, keys_folder, make_private_folder
from edge.errors import RejectedError

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner

__all__ = ["has_key", "is_demo_key", "keys_folder", "load_key", "make_key"]
DEMO_MARK = b"# edgeloop demo key: made on first use, protects nothing\n"
MAX_KEY_BYTES = 64 * 1024


def load_key(folder: Path, role: str) -> CryptoSigner:
    """The signer of `role`.

    Raises:
        RejectedError: the key is missing, is not an ed25519 key in PEM, or others than its owner may read it.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from securesystemslib.signer import CryptoSigner

    path = _path(folder, role)
    try:
        private = load_pem_private_key(_read_private(path), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise RejectedError(f"{path}: not an unencrypted PKCS#8 key in PEM ({error}); restore it") from error
    if not isinstance(private, Ed25519PrivateKey):
        raise RejectedError(f"{path}: not an ed25519 key; every role signs with ed25519")
    return CryptoSigner(private)


def make_key(folder: Path, role: str) -> CryptoSigner:
    """The signer of `role`; a demo key is made where there is none. An existing file is never overwritten.

    Raises:
        RejectedError: as `load_key` does.
    """
    from securesystemslib.signer import CryptoSigner

    path = _path(folder, role)
    make_private_folder(folder)
    if not path.exists():
        create_private(path, DEMO_MARK + CryptoSigner.generate_ed25519().private_bytes)
    return load_key(folder, role)


def has_key(folder: Path, role: str) -> bool:
    """Whether the folder holds a key file for `role`; offline keys are not there most of the time."""
    return os.path.lexists(_path(folder, role))


def is_demo_key(folder: Path, role: str) -> bool:
    """Whether `make_key` made the key of `role`."""
    return _read_private(_path(folder, role)).startswith(DEMO_MARK)


def _path(folder: Path, role: str) -> Path:
    return folder / f"{role}.pem"


def _read_private(path: Path) -> bytes:
    try:
        check_private(path.parent)
        check_private(path)
        if not path.is_file() or path.stat().st_size > MAX_KEY_BYTES:
            raise RejectedError(f"{path}: not a key file; restore it")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise RejectedError(
            f"{path}: the private key of role {path.stem!r} is missing; restore it from its backup (devices would not "
            "trust a new one). Only a repository that is just being made takes a new key: put yours there"
        ) from error
