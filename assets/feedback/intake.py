"""The platform's ear: who may report, and what is taken as said by whom.

Trust on first use: a device's first key is its only one. Everything is signed (DSSE, ed25519), so whoever carries the
bytes (a proxy, a bucket, a USB stick) cannot change them.
"""

from __future__ import annotations

import re
import threading
import time
from dataclasses import dataclass

from assets.feedback.contract import EnrolledDevice, ReceivedReport, ReportEntry, report_journal
from assets.store import Store
from edge.agent.identity import PROFILE_TYPE, REPORT_TYPE, unseal
from edge.contracts import DeviceProfile, DeviceReport, Envelope, from_bytes, to_bytes
from edge.errors import ContractError, RejectedError, VerificationError

DEVICE_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
MAX_BODY_BYTES = 64 * 1024
MAX_SEQUENCE = 10**12


class RefusedError(RejectedError):
    """What a device sent is not taken; `status` says why in HTTP's words."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass
class Intake:
    """Takes enrolments and reports into a store. One object serves one process; the lock keeps its threads in order."""

    store: Store

    def __post_init__(self) -> None:
        self._lock = threading.Lock()

    def enroll(self, body: bytes) -> bool:
        """Take an envelope with a DeviceProfile, signed by the key that it names.

        Returns:
            True for a new device, False for a known one with the same key, whose profile is brought up to date.

        Raises:
            RefusedError: 400 malformed, 403 not signed by its own key, 409 the name belongs to another key,
                413 too large.
        """
        envelope = _envelope(body)
        try:
            claimed = from_bytes(DeviceProfile, _unverified(envelope), "profile")
            profile = from_bytes(DeviceProfile, unseal(envelope, PROFILE_TYPE, claimed.public_key), "profile")
        except ContractError as error:
            raise RefusedError(400, str(error)) from error
        except VerificationError as error:
            raise RefusedError(403, str(error)) from error
        for what, name in (("device", profile.device), ("line", profile.line), ("group", profile.group)):
            _check_name(what, name)
        key = f"devices/{profile.device}/profile.json"
        with self._lock:
            if self.store.create(key, to_bytes(EnrolledDevice(profile, time.time()))):
                return True
            known = self.store.load(key, EnrolledDevice)
            if known.profile.public_key != profile.public_key:
                raise RefusedError(
                    409,
                    f"device {profile.device!r} is enrolled with another key; choose another name, or, if its key was "
                    f"lost, have the platform's operator remove devices/{profile.device}/",
                )
            if known.profile != profile:
                self.store.save(key, EnrolledDevice(profile, known.time))
            return False

    def report(self, body: bytes) -> ReceivedReport:
        """Take an envelope with a DeviceReport, signed by the device's enrolled key.

        Raises:
            RefusedError: 400 malformed, 403 a bad signature or another device's name, 404 not enrolled, 409 a
                sequence that does not grow (a replay), 413 too large.
        """
        envelope = _envelope(body)
        device = envelope.key_id
        _check_name("device", device)
        try:
            profile = self.store.load(f"devices/{device}/profile.json", EnrolledDevice).profile
        except FileNotFoundError as error:
            raise RefusedError(404, f"device {device!r} is not enrolled here; run: edgeloop-agent enroll") from error
        try:
            report = from_bytes(DeviceReport, unseal(envelope, REPORT_TYPE, profile.public_key), "report")
        except ContractError as error:
            raise RefusedError(400, str(error)) from error
        except VerificationError as error:
            raise RefusedError(403, str(error)) from error
        if (report.device, report.line) != (profile.device, profile.line):
            raise RefusedError(403, f"device {device!r} of line {profile.line!r} speaks for another device or line")
        if not 1 <= report.sequence <= MAX_SEQUENCE:
            raise RefusedError(400, f"sequence {report.sequence} is not between 1 and {MAX_SEQUENCE}")
        with self._lock:
            return self._keep(report)

    def _keep(self, report: DeviceReport) -> ReceivedReport:
        """Report, journal, latest, in this order: after a crash in between it is sent, and taken, again."""
        folder = f"devices/{report.device}"
        latest = latest_report(self.store, report.device)
        if latest is not None and report.sequence <= latest.report.sequence:
            raise RefusedError(
                409, f"sequence {report.sequence} was seen before (the last is {latest.report.sequence}); a replay"
            )
        received = ReceivedReport(report, time.time())
        key = f"{folder}/reports/{report.sequence:012d}.json"
        if not self.store.create(key, to_bytes(received)):
            received = self.store.load(key, ReceivedReport)
            if received.report != report:
                raise RefusedError(409, f"another report with sequence {report.sequence} was taken before")
        entry = ReportEntry(report.device, report.line, report.sequence, report.event, report.release)
        report_journal(self.store).append(entry)
        self.store.save(f"{folder}/latest.json", received)
        return received


def latest_report(store: Store, device: str) -> ReceivedReport | None:
    """A device's last report; None before its first."""
    try:
        return store.load(f"devices/{device}/latest.json", ReceivedReport)
    except FileNotFoundError:
        return None


def _envelope(body: bytes) -> Envelope:
    if len(body) > MAX_BODY_BYTES:
        raise RefusedError(413, f"{len(body):,} bytes; at most {MAX_BODY_BYTES:,} are taken")
    try:
        return from_bytes(Envelope, body, "envelope")
    except ContractError as error:
        raise RefusedError(400, str(error)) from error


def _unverified(envelope: Envelope) -> bytes:
    """The payload before its signature is checked: only to learn which key a new device says is its own."""
    import base64
    import binascii

    try:
        return base64.b64decode(envelope.payload, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ContractError(f"envelope: the payload is not base64 ({error})") from error


def _check_name(what: str, name: str) -> None:
    if not DEVICE_NAME.fullmatch(name) or ".." in name:
        raise RefusedError(
            400, f"{what} {name[:80]!r}: a name has lower-case letters, digits, '.', '_' and '-', at most 63"
        )
