"""One ed25519 key per TUF role, in a folder that only its owner may read.

The keys made here on first use are demo keys: whoever can read the folder can sign as every role, so they protect
nothing beyond this machine. They say so in their own text, in the root metadata and in every release. To use real
keys, put PKCS#8 PEM files of your own (root and targets made offline) in their place before the repository is made:
one real key there, and no demo key is ever made beside it.
"""

from __future__ import annotations

import os
import stat
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from assets.store import Store
from edge.errors import RejectedError

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner

KEYS_VARIABLE = "EDGELOOP_KEYS"
DEMO_MARK = b"# edgeloop demo key: made on first use, protects nothing\n"
MAX_KEY_BYTES = 64 * 1024


def keys_folder(store: Store) -> Path:
    """Where the private keys are: $EDGELOOP_KEYS, else `keys/` in a store that is a folder of this machine.

    Raises:
        RejectedError: the store is elsewhere and $EDGELOOP_KEYS does not say where the keys are.
    """
    if folder := os.environ.get(KEYS_VARIABLE):
        return Path(folder)
    if not store.local:
        raise RejectedError(
            f"{store.root}: private keys are kept in a folder of this machine, never in a shared store; "
            f"set {KEYS_VARIABLE} to that folder"
        )
    return Path(store.path("keys"))


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
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    check_private(folder)
    if not path.exists():
        _create_private(path, DEMO_MARK + CryptoSigner.generate_ed25519().private_bytes)
    return load_key(folder, role)


def has_key(folder: Path, role: str) -> bool:
    """Whether the folder holds a key file for `role`; offline keys are not there most of the time."""
    return os.path.lexists(_path(folder, role))


def is_demo_key(folder: Path, role: str) -> bool:
    """Whether `make_key` made the key of `role`."""
    return _read_private(_path(folder, role)).startswith(DEMO_MARK)


def check_private(path: Path) -> None:
    """Raise RejectedError where anyone but its owner may use `path`, or where it is a link."""
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode):
        raise RejectedError(f"{path}: is a symbolic link; private keys are plain files in a plain folder")
    if found.st_uid != os.geteuid():
        raise RejectedError(f"{path}: belongs to another user (id {found.st_uid}); chown it to the one who signs")
    if found.st_mode & 0o077:
        wanted = "700" if path.is_dir() else "600"
        raise RejectedError(
            f"{path}: others may use it (mode {stat.S_IMODE(found.st_mode):o}); run: chmod {wanted} '{path}', "
            "and make new keys if someone may have read these"
        )


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


def _create_private(path: Path, data: bytes) -> None:
    """Write `path` with mode 600 unless it exists: complete or not at all, also when two processes try."""
    temporary = path.with_name(f".tmp-{uuid.uuid4().hex}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        try:
            path.hardlink_to(temporary)
        except FileExistsError:
            return
    finally:
        temporary.unlink(missing_ok=True)
