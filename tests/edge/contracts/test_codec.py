"""Documents: what is written is read back, and what is malformed is refused with its place."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge import contracts
from edge.contracts import (
    CLASS_ANSWER,
    AnswerSpec,
    ArtifactRef,
    BuildRecipe,
    Deployment,
    DeviceProfile,
    DeviceReport,
    Envelope,
    Evidence,
    GoldenRecord,
    GoldenSet,
    InputShapes,
    InputSpec,
    Latency,
    Metric,
    ParityVerdict,
    PlanHeader,
    Provenance,
    ReleaseArtifact,
    ReleaseManifest,
    SelfTest,
    TargetProfile,
    chain_gap,
    check_key,
    digest,
    document,
    from_bytes,
    to_bytes,
)
from edge.contracts.codec import ADDED_LATER, MAX_DOCUMENT_BYTES
from edge.errors import ContractError

SHA = "a" * 64
DOCUMENTS = (GoldenSet, ReleaseManifest, Deployment, DeviceReport, Envelope, DeviceProfile, BuildRecipe)
SHAS = st.text("0123456789abcdef", min_size=64, max_size=64)
KEYS = st.lists(st.text("abcxyz019-_", min_size=1, max_size=8), min_size=1, max_size=3).map("/".join)
NAMED = {"sha256": SHAS, "parent": SHAS, "child": SHAS, "artifact": SHAS, "uri": KEYS, "manifest": KEYS}
NAMED |= {"release": SHAS, "size": st.integers(0, 2**60), "model": SHAS}
NAMED |= {"memory_mb": st.integers(1, 2**40), "timeout_s": st.floats(1, 1e9)}


def values(hint: Any, name: str = "") -> st.SearchStrategy[Any]:  # noqa: PLR0911 -- one return per kind of type
    """A strategy for any type that the contracts use, so that a new field is covered as soon as it is there."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if name in NAMED and hint in {str, int, float}:
        return NAMED[name]
    if dataclasses.is_dataclass(hint):
        return instances(typing.cast(type, hint))
    if origin in {typing.Union, types.UnionType}:
        (inner,) = (arg for arg in args if arg is not type(None))
        return st.none() | values(inner, name)
    if origin is tuple:
        return st.lists(values(args[0]), max_size=2).map(tuple)
    if origin is typing.Literal:
        return st.sampled_from(args)
    if origin is not None:
        return st.dictionaries(st.text(max_size=5), values(args[1]), max_size=2)
    finite = st.floats(allow_nan=False, allow_infinity=False)
    return {bool: st.booleans(), int: st.integers(), float: finite, str: st.text(max_size=8)}[hint]


def instances(cls: type) -> st.SearchStrategy[Any]:
    hints = typing.get_type_hints(cls)
    if cls is InputSpec:
        return st.sampled_from([IMAGE, TABLE, SERIES, TEXT, NOISE])
    if cls is AnswerSpec:
        return st.sampled_from([CLASS_ANSWER, AnswerSpec("number"), AnswerSpec("anomaly", 0.25), AnswerSpec("image")])
    if cls is InputShapes:
        return st.sampled_from([InputShapes("x", (1, 2), (1, 2), (8, 2)), InputShapes("y", (), (), ())])
    if cls is ParityVerdict:
        return st.sampled_from([verdict("1", "2"), verdict("2", "2", "pending", None)])
    return st.fixed_dictionaries({f.name: values(hints[f.name], f.name) for f in dataclasses.fields(cls)}).map(
        lambda given_: cls(**given_)
    )


def verdict(parent: str, child: str, kind: Any = "measured", passed: bool | None = True) -> ParityVerdict:
    return ParityVerdict("compile", kind, parent * 64, child * 64, passed, 0.0, 0.0, 10, "why")


IMAGE = InputSpec("image", "input", (1, 8, 8), (0.5,), (0.25,))
TABLE = InputSpec("table", "x", (2,), (0.0, 1.0), (1.0, 2.0), ("a", "b"), {"b": ("low", "high")})
SERIES = InputSpec("series", "x", (30, 2), (0.0, 1.0), (1.0, 2.0), ("a", "b"))
TEXT = InputSpec("text", "x", (16,), (), (), buckets=512, unit="byte")
NOISE = InputSpec("noise", "x", (64,), (), ())
MANIFEST = ReleaseManifest(
    "digits",
    3,
    IMAGE,
    "logits",
    ("0", "1"),
    ArtifactRef("golden.json", SHA, 10, "json"),
    (
        ReleaseArtifact(
            TargetProfile("rtx-sm86", "tensorrt_rtx", "x86_64", "tensorrt", sm=86),
            ArtifactRef("rtx-sm86.plan", SHA, 10, "plan", (SHA,)),
            Evidence(SHA, (Metric("accuracy", 0.9, "test", 100),), (), Latency(1.0, 2.0, 1, 1, "this"), 2.0),
            PlanHeader("vtrt", "1.7.1.116", 86),
        ),
    ),
    Provenance(("b",), SHA, SHA, SHA, ()),
)


