"""Who may sign what: the first version of the repository, its delegations, and their renewal.

`targets` delegates each line's releases to a role of its own, and the deploy files to `deploy`, which delegates to hash
bins (https://theupdateframework.github.io/specification/latest/, TAP 15), all signed by the deploy key.
"""

from __future__ import annotations

from collections.abc import Iterable

from securesystemslib.signer import CryptoSigner, Key
from tuf.api.metadata import DelegatedRole, Delegations, MetaFile, Root, Snapshot, SuccinctRoles, Targets, Timestamp

from assets.release.keys import is_demo_key, keys_folder, load_key, make_key
from assets.release.metadata import (
    BIN_BITS,
    BINS,
    DEMO_FIELD,
    METADATA,
    TIMESTAMP_KEY,
    Editor,
    Expiries,
    expiry,
    near_expiry,
    newest_root,
    write_signed,
)
from assets.store import Store
from edge.errors import RejectedError, VerificationError

TOP_ROLES = ("root", "targets", "snapshot", "timestamp")


def open_repository(store: Store, lines: Iterable[str], expiries: Expiries) -> Editor:
    """The repository, made where there is none, with each line delegated to, and renewed past half of its life.

    Call it while holding the lock.

    Raises:
        RejectedError: a key is missing or readable by others; a file of a repository in use is missing.
        VerificationError: metadata in the store is not signed by its role's key.
    """
    if not store.exists(TIMESTAMP_KEY):
        _create(store, expiries)
    editor = Editor.open(store, expiries)
    if near_expiry(expiries, "root", editor.root.signed):
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
    if "targets" in editor.changed or near_expiry(expiries, "targets", targets):
        editor.write("targets", targets)
    for name in [name.removesuffix(".json") for name in editor.snapshot.signed.meta]:
        if name not in editor.changed and name != "targets":
            signed = editor.role(name)
            if near_expiry(expiries, name, signed):
                editor.write(name, signed)
    if editor.changed:
        editor.commit()
    else:
        freshen(editor)
    return editor


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
    if "2.snapshot.json" in store.names(METADATA):
        raise RejectedError(
            f"{TIMESTAMP_KEY}: missing from a repository that was in use; restore it from a backup "
            "(devices would refuse a repository that starts over)"
        )
    if store.exists(f"{METADATA}/1.root.json"):
        newest_root(store)
    else:
        _create_root(store, expiries)
    root = newest_root(store).signed
    deploy_key = make_key(folder, "deploy").public_key
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
    folder = keys_folder(store)
    root = Root(expires=expiry(expiries, "root"), consistent_snapshot=True)
    for role in TOP_ROLES:
        root.add_key(make_key(folder, role).public_key, role)
    if any(is_demo_key(folder, role) for role in TOP_ROLES):
        root.unrecognized_fields[DEMO_FIELD] = True
    write_signed(store, "1.root", "root", root, root)


def _renew_root(editor: Editor) -> None:
    root = editor.root.signed
    root.version += 1
    root.expires = expiry(editor.expiries, "root")
    write_signed(editor.store, f"{root.version}.root", "root", root, root)


def _line_key(store: Store, editor: Editor, role: str) -> CryptoSigner:
    """Made on first use in a demo repository only: a real one must not come to trust a demo key."""
    make = make_key if editor.root.signed.unrecognized_fields.get(DEMO_FIELD) else load_key
    return make(keys_folder(store), role)


def delegations_of(targets: Targets) -> Delegations:
    """Raises VerificationError where there are none."""
    if targets.delegations is None:
        raise VerificationError(f"{METADATA}: a role that should delegate does not; restore it from a backup")
    return targets.delegations
