"""What one device says of itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edge.contracts.codec import document
from edge.contracts.evidence import Latency


@dataclass(frozen=True)
class SelfTest:
    """The golden self-test of one artifact on one device.

    Attributes:
        artifact: digest of the file that was tested.
        agreement: share of golden records answered with the same label as the parent, 0 to 1.
        max_abs_diff: largest difference of any output number.
    """

    passed: bool
    artifact: str
    records: int
    agreement: float
    max_abs_diff: float
    latency: Latency | None = None
    reason: str = ""


@document("edgeloop.device_report")
@dataclass(frozen=True)
class DeviceReport:
    """A device's signed statement. Reporting never changes what is active.

    Attributes:
        sequence: grows by one with each report of this device.
        time: seconds since 1970 by the device's own clock.
        event: "activated", "unchanged", "refused" (the old release still serves) or "rolled_back".
        release: id of what is active; "" where nothing is yet.
        offered: id of what the deploy file offered; "" where it could not be read.
        target: name of the artifact in use.
        reason: why something was refused, in plain words.
    """

    device: str
    line: str
    group: str
    sequence: int
    time: float
    event: Literal["activated", "unchanged", "refused", "rolled_back"]
    release: str
    offered: str
    target: str
    agent_version: str
    self_test: SelfTest | None = None
    reason: str = ""
