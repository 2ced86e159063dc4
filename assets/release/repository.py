"""A TUF repository of static files: `tuf/metadata/` and `tuf/targets/`, for any web server, bucket or CDN.

Authorities (https://theupdateframework.github.io/specification/latest/): `targets` delegates each line's releases to
its own role `release-<line>`, and the deploy files to `deploy`, which delegates to hash bins, so that one group's
change costs a device kilobytes however large the fleet is. The deploy key can only point groups at released files.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterable, Mapping

from tuf.api.exceptions import LengthOrHashMismatchError
from tuf.api.metadata import TargetFile

from assets.records.line_store import LineStore
from assets.release.authorities import delegations_of, demo_roles, expiry_notes, freshen, open_repository
from assets.release.documents import ReleaseRecord
from assets.release.metadata import DEMO_FIELD, Editor, Expiries, locked
from assets.storage import layout
from assets.storage.store import Store
from edge.contracts import Deployment, ReleaseManifest, from_bytes, to_bytes
from edge.errors import RejectedError, TransientError, VerificationError

SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
DEFAULT_EXPIRIES = Expiries()


def ensure_repository(store: Store, lines: Iterable[str], expiries: Expiries = DEFAULT_EXPIRIES) -> None:
    """Make the repository where there is none, delegate to each line, and renew what is past half of its life.

    Raises:
        RejectedError: a key is missing or readable by others; a file of a repository in use is missing; root or
            targets has expired and its key is not here.
        VerificationError: metadata in the store is not signed by its role's key.
    """
    with locked(store):
        open_repository(store, lines, expiries)


def publish(
    line: LineStore,
    manifest: ReleaseManifest,
    files: Mapping[str, bytes],
    expiries: Expiries = DEFAULT_EXPIRIES,
) -> ReleaseRecord:
    """Put a release in the repository; publishing the same release again changes nothing.

    Args:
        manifest: its golden set's and artifacts' `uri` are plain file names in the release's folder.
        files: the bytes of each such file.

    Returns:
        The record, which is also kept at `store/<line>/releases/<release id>.json`.

    Raises:
        RejectedError, VerificationError: a file that the manifest does not name, or that is not the one it names.
    """
    contents = _release_files(line.name, manifest, files)
    data = contents["manifest.json"]
    release = hashlib.sha256(data).hexdigest()
    base = f"releases/{line.name}/{release}"
    role = f"release-{line.name}"
    with locked(line.store):
        editor = open_repository(line.store, (line.name,), expiries)
        signed = editor.role(role)
        targets = {f"{base}/{name}": body for name, body in contents.items()}
        for path, body in targets.items():
            _write_target(line.store, path, body)
        if not targets.keys() <= signed.targets.keys():
            signed.targets |= {path: TargetFile.from_data(path, body, ["sha256"]) for path, body in targets.items()}
            editor.write(role, signed)
            editor.commit()
        key = layout.release(line.name, release)
        if line.store.exists(key):
            return line.store.load(key, ReleaseRecord)
        record = ReleaseRecord(line.name, release, manifest.sequence, f"{base}/manifest.json", manifest, time.time())
        line.store.save(key, record)
        return record


class DeploymentChangedError(TransientError):
    """The group was pointed elsewhere since the caller looked; look, and decide, again."""


def deploy(
    line: LineStore,
    group: str,
    record: ReleaseRecord,
    expiries: Expiries = DEFAULT_EXPIRIES,
    *,
    expected_serial: int | None = None,
) -> Deployment:
    """Point `group` at a released manifest with the group's next serial; pointing it there again changes nothing.

    Args:
        expected_serial: the serial that the caller's decision rests on, 0 before any promotion; compared under the
            lock. None does not compare.

    Raises:
        RejectedError: the release is not in the repository, or the group's name is not a plain name.
        DeploymentChangedError: the group has another serial than expected.
    """
    path = _deploy_path(line.name, group)
    with locked(line.store):
        editor = open_repository(line.store, (line.name,), expiries)
        if record.manifest_path not in editor.role(f"release-{line.name}").targets:
            raise RejectedError(f"{record.manifest_path}: not in the repository; publish the release first")
        current = _deployment(line.store, editor, path)
        if current is not None and current.release == record.release:
            return current
        serial = current.serial if current else 0
        if expected_serial not in {None, serial}:
            raise DeploymentChangedError(
                f"group {group!r} of line {line.name!r} was pointed elsewhere meanwhile (serial {serial}, not "
                f"{expected_serial}); look, and decide, again"
            )
        serial += 1
        deployment = Deployment(line.name, group, record.release, record.manifest_path, record.sequence, serial)
        data = to_bytes(deployment)
        _write_target(line.store, path, data)
        name = _bin(editor, path)
        signed = editor.role(name)
        signed.targets[path] = TargetFile.from_data(path, data, ["sha256"])
        editor.write(name, signed)
        editor.commit()
        return deployment


def current_deployment(line: LineStore, group: str) -> Deployment | None:
    """Where `group` is pointed now; None before any promotion. Raises VerificationError for a changed deploy file."""
    path = _deploy_path(line.name, group)
    if not line.store.exists(layout.TUF_TIMESTAMP):
        return None
    return _deployment(line.store, Editor.open(line.store, DEFAULT_EXPIRIES), path)


def refresh_timestamp(store: Store, expiries: Expiries = DEFAULT_EXPIRIES) -> bool:
    """Sign snapshot and timestamp again where less than half of their life is left; a schedule calls this.

    Needs the snapshot and timestamp keys only. Returns whether anything was signed; False without a repository.
    """
    with locked(store):
        if not store.exists(layout.TUF_TIMESTAMP):
            return False
        return freshen(Editor.open(store, expiries))


def uses_demo_keys(store: Store) -> bool:
    """Whether any role that signs uses a demo key, by the root metadata or by the key that lies here."""
    editor = Editor.open(store, DEFAULT_EXPIRIES)
    return bool(editor.root.signed.unrecognized_fields.get(DEMO_FIELD, False)) or bool(demo_roles(editor))


def renewal_notes(store: Store, expiries: Expiries = DEFAULT_EXPIRIES) -> tuple[str, ...]:
    """What a person should renew with an offline key, one sentence each; empty where nothing is due."""
    return expiry_notes(Editor.open(store, expiries))


def _release_files(line: str, manifest: ReleaseManifest, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """File name to bytes, the manifest included, each checked against what the manifest says of it."""
    if manifest.line != line:
        raise RejectedError(f"the manifest is of line {manifest.line!r}, not of {line!r}")
    named = {ref.uri: ref for ref in (manifest.golden, *(artifact.file for artifact in manifest.artifacts))}
    if named.keys() != files.keys():
        raise RejectedError(f"the manifest names {sorted(named)}, but the files given are {sorted(files)}")
    for name, ref in named.items():
        if not SAFE_NAME.fullmatch(name) or name == "manifest.json":
            raise RejectedError(f"{name!r}: a release's file has a plain name, and is not called manifest.json")
        found = hashlib.sha256(files[name]).hexdigest()
        if found != ref.sha256 or len(files[name]) != ref.size:
            raise VerificationError(f"{name}: expected SHA-256 {ref.sha256[:12]}…, found {found[:12]}…; build it again")
    return {"manifest.json": to_bytes(manifest), **files}


def _write_target(store: Store, path: str, data: bytes) -> None:
    """Write a target file under its consistent-snapshot name, unless these very bytes are there."""
    key = layout.tuf_target(path, hashlib.sha256(data).hexdigest())
    if not store.exists(key) or store.read(key) != data:
        store.write(key, data)


def _deploy_path(line: str, group: str) -> str:
    if not SAFE_NAME.fullmatch(group):
        raise RejectedError(f"group {group!r}: a group's name has letters, digits, dots and hyphens only")
    return f"deploy/{line}/{group}.json"


def _bin(editor: Editor, path: str) -> str:
    bins = delegations_of(editor.role("deploy")).succinct_roles
    if bins is None:
        raise VerificationError(
            f"{layout.TUF_METADATA}: role 'deploy' does not delegate to hash bins; restore it from a backup"
        )
    return bins.get_role_for_target(path)


def _deployment(store: Store, editor: Editor, path: str) -> Deployment | None:
    target = editor.role(_bin(editor, path)).targets.get(path)
    if target is None:
        return None
    key = layout.tuf_target(path, target.hashes["sha256"])
    data = store.read(key)
    try:
        target.verify_length_and_hashes(data)
    except LengthOrHashMismatchError as error:
        raise VerificationError(f"{key}: was changed ({error}); restore it, or promote again") from error
    return from_bytes(Deployment, data, key)
