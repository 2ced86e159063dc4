"""An agent's home folder: what the device is, what it remembers, and durable writes.

agent.json   who this device is and where its server is (`Enrolment`)
device.key   its private ed25519 key, mode 600
root.json    the root of trust that it enrolled with
metadata/    TUF's cache
slots/<id>/  one folder per release: manifest.json, golden.json and the artifact
active       link to the slot in use, for other programs to read; made from state.json
state.json   what is in use and what was seen (`State`); its replacement is the one commit of an activation
outbox/      reports the server has not taken yet
"""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from edge.contracts import document, from_bytes, to_bytes
from edge.errors import RejectedError, TransientError
from edge.lock import lock_file

T = TypeVar("T")
HOME_VARIABLE = "EDGELOOP_AGENT_HOME"
MAX_STATE_BYTES = 1024 * 1024


class UsageError(RejectedError):
    """The command was called with something it cannot work with."""


class NotEnrolledError(UsageError):
    """The home folder does not hold an enrolled device."""


@document("edgeloop.enrolment")
@dataclass(frozen=True)
class Enrolment:
    """Who this device is, and where its server is."""

    server: str
    device: str
    line: str
    group: str


@dataclass(frozen=True)
class Refusal:
    """A release that was refused for what it is: it is not tried again until the offer or the runtimes change."""

    release: str
    serial: int
    runtimes: str
    reason: str


@document("edgeloop.agent_state")
@dataclass(frozen=True)
class State:
    """What the device remembers.

    Attributes:
        active: id of the release in use; "" before the first.
        target: name of the artifact in use.
        previous: the release used before, kept for going back.
        deployed, serial: the last deployment that was read; a smaller serial is never followed again.
        trial, tries: the release being tested, counted before the test starts, so that a test that takes the whole
            device down is not repeated for ever.
        refusal: the last release refused for what it is.
        floor: the latest time at which fresh metadata was seen, seconds since 1970; a clock before it is wrong.
        reports: sequence of the last report.
        told: what the last report said is in use.
    """

    active: str = ""
    target: str = ""
    previous: str = ""
    previous_target: str = ""
    deployed: str = ""
    serial: int = 0
    trial: str = ""
    tries: int = 0
    refusal: Refusal | None = None
    floor: float = 0.0
    reports: int = 0
    told: str = ""


@dataclass(frozen=True)
class Home:
    """The paths below an agent's home folder, and what is kept there."""

    path: Path

    @property
    def key(self) -> Path:
        """The device's private key."""
        return self.path / "device.key"

    @property
    def root(self) -> Path:
        """The root of trust."""
        return self.path / "root.json"

    @property
    def slots(self) -> Path:
        """One folder per release."""
        return self.path / "slots"

    @property
    def link(self) -> Path:
        """Points at the slot in use."""
        return self.path / "active"

    def slot(self, release: str) -> Path:
        """The folder of one release."""
        return self.slots / release

    def enrolment(self) -> Enrolment:
        """Raises NotEnrolledError, ContractError."""
        found: Enrolment | None = self._load("agent.json", Enrolment)
        if found is None:
            raise NotEnrolledError(f"{self.path}: no device is enrolled here; run: edgeloop-agent enroll --help")
        return found

    def save_enrolment(self, enrolment: Enrolment) -> None:
        """Write it durably."""
        write_durably(self.path / "agent.json", to_bytes(enrolment))

    def state(self) -> State:
        """What the device remembers; a new device remembers nothing. Raises ContractError."""
        return self._load("state.json", State) or State()

    def save_state(self, state: State) -> None:
        """Write it durably, in one step."""
        write_durably(self.path / "state.json", to_bytes(state))

    def _load(self, name: str, cls: type[T]) -> T | None:
        path = self.path / name
        try:
            return from_bytes(cls, read_limited(path, MAX_STATE_BYTES), str(path))
        except FileNotFoundError:
            return None

    @contextlib.contextmanager
    def locked(self, seconds: float = 10.0) -> Iterator[None]:
        """Only one agent works in a home at a time. Raises TransientError where another one does."""
        with lock_file(self.path / ".lock", seconds, mode=0o600) as held:
            if not held:
                raise TransientError(f"{self.path}: another edgeloop-agent is working here")
            yield


def find_home(option: str | None) -> Home:
    """The home folder: `--home`, else $EDGELOOP_AGENT_HOME. Raises NotEnrolledError without either."""
    path = option or os.environ.get(HOME_VARIABLE)
    if not path:
        raise NotEnrolledError(f"no home folder: give --home DIR, or set {HOME_VARIABLE}")
    return Home(Path(path).absolute())


def read_limited(path: Path, limit: int) -> bytes:
    """The bytes of a file. Raises RejectedError for more than `limit`, FileNotFoundError."""
    with path.open("rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise RejectedError(f"{path}: more than {limit:,} bytes; this is not the file that is expected here")
    return data


def write_durably(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Replace a file in one step: after a power cut it holds the old bytes or the new ones.

    Raises:
        TransientError: the disk is full or failing.
    """
    temporary = path.with_name(f".tmp-{uuid.uuid4().hex}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise TransientError(f"{path}: could not be written ({error}); free some space") from error
    finally:
        temporary.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Make every file below a folder, and the folders' names, durable."""
    for parent, _, files in os.walk(folder):
        for name in files:
            path = Path(parent, name)
            if path.is_file() and not path.is_symlink():
                sync_folder(path)
        sync_folder(Path(parent))
