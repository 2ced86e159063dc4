"""What the platform knows of its devices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from assets.storage import layout
from assets.storage.journal import Journal
from assets.storage.store import Store
from edge.contracts import DeviceProfile, DeviceReport, document


@document("edgeloop.enrolled_device")
@dataclass(frozen=True)
class EnrolledDevice:
    """A device that may report. Kept at `devices/<device>/profile.json`; its first key is its only one.

    Attributes:
        time: seconds since 1970, when it enrolled first.
    """

    profile: DeviceProfile
    time: float


@document("edgeloop.received_report")
@dataclass(frozen=True)
class ReceivedReport:
    """A report whose signature held. The last is kept at `devices/<device>/latest.json`, and each that said something
    new at `devices/<device>/reports/<sequence>.json`.

    Attributes:
        received: seconds since 1970 by the platform's clock.
    """

    report: DeviceReport
    received: float


@document("edgeloop.report_entry")
@dataclass(frozen=True)
class ReportEntry:
    """An entry of the journal of reports that said something new. One may be listed twice after a crash: the first
    counts."""

    device: str
    line: str
    sequence: int
    event: str
    release: str


@document("edgeloop.device_status")
@dataclass(frozen=True)
class DeviceStatus:
    """One device as it last spoke.

    Attributes:
        release: what it runs; "" where it runs nothing yet.
        event: of its last report; "enrolled" before the first.
        self_test: whether the last reported self-test passed; None where the last report carried none.
        age: seconds since the platform last heard from it.
        received: seconds since 1970 of its last report, or of its enrolment.
    """

    device: str
    line: str
    group: str
    release: str
    target: str
    event: Literal["enrolled", "activated", "unchanged", "refused", "rolled_back"]
    self_test: bool | None
    age: float
    received: float
    reason: str = ""


@document("edgeloop.fleet_health")
@dataclass(frozen=True)
class FleetHealth:
    """A line's devices against the release they should run.

    Attributes:
        release: what the line's group is pointed at; "" before any promotion.
        releases: release id ("" for none) to how many devices run it.
        events: last event to how many devices.
        wrong: devices of the group that answered since the rollout, and run something else.
        silent: devices of the group that have not answered since the rollout.
    """

    line: str
    group: str
    release: str
    devices: tuple[DeviceStatus, ...]
    releases: Mapping[str, int]
    events: Mapping[str, int]
    wrong: tuple[str, ...]
    silent: tuple[str, ...]


def report_journal(store: Store) -> Journal[ReportEntry]:
    """Every report that said something new, in the order they came; positions are a sensor's cursor."""
    return Journal(store, layout.DEVICE_JOURNAL, ReportEntry)
