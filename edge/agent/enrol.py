"""Enrolment: the device makes its own key, learns whom to trust, and tells the server who it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from edge.agent.fetch import MAX_ROOT_BYTES, check_root
from edge.agent.home import Enrolment, Home, NotEnrolledError, UsageError, read_limited, write_durably
from edge.agent.identity import detect_profile, device_key, public_hex
from edge.agent.link import check_server, get
from edge.agent.report import enroll
from edge.contracts import is_name
from edge.errors import RejectedError


def enrol(home: Home, server: str, device: str, line: str, group: str, root: Path | None) -> str:
    """Enrol this device; doing it again with the same names changes nothing, and moves it to another group if asked.

    Args:
        server: URL of the server.
        root: trusted root metadata that came another way; None trusts the server's on first use.

    Returns:
        The fingerprint of the root it trusts (SHA-256, 64 hex digits), for a person to compare.

    Raises:
        UsageError: a bad name or URL.
        RejectedError: another device in this home, another root than before, or the server refuses.
        VerificationError: the root is not signed by itself.
        TransientError: the server is away.
    """
    server = check_server(server)
    for option, value in (("--device", device), ("--line", line), ("--group", group)):
        if not is_name(value):
            raise UsageError(f"{option} {value!r}: a name has lower-case letters, digits, '.', '_', '-', at most 63")
    home.path.mkdir(mode=0o700, parents=True, exist_ok=True)
    with home.locked():
        wanted = Enrolment(server, device, line, group)
        _check_same_device(home, wanted)
        fingerprint = _trust_root(home, server, root)
        key = device_key(home.key)
        enroll(server, key, detect_profile(wanted, public_hex(key)))
        _forget_other_group(home, wanted)
        home.save_enrolment(wanted)
    return fingerprint


def _check_same_device(home: Home, wanted: Enrolment) -> None:
    try:
        known = home.enrolment()
    except NotEnrolledError:
        return
    if (known.device, known.line) != (wanted.device, wanted.line):
        raise RejectedError(
            f"{home.path}: enrolled as device {known.device!r} of line {known.line!r}; use another --home"
        )


def _forget_other_group(home: Home, wanted: Enrolment) -> None:
    """Serials and refusals belong to one group: the new group's count from their own beginning.

    The release in use stays. Done before the enrolment is written: a crash in between costs the old group's memory,
    which TUF's own versions stand in for, and enrolling again finishes the move.
    """
    try:
        known = home.enrolment()
    except NotEnrolledError:
        return
    if (known.line, known.group) != (wanted.line, wanted.group):
        home.save_state(replace(home.state(), deployed="", serial=0, refusal=None, trial="", tries=0))


def _trust_root(home: Home, server: str, given: Path | None) -> str:
    """The root in the home is never replaced: TUF itself follows the platform's later roots from it."""
    known = read_limited(home.root, MAX_ROOT_BYTES) if home.root.exists() else None
    if given is not None:
        try:
            data = read_limited(given, MAX_ROOT_BYTES)
        except OSError as error:
            raise RejectedError(f"--root {given}: cannot be read ({error.strerror})") from error
        if known is not None and known != data:
            raise RejectedError(f"--root {given}: differs from the root this device trusts; use another --home")
    elif known is not None:
        data = known
    else:
        url = f"{server}/metadata/1.root.json"
        answer = get(url)
        if answer.status != 200:
            raise RejectedError(
                f"{url}: HTTP {answer.status}; is this an Edgeloop server, and has the line been released once?"
            )
        data = answer.body
    fingerprint = check_root(data, str(given or server))
    if known is None:
        write_durably(home.root, data)
    return fingerprint
