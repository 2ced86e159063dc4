"""The platform's ear: who may report, and what is taken as said by whom.

Trust on first use: a device's first key is its only one. Everything is signed (DSSE, ed25519), so whoever carries the
bytes (a proxy, a bucket, a USB stick) cannot change them.
"""

from __future__ import annotations

import re
import threading
import time
import unicodedata
from dataclasses import dataclass, replace

from assets.feedback.documents import EnrolledDevice, ReceivedReport, ReportEntry, report_journal
from assets.storage import layout
from assets.storage.store import Store
from edge.contracts import DeviceProfile, DeviceReport, Envelope, from_bytes, is_name, to_bytes
from edge.contracts.envelope import PROFILE_TYPE, REPORT_TYPE, verify
from edge.errors import ContractError, RejectedError, VerificationError

RELEASE = re.compile(r"(?:[0-9a-f]{64})?")
TARGET = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9._-]{0,127})?")
MAX_TEXT = 1000
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
            profile = from_bytes(DeviceProfile, verify(envelope, PROFILE_TYPE, claimed.public_key), "profile")
        except ContractError as error:
            raise RefusedError(400, str(error)) from error
        except VerificationError as error:
            raise RefusedError(403, str(error)) from error
        for what, name in (("device", profile.device), ("line", profile.line), ("group", profile.group)):
            _check_name(what, name)
        key = layout.device_profile(profile.device)
        with self._lock:
            if self.store.create(key, to_bytes(EnrolledDevice(profile, time.time()))):
                return True
            known = self.store.load(key, EnrolledDevice)
            if known.profile.public_key != profile.public_key:
                raise RefusedError(
                    409,
                    f"device {profile.device!r} is enrolled with another key; choose another name, or, if its key was "
                    f"lost, have the platform's operator remove {layout.device(profile.device)}/",
                )
            if known.profile != profile:
                self.store.save(key, EnrolledDevice(profile, known.time))
            return False

    def report(self, body: bytes) -> ReceivedReport:
        """Take an envelope with a DeviceReport, signed by the device's enrolled key.

        Its free texts are kept as plain text of at most `MAX_TEXT` characters.

        Raises:
            RefusedError: 400 malformed, or a group, release or target that cannot be one; 403 a bad signature or
                another device's name, 404 not enrolled, 409 a sequence that does not grow (a replay), 413 too large.
        """
        envelope = _envelope(body)
        device = envelope.key_id
        _check_name("device", device)
        try:
            profile = self.store.load(layout.device_profile(device), EnrolledDevice).profile
        except FileNotFoundError as error:
            raise RefusedError(404, f"device {device!r} is not enrolled here; run: edgeloop-agent enroll") from error
        try:
            report = from_bytes(DeviceReport, verify(envelope, REPORT_TYPE, profile.public_key), "report")
        except ContractError as error:
            raise RefusedError(400, str(error)) from error
        except VerificationError as error:
            raise RefusedError(403, str(error)) from error
        if (report.device, report.line) != (profile.device, profile.line):
            raise RefusedError(403, f"device {device!r} of line {profile.line!r} speaks for another device or line")
        if not 1 <= report.sequence <= MAX_SEQUENCE:
            raise RefusedError(400, f"sequence {report.sequence} is not between 1 and {MAX_SEQUENCE}")
        _check_name("group", report.group)
        for what, text, pattern in (
            ("release", report.release, RELEASE),
            ("offered release", report.offered, RELEASE),
            ("target", report.target, TARGET),
        ):
            if not pattern.fullmatch(text):
                raise RefusedError(400, f"{what} {text[:80]!r}: is not one")
        with self._lock:
            return self._keep(_plain(report))

    def _keep(self, report: DeviceReport) -> ReceivedReport:
        """Report, journal, latest, in this order: after a crash in between it is sent, and taken, again.

        A report that says what the one before it said is only kept as the latest: devices say every minute that nothing
        changed, and that must not fill the store.
        """
        latest = latest_report(self.store, report.device)
        if latest is not None and report.sequence <= latest.report.sequence:
            raise RefusedError(
                409, f"sequence {report.sequence} was seen before (the last is {latest.report.sequence}); a replay"
            )
        received = ReceivedReport(report, time.time())
        if latest is None or _says_more(report, latest.report):
            key = layout.entry(layout.device_reports(report.device), report.sequence)
            if not self.store.create(key, to_bytes(received)):
                received = self.store.load(key, ReceivedReport)
                if received.report != report:
                    raise RefusedError(409, f"another report with sequence {report.sequence} was taken before")
            entry = ReportEntry(report.device, report.line, report.sequence, report.event, report.release)
            report_journal(self.store).append(entry)
        self.store.save(layout.device_latest(report.device), received)
        return received


def _says_more(report: DeviceReport, before: DeviceReport) -> bool:
    """Whether a report tells anything that the one before it did not."""
    return report.event in {"activated", "rolled_back"} or _comparable(report) != _comparable(before)


def _comparable(report: DeviceReport) -> tuple[object, ...]:
    refused = report.event == "refused"
    return refused, report.release, report.offered if refused else "", report.target, report.group


def _plain(report: DeviceReport) -> DeviceReport:
    """The report with its free texts cut, and without control, format and private characters."""
    tested = report.self_test
    if tested is not None:
        latency = tested.latency and replace(tested.latency, machine=_text(tested.latency.machine))
        tested = replace(tested, reason=_text(tested.reason), latency=latency)
    return replace(
        report, reason=_text(report.reason), agent_version=_text(report.agent_version)[:64], self_test=tested
    )


def _text(text: str) -> str:
    """At most `MAX_TEXT` characters on one line. Unicode's classes C and Z hold what hides, turns or breaks text."""
    cut = text[:MAX_TEXT]
    return " ".join("".join(" " if unicodedata.category(char)[0] in "CZ" else char for char in cut).split())


def latest_report(store: Store, device: str) -> ReceivedReport | None:
    """A device's last report; None before its first."""
    try:
        return store.load(layout.device_latest(device), ReceivedReport)
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
    if not is_name(name):
        raise RefusedError(
            400, f"{what} {name[:80]!r}: a name has lower-case letters, digits, '.', '_' and '-', at most 63"
        )
