"""Who may sign what: the first version of the repository, its delegations, and their renewal.

`targets` delegates each line's releases to a role of its own, and the deploy files to `deploy`, which delegates to hash
bins (https://theupdateframework.github.io/specification/latest/, TAP 15), all signed by the deploy key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from securesystemslib.signer import CryptoSigner, Key
from tuf.api.metadata import DelegatedRole, Delegations, MetaFile, Root, Snapshot, SuccinctRoles, Targets, Timestamp

from assets.release.keys import has_key, is_demo_key, keys_folder, load_key, make_key
from assets.release.metadata import (
    BIN_BITS,
    BINS,
    DEMO_FIELD,
    Editor,
    Expiries,
    expiry,
    key_name,
    near_expiry,
    newest_root,
    write_signed,
)
from assets.storage import layout
from assets.storage.store import Store
from edge.errors import RejectedError, VerificationError

TOP_ROLES = ("root", "targets", "snapshot", "timestamp")


def open_repository(store: Store, lines: Iterable[str], expiries: Expiries) -> Editor:
    """The repository, made where there is none, with each line delegated to, and renewed past half of its life.

    Call it while holding the lock. A role whose key is not here (root and targets belong offline) is left as it is;
    `expiry_notes` says when its key is needed.

    Raises:
        RejectedError: a key is missing or readable by others; a file of a repository in use is missing; root or
            targets has expired and its key is not here.
        VerificationError: metadata in the store is not signed by its role's key.
    """
    if not store.exists(layout.TUF_TIMESTAMP):
        _create(store, expiries)
    editor = Editor.open(store, expiries)
    folder = keys_folder(store)
    _refuse_expired(editor)
    if near_expiry(expiries, "root", editor.root.signed) and has_key(folder, "root"):
        _renew_root(editor)
    targets = editor.role("targets")
    roles = delegations_of(targets).roles or {}
    for line in lines:
        name = f"release-{line}"
        if name not in roles:
            key = _line_key(store, editor, name).public_key
            roles[name] = DelegatedRole(name, [], 1, True, paths=[f"releases/{line}/*/*"])
            targets.add_key(key, name)
            editor.write(name, Targets())
            editor.changed.add("targets")
    if "targets" in editor.changed or (near_expiry(expiries, "targets", targets) and has_key(folder, "targets")):
        editor.write("targets", targets)
    for name in [name.removesuffix(".json") for name in editor.snapshot.signed.meta]:
        if name not in editor.changed and name != "targets" and has_key(folder, key_name(name)):
            signed = editor.role(name)
            if near_expiry(expiries, name, signed):
                editor.write(name, signed)
    if editor.changed:
        editor.commit()
    else:
        freshen(editor)
    return editor


def expiry_notes(editor: Editor) -> tuple[str, ...]:
    """One sentence for each of root and targets that is past half of its life: its key was not here to renew it."""
    return tuple(
        f"{role} expires on {signed.expires:%Y-%m-%d} and its key is not in {keys_folder(editor.store)}: put "
        f"{role}.pem there for one release, and every device stays served"
        for role, signed in _offline(editor)
        if near_expiry(editor.expiries, role, signed)
    )


def _offline(editor: Editor) -> tuple[tuple[str, Root | Targets], ...]:
    return ("root", editor.root.signed), ("targets", editor.role("targets"))


def _refuse_expired(editor: Editor) -> None:
    for role, signed in _offline(editor):
        if signed.is_expired() and not has_key(keys_folder(editor.store), role):
            raise RejectedError(
                f"{layout.TUF_METADATA}: {role} expired on {signed.expires:%Y-%m-%d}, so devices refuse everything; "
                f"put its key at {keys_folder(editor.store) / role}.pem and run this again: it is renewed first"
            )


def freshen(editor: Editor) -> bool:
    """Sign snapshot and timestamp again where less than half of their life is left; whether anything was signed."""
    if near_expiry(editor.expiries, "snapshot", editor.snapshot.signed):
        editor.commit()
        return True
    if near_expiry(editor.expiries, "timestamp", editor.timestamp.signed):
        editor.sign_timestamp()
        return True
    return False


def _create(store: Store, expiries: Expiries) -> None:
    """The first version of everything. After a crash in here it is called again: a root that exists is kept."""
    folder = keys_folder(store)
    if "2.snapshot.json" in store.names(layout.TUF_METADATA):
        raise RejectedError(
            f"{layout.TUF_TIMESTAMP}: missing from a repository that was in use; restore it from a backup "
            "(devices would refuse a repository that starts over)"
        )
    if store.exists(layout.tuf_metadata("1.root.json")):
        newest_root(store)
    else:
        _create_root(store, expiries)
    root = newest_root(store).signed
    deploy_key = _signer_maker(root)(folder, "deploy").public_key
    keys: dict[str, Key] = {deploy_key.keyid: deploy_key}
    bins = SuccinctRoles([deploy_key.keyid], 1, BIN_BITS, BINS)
    to_deploy = DelegatedRole("deploy", [deploy_key.keyid], 1, True, paths=["deploy/*/*"])
    targets = Targets(
        expires=expiry(expiries, "targets"), delegations=Delegations(dict(keys), roles={"deploy": to_deploy})
    )
    deploy_role = Targets(expires=expiry(expiries, "deploy"), delegations=Delegations(keys, succinct_roles=bins))
    names = ["targets", "deploy", *bins.get_roles()]
    write_signed(store, "1.targets", "targets", targets, root)
    write_signed(store, "1.deploy", "deploy", deploy_role, targets)
    for name in bins.get_roles():
        write_signed(store, f"1.{name}", name, Targets(expires=expiry(expiries, name)), deploy_role)
    snapshot = Snapshot(expires=expiry(expiries, "snapshot"), meta={f"{name}.json": MetaFile(1) for name in names})
    write_signed(store, "1.snapshot", "snapshot", snapshot, root)
    timestamp = Timestamp(expires=expiry(expiries, "timestamp"), snapshot_meta=MetaFile(1))
    write_signed(store, "timestamp", "timestamp", timestamp, root)


def _create_root(store: Store, expiries: Expiries) -> None:
    """Of demo keys where the folder holds no real one. A real repository is never completed with demo keys."""
    folder = keys_folder(store)
    roles = (*TOP_ROLES, "deploy")
    present = [role for role in roles if has_key(folder, role)]
    make = make_key if all(is_demo_key(folder, role) for role in present) else load_key
    keys = {role: make(folder, role).public_key for role in roles}
    root = Root(expires=expiry(expiries, "root"), consistent_snapshot=True)
    for role in TOP_ROLES:
        root.add_key(keys[role], role)
    if any(is_demo_key(folder, role) for role in roles):
        root.unrecognized_fields[DEMO_FIELD] = True
    write_signed(store, "1.root", "root", root, root)


def _renew_root(editor: Editor) -> None:
    root = editor.root.signed
    root.version += 1
    root.expires = expiry(editor.expiries, "root")
    write_signed(editor.store, f"{root.version}.root", "root", root, root)


def _line_key(store: Store, editor: Editor, role: str) -> CryptoSigner:
    return _signer_maker(editor.root.signed)(keys_folder(store), role)


def _signer_maker(root: Root) -> Callable[[Path, str], CryptoSigner]:
    """Keys are made on first use in a demo repository only: a real one must not come to trust a demo key."""
    return make_key if root.unrecognized_fields.get(DEMO_FIELD) else load_key


def demo_roles(editor: Editor) -> tuple[str, ...]:
    """Roles whose key, as it lies in the keys folder, is a demo key."""
    folder = keys_folder(editor.store)
    roles = (*TOP_ROLES, *(delegations_of(editor.role("targets")).roles or {}))
    return tuple(role for role in roles if has_key(folder, role) and is_demo_key(folder, role))


def delegations_of(targets: Targets) -> Delegations:
    """Raises VerificationError where there are none."""
    if targets.delegations is None:
        raise VerificationError(
            f"{layout.TUF_METADATA}: a role that should delegate does not; restore it from a backup"
        )
    return targets.delegations
