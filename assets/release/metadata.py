"""The repository's signed metadata: opened, verified, changed, and committed in an order that a crash cannot break.

Readers reach everything from `timestamp.json`. So new files are written first and the timestamp last: before that
write the repository is the old one, after it the new one. What a crash leaves in between is named by nothing, and the
next change writes over it. Everything is verified before it is signed again: a store that someone else can write to
must not turn a file of theirs into one of ours.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, TypeVar, cast

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, Targets, Timestamp

from assets.release.keys import keys_folder, load_key
from assets.storage import layout
from assets.storage.store import Store
from edge.errors import RejectedError, TransientError, VerificationError
from edge.lock import lock_file

S = TypeVar("S", Root, Timestamp, Snapshot, Targets)
DEMO_FIELD = "edgeloop-demo-keys"
BINS = "deploy-bin"
BIN_BITS = 4
LOCK_SECONDS = 120.0


@dataclass(frozen=True)
class Expiries:
    """How long a signature counts. `targets` is for every role that lists target files."""

    root: timedelta = timedelta(days=365)
    targets: timedelta = timedelta(days=365)
    snapshot: timedelta = timedelta(days=7)
    timestamp: timedelta = timedelta(days=1)

    def of(self, role: str) -> timedelta:
        """The lifetime of `role`'s signatures."""
        return cast(timedelta, getattr(self, role if role in {"root", "snapshot", "timestamp"} else "targets"))


@contextlib.contextmanager
def locked(store: Store, seconds: float = LOCK_SECONDS) -> Iterator[None]:
    """Hold the repository's exclusive lock, so that several runs may publish at once.

    A folder is locked by `tuf/.lock` in it. A bucket is locked in the folder of the keys: whoever may publish holds
    the keys, and the keys are on one machine.

    Raises:
        TransientError: another process held it for `seconds`.
    """
    path = Path(store.path(layout.TUF_LOCK)) if store.local else keys_folder(store) / ".lock"
    path.parent.mkdir(mode=0o755 if store.local else 0o700, parents=True, exist_ok=True)
    with lock_file(path, seconds, mode=0o600) as held:
        if not held:
            raise TransientError(f"{path}: another run has been publishing for {seconds:.0f} s")
        yield


@dataclass
class Editor:
    """The repository as its timestamp names it. Use it only while holding the lock.

    Attributes:
        changed: roles written since it was opened; they count after `commit`.
    """

    store: Store
    expiries: Expiries
    root: Metadata[Root]
    timestamp: Metadata[Timestamp]
    snapshot: Metadata[Snapshot]
    changed: set[str] = field(default_factory=set)
    _roles: dict[str, Targets] = field(default_factory=dict)

    @classmethod
    def open(cls, store: Store, expiries: Expiries) -> Editor:
        """Read and verify root, timestamp and snapshot. Raises VerificationError."""
        root = newest_root(store)
        timestamp = _verified(store, layout.TUF_TIMESTAMP, Timestamp, root.signed, "timestamp")
        version = timestamp.signed.snapshot_meta.version
        snapshot = _verified(store, layout.tuf_metadata(f"{version}.snapshot.json"), Snapshot, root.signed, "snapshot")
        return cls(store, expiries, root, timestamp, snapshot)

    def role(self, name: str) -> Targets:
        """The current content of a role that lists targets, verified against the role that delegates to it."""
        if name not in self._roles:
            key = layout.tuf_metadata(f"{self.snapshot.signed.meta[f'{name}.json'].version}.{name}.json")
            self._roles[name] = _verified(self.store, key, Targets, self._delegator(name), name).signed
        return self._roles[name]

    def write(self, name: str, signed: Targets) -> None:
        """Sign and write a role's next version; `commit` makes it count."""
        before = self.snapshot.signed.meta.get(f"{name}.json")
        signed.version = before.version + 1 if before else 1
        signed.expires = expiry(self.expiries, name)
        write_signed(self.store, f"{signed.version}.{name}", name, signed, self._delegator(name))
        self.snapshot.signed.meta[f"{name}.json"] = MetaFile(signed.version)
        self._roles[name] = signed
        self.changed.add(name)

    def commit(self) -> None:
        """Write the next snapshot, then the next timestamp: from that write on readers see the changes."""
        snapshot = self.snapshot.signed
        snapshot.version += 1
        snapshot.expires = expiry(self.expiries, "snapshot")
        write_signed(self.store, f"{snapshot.version}.snapshot", "snapshot", snapshot, self.root.signed)
        self.timestamp.signed.snapshot_meta = MetaFile(snapshot.version)
        self.sign_timestamp()
        self.changed.clear()

    def sign_timestamp(self) -> None:
        """Write the next timestamp for the snapshot it names."""
        timestamp = self.timestamp.signed
        timestamp.version += 1
        timestamp.expires = expiry(self.expiries, "timestamp")
        write_signed(self.store, "timestamp", "timestamp", timestamp, self.root.signed)

    def _delegator(self, name: str) -> Root | Targets:
        if name == "targets":
            return self.root.signed
        return self.role("deploy" if name.startswith(BINS) else "targets")


