"""Slots: one folder per release, written whole, switched in one durable step, never written over while in use.

The commit of an activation is the replacement of `state.json`. The link `active` is made from it, so a power cut
between the two is mended at the next start. Mending never looks at metadata's expiry: a device that was off for a year
starts with the release it had.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from edge.agent.fetch import file_sha256
from edge.agent.home import Home, State, read_limited, sync_folder, sync_tree
from edge.agent.trial import find_artifact
from edge.contracts import ArtifactRef, ReleaseArtifact, ReleaseManifest, from_bytes
from edge.contracts.codec import MAX_DOCUMENT_BYTES
from edge.errors import RejectedError, TransientError, VerificationError

STAGING = ".tmp-"
SPARE_BYTES = 1024 * 1024


def verify_slot(home: Home, release: str, target: str) -> tuple[ReleaseManifest, ReleaseArtifact]:
    """The manifest and artifact of a slot, every byte checked against the release's id.

    Raises:
        VerificationError: a file is missing or was changed.
        ContractError, IncompatibleError: the manifest cannot be read, or has no such target.
    """
    slot = home.slot(release)
    path = slot / "manifest.json"
    try:
        data = read_limited(path, MAX_DOCUMENT_BYTES)
        if hashlib.sha256(data).hexdigest() != release:
            raise VerificationError(f"{path}: was changed; it is not the manifest of release {release[:12]}")
        manifest = from_bytes(ReleaseManifest, data, str(path))
        artifact = find_artifact(manifest, target)
        for file in (manifest.golden, artifact.file):
            _check_file(slot / file.uri, file)
    except OSError as error:
        raise VerificationError(f"{error.filename or slot}: cannot be read ({error.strerror})") from error
    return manifest, artifact


@contextlib.contextmanager
def staging(home: Home) -> Iterator[Path]:
    """A new folder beside the slots, removed if it was not installed."""
    folder = home.slots / f"{STAGING}{uuid.uuid4().hex}"
    try:
        folder.mkdir(parents=True)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def check_space(folder: Path, size: int) -> None:
    """Raise TransientError unless `size` bytes and some room to breathe fit on the disk of `folder`."""
    free = shutil.disk_usage(folder).free
    if free < size + SPARE_BYTES:
        raise TransientError(f"{folder}: {free:,} bytes are free, the release needs {size + SPARE_BYTES:,}; free some")


def install(home: Home, staged: Path, release: str) -> None:
    """Make a complete staged folder the slot of `release`; a damaged slot of that name is moved out of the way."""
    slot = home.slot(release)
    try:
        sync_tree(staged)
        if slot.exists():
            slot.rename(home.slots / f"{STAGING}{uuid.uuid4().hex}")
        staged.rename(slot)
        sync_folder(home.slots)
    except OSError as error:
        raise TransientError(f"{slot}: could not be written ({error}); free some space") from error


def commit(home: Home, state: State) -> None:
    """Make `state` durable, then let `active` point where it says, and remove slots that it does not name."""
    home.save_state(state)
    _point(home, state.active)
    _collect(home, state)


def recover(home: Home) -> tuple[State, str]:
    """Mend what a crash or a bad disk left; doing it twice changes nothing.

    Returns:
        The state, and why the device went back to its previous release ("" where it did not). Where the active slot is
        damaged and there is no sound previous one, the state stays and the next poll fetches the release again.
    """
    state, why = home.state(), ""
    if state.active:
        try:
            verify_slot(home, state.active, state.target)
        except RejectedError as damage:
            if state.previous and _sound(home, state.previous, state.previous_target):
                why = f"release {state.active[:12]} is damaged on this device ({damage}); went back"
                state = replace(
                    state,
                    active=state.previous,
                    target=state.previous_target,
                    previous="",
                    previous_target="",
                )
                home.save_state(state)
    _point(home, state.active)
    _collect(home, state)
    return state, why


def _sound(home: Home, release: str, target: str) -> bool:
    try:
        verify_slot(home, release, target)
    except RejectedError:
        return False
    return True


def _check_file(path: Path, expected: ArtifactRef) -> None:
    size = path.stat().st_size
    if size != expected.size or (found := file_sha256(path)) != expected.sha256:
        found = f"{size:,} bytes" if size != expected.size else f"SHA-256 {found[:12]}…"
        raise VerificationError(
            f"{path}: was changed: {found}, expected {expected.size:,} bytes with SHA-256 {expected.sha256[:12]}…"
        )


def _point(home: Home, release: str) -> None:
    """Let the link `active` name the slot, in one step; without a release there is no link."""
    wanted = Path("slots", release)
    if not release:
        home.link.unlink(missing_ok=True)
        return
    if home.link.is_symlink() and home.link.readlink() == wanted:
        return
    temporary = home.path / f"{STAGING}{uuid.uuid4().hex}"
    temporary.symlink_to(wanted)
    os.replace(temporary, home.link)  # noqa: PTH105 -- Path.replace follows nothing either; this says it
    sync_folder(home.path)


def _collect(home: Home, state: State) -> None:
    """Remove what crashes left behind, and slots that are neither in use nor the way back."""
    keep = {state.active, state.previous, state.trial}
    leftovers = [entry for entry in home.slots.glob("*") if entry.name not in keep]
    for folder in (home.path, home.path / "metadata", home.path / "outbox"):
        leftovers += folder.glob(f"{STAGING}*")
    for entry in leftovers:
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)