@pytest.mark.parametrize("cls", DOCUMENTS, ids=lambda cls: cls.__name__)
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_every_document_reads_back_as_it_was_written(cls: type, data: st.DataObject) -> None:
    value = data.draw(instances(cls))
    written = to_bytes(value)
    assert from_bytes(cls, written) == value
    assert to_bytes(from_bytes(cls, written)) == written


def test_every_contract_document_is_covered() -> None:
    exported = [getattr(contracts, name) for name in contracts.__all__]
    assert {kind for kind in exported if isinstance(kind, type) and hasattr(kind, "__document__")} == set(DOCUMENTS)


def test_equal_documents_have_equal_digests() -> None:
    again = from_bytes(ReleaseManifest, json.dumps(json.loads(to_bytes(MANIFEST)), indent=3).encode())
    assert digest(again) == digest(MANIFEST)
    assert digest(dataclasses.replace(MANIFEST, sequence=4)) != digest(MANIFEST)


def changed(**fields: Any) -> bytes:
    return json.dumps({**json.loads(to_bytes(MANIFEST)), **fields}).encode()


def test_an_unknown_major_version_is_refused() -> None:
    with pytest.raises(ContractError, match=r"version '2\.0' is not known"):
        from_bytes(ReleaseManifest, changed(version="2.0"))


def test_a_later_minor_version_with_new_fields_is_read() -> None:
    assert from_bytes(ReleaseManifest, changed(version="1.9", added_later={"x": 1})) == MANIFEST


@pytest.mark.parametrize("version", [None, 1, "", [], "x" * 1000, "11.0"])
def test_a_version_that_is_none_is_refused(version: Any) -> None:
    with pytest.raises(ContractError, match="version"):
        from_bytes(ReleaseManifest, changed(version=version))


def test_a_missing_field_is_named() -> None:
    body = json.loads(to_bytes(MANIFEST))
    del body["artifacts"][0]["file"]["sha256"]
    with pytest.raises(ContractError, match=r"manifest\.json\.artifacts\[0\]\.file: field 'sha256' is missing"):
        from_bytes(ReleaseManifest, json.dumps(body).encode(), "manifest.json")


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("sequence", "3", r"\.sequence: expected int, found str"),
        ("sequence", True, r"\.sequence: expected int, found bool"),
        ("sequence", None, r"\.sequence: expected int, found NoneType"),
        ("labels", "01", r"\.labels: expected a list"),
        ("labels", [1], r"\.labels\[0\]: expected str, found int"),
        ("input", [], r"\.input: expected an object"),
        ("output", "\ud800", "half a character"),
        ("artifacts", [[]], r"\.artifacts\[0\]: expected an object"),
    ],
)
def test_a_field_of_another_type_is_named(field: str, value: Any, reason: str) -> None:
    with pytest.raises(ContractError, match=reason):
        from_bytes(ReleaseManifest, changed(**{field: value}))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "1" + "0" * 400, '"1"', "true"])
def test_a_number_that_is_none_is_refused(number: str) -> None:
    text = to_bytes(GoldenSet((), 0.5, 1.0)).decode().replace("0.5", number)
    with pytest.raises(ContractError):
        from_bytes(GoldenSet, text.encode())


def test_nan_is_never_written() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_bytes(GoldenSet((GoldenRecord("x", (float("nan"),), "0"),), 0.5, 1.0))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"\xff\xfe\x00",
        b"{",
        b"[" * 200_000,
        b'{"a":' * 200_000,
        b'{"type": {"type": 1}}',
        b'{"type": "edgeloop.release", "version": "1.0"}',
        b'{"type": ' + b"[" * 500 + b"]" * 500 + b"}",
    ],
    ids=lambda data: repr(data[:20]),
)
def test_what_is_no_document_is_refused(data: bytes) -> None:
    with pytest.raises(ContractError) as caught:
        from_bytes(ReleaseManifest, data, "x.json")
    assert str(caught.value).startswith("x.json")
    assert len(str(caught.value)) < 1000