def newest_root(store: Store) -> Metadata[Root]:
    """The newest root, verified by itself. Raises VerificationError, FileNotFoundError."""
    version = 1
    while store.exists(layout.tuf_metadata(f"{version + 1}.root.json")):
        version += 1
    key = layout.tuf_metadata(f"{version}.root.json")
    root: Metadata[Root] = _parse(store, key, Root)
    _verify(root, root.signed, "root", key)
    return root


def expiry(expiries: Expiries, role: str) -> datetime:
    """When a signature made now for `role` ends; whole seconds, UTC."""
    return datetime.now(timezone.utc).replace(microsecond=0) + expiries.of(role)


def near_expiry(expiries: Expiries, role: str, signed: Any) -> bool:
    """Whether less than half of `role`'s lifetime is left."""
    return bool(signed.expires - datetime.now(timezone.utc) < expiries.of(role) / 2)


def key_name(role: str) -> str:
    """Which key signs for `role`: the deploy key signs for its hash bins too."""
    return "deploy" if role.startswith(BINS) else role


def write_signed(store: Store, name: str, role: str, signed: Any, delegator: Root | Targets) -> None:
    """Sign for `role` (hash bins with the deploy key) and write `<name>.json` in one step.

    Raises:
        RejectedError: the key is missing, or is not the one that `delegator` trusts for this role.
    """
    signer = load_key(keys_folder(store), key_name(role))
    metadata = Metadata(signed)
    metadata.sign(signer)
    try:
        delegator.verify_delegate(role, metadata.signed_bytes, metadata.signatures)
    except (RepositoryError, ValueError) as error:
        raise RejectedError(
            f"{keys_folder(store)}: the key of {role!r} is not the one that the repository trusts ({error}); "
            "restore the keys that this repository was made with"
        ) from error
    store.write(layout.tuf_metadata(f"{name}.json"), metadata.to_bytes())


def _verified(store: Store, key: str, cls: type[S], delegator: Root | Targets, role: str) -> Metadata[S]:
    metadata: Metadata[S] = _parse(store, key, cls)
    _verify(metadata, delegator, role, key)
    return metadata


def _verify(metadata: Metadata[Any], delegator: Root | Targets, role: str, key: str) -> None:
    try:
        delegator.verify_delegate(role, metadata.signed_bytes, metadata.signatures)
    except (RepositoryError, ValueError) as error:
        raise VerificationError(
            f"{key}: not signed by the key that the repository trusts for {role!r} ({error}); someone else wrote it: "
            "restore it from a backup, and find out who can write to the store"
        ) from error


def _parse(store: Store, key: str, cls: type[S]) -> Metadata[S]:
    try:
        metadata = Metadata[S].from_bytes(store.read(key))
    except FileNotFoundError as error:
        raise RejectedError(f"{key}: the repository's metadata is missing; restore it from a backup") from error
    except RepositoryError as error:
        raise VerificationError(f"{key}: not readable TUF metadata ({error}); restore it from a backup") from error
    if not isinstance(metadata.signed, cls):
        raise VerificationError(f"{key}: holds {metadata.signed.type} metadata; restore it from a backup")
    return metadata
