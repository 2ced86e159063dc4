"""The fleet as it last spoke."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterable

from assets.feedback.documents import DeviceStatus, EnrolledDevice, FleetHealth
from assets.feedback.intake import latest_report
from assets.records.line_store import LineStore
from assets.release.documents import rollout_journal
from assets.release.repository import current_deployment
from assets.storage import layout
from assets.storage.store import Store
from edge.contracts import is_name


def fleet(store: Store, now: float | None = None) -> tuple[DeviceStatus, ...]:
    """Every enrolled device, by name.

    Args:
        now: seconds since 1970 that ages are counted to; None for the clock's.

    Raises:
        ContractError: a device's file was damaged; it says which.
    """
    now = time.time() if now is None else now
    names = (name for name in store.names(layout.DEVICES) if is_name(name))
    found = (_status(store, name, now) for name in names)
    return tuple(status for status in found if status is not None)


def summarize(line: LineStore, group: str, now: float | None = None) -> FleetHealth:
    """A line's devices against what their group is pointed at.

    A device that has not answered since the rollout is silent, not wrong: it may be asleep. One that refused the
    release and said so is wrong.

    Raises:
        VerificationError: the repository's metadata or the group's deploy file was changed.
    """
    devices = tuple(status for status in fleet(line.store, now) if status.line == line.name)
    members = [status for status in devices if status.group == group]
    release, since = _rollout(line, group)
    answered = [status for status in members if status.event != "enrolled" and status.received >= since]
    return FleetHealth(
        line=line.name,
        group=group,
        release=release,
        devices=devices,
        releases=_count(status.release for status in devices),
        events=_count(status.event for status in devices),
        wrong=tuple(status.device for status in answered if release and status.release != release),
        silent=tuple(
            status.device for status in members if release and status.release != release and status not in answered
        ),
    )


def _rollout(line: LineStore, group: str) -> tuple[str, float]:
    """What the repository points the group at ("" for nothing), and when (never, where nothing noted it).

    The journal only dates it. A promotion cut off before its entry has no date until the next rollout step writes one,
    and until then no device is called wrong for not following it.
    """
    current = current_deployment(line, group)
    if current is None:
        return "", 0.0
    journal = rollout_journal(line, group)
    last = journal.at(journal.length())
    return current.release, last.time if last is not None and last.deployment == current else math.inf


def _status(store: Store, device: str, now: float) -> DeviceStatus | None:
    try:
        known = store.load(layout.device_profile(device), EnrolledDevice)
    except FileNotFoundError:
        return None
    latest = latest_report(store, device)
    profile = known.profile
    if latest is None:
        age = max(0.0, now - known.time)
        return DeviceStatus(device, profile.line, profile.group, "", "", "enrolled", None, age, known.time)
    report = latest.report
    return DeviceStatus(
        device=device,
        line=report.line,
        group=report.group,
        release=report.release,
        target=report.target,
        event=report.event,
        self_test=report.self_test.passed if report.self_test else None,
        age=max(0.0, now - latest.received),
        received=latest.received,
        reason=report.reason,
    )


def _count(values: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))