def test_a_huge_document_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(ContractError, match="at most"):
        from_bytes(ReleaseManifest, b" " * (MAX_DOCUMENT_BYTES + 1))


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with pytest.raises(ContractError):
        from_bytes(DeviceReport, data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None)
@given(field=st.sampled_from([f.name for f in dataclasses.fields(ReleaseManifest)]), value=JSON)
def test_any_json_in_any_field_is_read_or_refused(field: str, value: Any) -> None:
    try:
        read = from_bytes(ReleaseManifest, changed(**{field: value}))
    except ContractError:
        return
    assert from_bytes(ReleaseManifest, to_bytes(read)) == read


def test_a_rule_of_a_dataclass_becomes_a_contract_error_with_its_place() -> None:
    body = json.loads(to_bytes(MANIFEST))
    body["golden"]["uri"] = "../../etc/passwd"
    with pytest.raises(ContractError, match=r"\.golden: .*not a relative path"):
        from_bytes(ReleaseManifest, json.dumps(body).encode())


def test_a_document_needs_no_change_to_take_a_new_optional_field() -> None:
    @document("test.thing")
    @dataclasses.dataclass(frozen=True)
    class Old:
        a: int

    @document("test.thing", "1.1")
    @dataclasses.dataclass(frozen=True)
    class New:
        a: int
        b: str = "default"

    assert from_bytes(New, to_bytes(Old(1))) == New(1)
    assert from_bytes(Old, to_bytes(New(1, "x"))) == Old(1)


def test_a_field_that_was_added_later_leaves_digests_as_they_were() -> None:
    @document("test.named")
    @dataclasses.dataclass(frozen=True)
    class Old:
        a: int

    @document("test.named")
    @dataclasses.dataclass(frozen=True)
    class New:
        a: int
        b: bool = dataclasses.field(default=False, metadata=ADDED_LATER)

    assert digest(New(1)) == digest(Old(1))
    assert digest(New(1, True)) != digest(Old(1))
    assert from_bytes(New, to_bytes(New(1, True))) == New(1, True)


@given(st.text(max_size=30))
def test_a_key_stays_below_its_root(key: str) -> None:
    from pathlib import PurePosixPath

    try:
        check_key(key)
    except ValueError:
        return
    path = PurePosixPath("/root") / key
    assert str(path).startswith("/root/")
    assert ".." not in path.parts


@given(st.lists(st.sampled_from("123456"), min_size=1, max_size=5))
def test_a_chain_of_passed_verdicts_has_no_gap(names: list[str]) -> None:
    chain = tuple(verdict(a, b) for a, b in zip(["0", *names], names, strict=False))
    assert chain_gap(chain, "0" * 64, names[-1] * 64) is None
    pending = (*chain, verdict(names[-1], names[-1], "pending", None))
    assert chain_gap(pending, "0" * 64, names[-1] * 64) is None


@given(st.lists(st.sampled_from("123456"), min_size=1, max_size=5, unique=True), st.data())
def test_a_chain_with_a_link_out_has_a_gap(names: list[str], data: st.DataObject) -> None:
    chain = [verdict(a, b) for a, b in zip(["0", *names], names, strict=False)]
    at = data.draw(st.integers(0, len(chain) - 1))
    missing = tuple(chain[:at] + chain[at + 1 :])
    assert chain_gap(missing, "0" * 64, names[-1] * 64) is not None
    failed = (*chain[:at], dataclasses.replace(chain[at], passed=False), *chain[at + 1 :])
    assert "failed" in str(chain_gap(failed, "0" * 64, names[-1] * 64))
    assert chain_gap(tuple(chain), "9" * 64, names[-1] * 64) is not None
    assert chain_gap(tuple(chain), "0" * 64, "9" * 64) is not None


def test_a_verdict_is_pending_exactly_without_an_outcome() -> None:
    with pytest.raises(ValueError, match="pending"):
        verdict("1", "1", "pending", True)
    with pytest.raises(ValueError, match="pending"):
        verdict("1", "1", "measured", None)


def test_self_test_and_report_round_trip() -> None:
    tested = SelfTest(False, SHA, 16, 0.5, 3.0, None, "why")
    report = DeviceReport("d", "l", "g", 1, 2.5, "refused", "", SHA, "cpu-x86", "0.1", tested, "because")
    assert from_bytes(DeviceReport, to_bytes(report)) == report
