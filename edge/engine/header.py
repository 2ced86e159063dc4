"""What the first 64 bytes of a TensorRT plan say.

The format is not documented. Read from plans of TensorRT-RTX 1.7.1.116 built for each of its compute capabilities, all
numbers little-endian: the tag at 0 ("ftrt" TensorRT, "vtrt" TensorRT-RTX), the whole plan's size in bytes at 16 (8
bytes), the builder's version at 24 (4 bytes), and for RTX a mask of compute capabilities at 32 (4 bytes). TensorRT's
own header does not show the SM: there the release's manifest must say it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from edge.contracts import PlanHeader
from edge.engine.versions import RTX_SMS
from edge.errors import RejectedError

HEADER_BYTES = 64
TAGS = {"ftrt": "tensorrt", "vtrt": "tensorrt_rtx"}


@dataclass(frozen=True)
class Header:
    """What is known of a plan from its first bytes.

    Attributes:
        tag: "ftrt" or "vtrt"; `runtime` is the same in the words of `TargetProfile`.
        version: of the builder, e.g. "1.7.1.116".
        size: of the whole plan in bytes; None for "ftrt", where it was not verified.
        sms: the compute capabilities it was built for; None for "ftrt", whose header does not show them.
    """

    tag: str
    version: str
    size: int | None
    sms: tuple[int, ...] | None

    @property
    def runtime(self) -> str:
        return TAGS[self.tag]

    def plan_header(self, sm: int) -> PlanHeader:
        """As a release's manifest carries it; `sm` is what the plan was built for."""
        return PlanHeader(self.tag, self.version, sm)


def parse_header(data: bytes, source: str = "plan") -> Header:
    """Read a plan's header from its first bytes (64 or more).

    Raises:
        RejectedError: too short, another kind of file, or a mask that names no known compute capability.
    """
    if len(data) < HEADER_BYTES:
        raise RejectedError(f"{source}: {len(data)} bytes are too few for a TensorRT plan; fetch or build it again")
    tag = data[:4].decode("latin-1")
    if tag not in TAGS:
        raise RejectedError(
            f"{source}: not a TensorRT plan (it starts with {data[:4]!r}, a plan with 'ftrt' or 'vtrt'); build it again"
        )
    version = ".".join(str(number) for number in data[24:28])
    if tag == "ftrt":
        return Header(tag, version, None, None)
    (size,) = struct.unpack_from("<Q", data, 16)
    (mask,) = struct.unpack_from("<I", data, 32)
    sms = tuple(sm for bit, sm in enumerate(RTX_SMS) if mask >> bit & 1)
    if not sms or mask >> len(RTX_SMS):
        raise RejectedError(
            f"{source}: its mask of compute capabilities ({mask:#x}) is not known here; "
            "update this software, or build the plan again with a version it knows"
        )
    return Header(tag, version, size, sms)


def parse_plan(data: bytes, source: str = "plan") -> Header:
    """Read a whole plan's header, and check the size that it declares. Raises RejectedError."""
    header = parse_header(data[:HEADER_BYTES], source)
    if header.size is not None and header.size != len(data):
        raise RejectedError(
            f"{source}: the plan says it has {header.size} bytes, {len(data)} are there; fetch or build it again"
        )
    return header
