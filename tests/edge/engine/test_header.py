"""Plan headers: real ones are understood, any other bytes are refused."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.contracts import PlanHeader
from edge.engine.build import BuildLog
from edge.engine.header import HEADER_BYTES, parse_header, parse_plan
from edge.engine.library import installed_version
from edge.engine.versions import RTX_SMS
from edge.errors import RejectedError


def header(tag: bytes = b"vtrt", size: int = 64, version: bytes = b"\1\7\1\x74", mask: int = 4) -> bytes:
    return (tag + b"\0" * 12 + struct.pack("<Q", size) + version + tag + struct.pack("<I", mask)).ljust(64, b"\0")


def test_real_plans_tell_what_they_are(plans: dict[int, tuple[bytes, BuildLog]]) -> None:
    for sm, (data, log) in plans.items():
        found = parse_plan(data)
        assert data[:4] == b"vtrt"
        assert (found.tag, found.runtime, found.sms, found.size) == ("vtrt", "tensorrt_rtx", (sm,), len(data))
        assert found.version == installed_version("tensorrt_rtx")
        assert log.header == PlanHeader("vtrt", found.version, sm)


def test_a_cut_real_plan_is_refused(plans: dict[int, tuple[bytes, BuildLog]]) -> None:
    data, _ = plans[86]
    with pytest.raises(RejectedError, match=rf"says it has {len(data)} bytes, {len(data) - 1} are there"):
        parse_plan(data[:-1])


def test_the_mask_names_every_sm() -> None:
    for bit, sm in enumerate(RTX_SMS):
        assert parse_header(header(mask=1 << bit)).sms == (sm,)
    assert parse_header(header(mask=0b1100)).sms == (86, 89)


def test_tensorrt_does_not_show_its_sm() -> None:
    found = parse_plan(header(b"ftrt", size=7))
    assert (found.runtime, found.version, found.size, found.sms) == ("tensorrt", "1.7.1.116", None, None)


@pytest.mark.parametrize("mask", [0, 1 << 6, 0x80000000, (1 << 6) | 4])
def test_an_unknown_mask_is_refused(mask: int) -> None:
    with pytest.raises(RejectedError, match="not known here"):
        parse_header(header(mask=mask))


@pytest.mark.parametrize("data", [b"", b"vtrt", header()[:63], b"\x7fELF" + b"\0" * 60, b"<html>" + b" " * 64])
def test_what_is_no_plan_is_refused(data: bytes) -> None:
    with pytest.raises(RejectedError, match="TensorRT plan"):
        parse_plan(data, "x.plan")


@given(st.binary(max_size=200), st.sampled_from([b"", b"ftrt", b"vtrt"]))
def test_any_bytes_are_read_or_refused(data: bytes, tag: bytes) -> None:
    try:
        found = parse_plan(tag + data)
    except RejectedError:
        return
    assert len(tag + data) >= HEADER_BYTES
    assert found.tag.encode() == (tag or data[:4])
