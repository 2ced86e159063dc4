"""Signed reports: written down first, sent when the server is there. Reporting never changes what is active."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from edge import __version__
from edge.agent.home import Enrolment, Home, State, read_limited, write_durably
from edge.agent.link import Answer, post
from edge.contracts import DeviceProfile, DeviceReport, Envelope, SelfTest, from_bytes, to_bytes
from edge.contracts.envelope import PROFILE_TYPE, REPORT_TYPE, sign
from edge.errors import ContractError, RejectedError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

MAX_QUEUED = 100
MAX_REASON = 1000
MAX_ENVELOPE_BYTES = 64 * 1024
Event = Literal["activated", "unchanged", "refused", "rolled_back"]


def enroll(server: str, key: Ed25519PrivateKey, profile: DeviceProfile) -> Answer:
    """Tell the server who this device is, signed with its own key: 201 new, 200 known. Raises TransientError.

    Raises:
        RejectedError: the server refuses, in its own words (another device has this name; a bad name).
    """
    envelope = sign(key, profile.device, PROFILE_TYPE, to_bytes(profile))
    answer = post(f"{server}/enroll", to_bytes(envelope))
    if answer.status not in {200, 201}:
        raise RejectedError(f"{server}: enrolment refused (HTTP {answer.status}): {answer.reason}")
    return answer


def queue(
    home: Home,
    enrolment: Enrolment,
    state: State,
    key: Ed25519PrivateKey,
    event: Event,
    offered: str,
    reason: str,
    self_test: SelfTest | None,
) -> State:
    """Sign a report and write it down; returns the state with its sequence.

    The report is written before the state that counts it: a crash in between tells the same thing twice, under two
    sequences, rather than never. At most `MAX_QUEUED` wait: the oldest "unchanged" goes first, then the oldest.
    """
    last = max([state.reports, *(int(path.stem.partition("-")[0]) for path in queued(home))])
    state = replace(state, reports=last + 1, told=state.active)
    report = DeviceReport(
        device=enrolment.device,
        line=enrolment.line,
        group=enrolment.group,
        sequence=state.reports,
        time=time.time(),
        event=event,
        release=state.active,
        offered=offered,
        target=state.target,
        agent_version=__version__,
        self_test=self_test,
        reason=reason[:MAX_REASON],
    )
    outbox = _outbox(home)
    outbox.mkdir(exist_ok=True)
    envelope = sign(key, enrolment.device, REPORT_TYPE, to_bytes(report))
    write_durably(outbox / f"{state.reports:012d}-{event}.json", to_bytes(envelope))
    home.save_state(state)
    waiting = queued(home)
    spare = [path for path in waiting if path.stem.endswith("-unchanged")] + waiting
    for path in spare[: max(0, len(waiting) - MAX_QUEUED)]:
        path.unlink(missing_ok=True)
    return state


def queued(home: Home) -> list[Path]:
    """Reports that were not sent yet, oldest first."""
    return sorted(_outbox(home).glob("[0-9]*-*.json"))


def flush(home: Home, enrolment: Enrolment, key: Ed25519PrivateKey, profile: DeviceProfile) -> tuple[int, list[str]]:
    """Send what waits, oldest first.

    A server that has forgotten this device is told again who it is. A report that the server refuses is dropped: it
    would be refused for ever.

    Returns:
        How many were taken, and the server's words for each one it refused.

    Raises:
        TransientError: the server went away; what is left stays queued.
    """
    sent, refused = 0, []
    for path in queued(home):
        try:
            data = read_limited(path, MAX_ENVELOPE_BYTES)
            from_bytes(Envelope, data, str(path))
        except (ContractError, RejectedError) as error:
            refused.append(str(error))
            path.unlink(missing_ok=True)
            continue
        answer = post(f"{enrolment.server}/reports", data)
        if answer.status == 404:
            enroll(enrolment.server, key, profile)
            answer = post(f"{enrolment.server}/reports", data)
        if answer.status in {200, 201}:
            sent += 1
        else:
            refused.append(f"report {path.stem}: HTTP {answer.status}: {answer.reason}")
        path.unlink(missing_ok=True)
    return sent, refused


def _outbox(home: Home) -> Path:
    return home.path / "outbox"
