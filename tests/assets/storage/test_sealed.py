"""Sealed bytes: equal for equal content, read with the key only, and any change is found."""

from __future__ import annotations

import base64
import io
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.errors import RejectedError
from assets.storage import sealed as at_rest
from assets.storage.data_keys import FileWrapper, KeyWrapper, new_data_key
from assets.storage.sealed import FRAME, is_sealed, open_unsealed, seal, unseal
from assets.storage.store import Store
from edge.errors import VerificationError


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THE_KEY", base64.b64encode(bytes(range(32))).decode())
    monkeypatch.setenv("EDGELOOP_DATA_KEY", "env:THE_KEY")


@given(st.binary(max_size=300))
def test_what_is_sealed_comes_back(data: bytes) -> None:
    os.environ["THE_KEY"], os.environ["EDGELOOP_DATA_KEY"] = "ab" * 32, "env:THE_KEY"
    sealed = seal(data, "digits", "records")
    assert is_sealed(sealed)
    assert sealed == seal(data, "digits", "records")
    assert unseal(sealed) == unseal(sealed, "digits", "records") == data
    assert unseal(seal(sealed, "digits", "records")) == sealed
    assert len(set(data)) < 8 or data not in sealed[-len(data) - 16 :]


@pytest.mark.parametrize("size", [0, 1, FRAME - 1, FRAME, FRAME + 1, 3 * FRAME + 17])
def test_frames_can_be_read_anywhere(size: int) -> None:
    data = os.urandom(size)
    sealed = seal(data, "digits", "landed")
    assert unseal(sealed) == data
    with open_unsealed(io.BytesIO(sealed)) as stream:
        for start in (0, size // 2, max(0, size - 5), max(0, FRAME - 3)):
            stream.seek(start)
            assert stream.read(10) == data[start : start + 10]
        stream.seek(0)
        assert stream.read() == data


def test_plain_bytes_pass_through() -> None:
    assert unseal(b"plain") == b"plain"
    assert open_unsealed(io.BytesIO(b"plain")).read() == b"plain"


def test_what_is_sealed_depends_on_what_it_is() -> None:
    sealed = seal(b"same", "digits", "records")
    assert sealed != seal(b"same", "digits", "profile")
    assert sealed != seal(b"same", "letters", "records")
    with pytest.raises(VerificationError, match="another's place"):
        unseal(sealed, line="letters")
    with pytest.raises(VerificationError, match="another's place"):
        unseal(sealed, kind="profile")


@settings(max_examples=200)
@given(at=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_any_changed_bit_is_found(at: int, bit: int) -> None:
    os.environ["THE_KEY"], os.environ["EDGELOOP_DATA_KEY"] = "ab" * 32, "env:THE_KEY"
    sealed = bytearray(seal(b"x" * 500, "digits", "records"))
    at = len(at_rest.MAGIC) + at % (len(sealed) - len(at_rest.MAGIC))
    sealed[at] ^= 1 << bit
    with pytest.raises((VerificationError, RejectedError)):
        unseal(bytes(sealed))


def test_frames_cannot_be_cut_swapped_or_added() -> None:
    data = os.urandom(3 * FRAME)
    sealed = seal(data, "digits", "records")
    start, step = len(sealed) - 3 * (FRAME + 16), FRAME + 16
    frames = [sealed[start + number * step : start + (number + 1) * step] for number in range(3)]
    for wrong in (frames[:2], [frames[1], frames[0], frames[2]], [*frames, frames[2]], []):
        with pytest.raises(VerificationError):
            unseal(sealed[:start] + b"".join(wrong))
    with pytest.raises(VerificationError):
        unseal(sealed[:30])


def test_another_key_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    sealed = seal(b"secret", "digits", "records")
    monkeypatch.setenv("NEW_KEY", "cd" * 32)
    monkeypatch.setenv("EDGELOOP_DATA_KEY", "env:NEW_KEY")
    with pytest.raises(RejectedError, match="names another; add the old key"):
        unseal(sealed)
    monkeypatch.setenv("EDGELOOP_DATA_KEY", "env:NEW_KEY env:THE_KEY")
    assert unseal(sealed) == b"secret"
    assert seal(b"secret", "digits", "records") != sealed


@pytest.mark.parametrize(
    ("uri", "value", "text"),
    [
        ("", "", "EDGELOOP_DATA_KEY is not set"),
        ("env:NOBODY", "", "the variable NOBODY is not set"),
        ("env:THE_KEY", base64.b64encode(b"short").decode(), "a data key has 32 bytes, this has 5"),
        ("env:THE_KEY", "not base64!", "not a key in base64 or hex"),
        ("file:/nowhere/key", "", "cannot be read"),
        ("kms+nobody:x#AAAA", "", "nothing installed here knows kms\\+nobody"),
        ("kms+file:/nowhere", "", "no wrapped data key"),
        ("vault:x", "", "is no kind of key"),
    ],
)
def test_a_key_that_does_not_do_is_explained(monkeypatch: pytest.MonkeyPatch, uri: str, value: str, text: str) -> None:
    monkeypatch.setenv("EDGELOOP_DATA_KEY", uri)
    monkeypatch.setenv("THE_KEY", value)
    with pytest.raises(RejectedError, match=text) as raised:
        seal(b"secret", "digits", "records")
    assert not value or value not in str(raised.value)


def test_a_key_file_is_its_owners_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "data.key"
    path.write_bytes(os.urandom(32))
    path.chmod(0o644)
    monkeypatch.setenv("EDGELOOP_DATA_KEY", f"file:{path}")
    with pytest.raises(RejectedError, match="chmod 600"):
        seal(b"secret", "digits", "records")
    path.chmod(0o600)
    assert unseal(seal(b"secret", "digits", "records")) == b"secret"


def check_wrapper(wrapper: KeyWrapper, other: KeyWrapper) -> None:
    """What every key management service must hold to; `other` is the same service with another key."""
    key = os.urandom(32)
    wrapped = wrapper.wrap(key)
    assert key not in wrapped
    assert wrapper.unwrap(wrapped) == key
    for wrong in (wrapped[:-1], b"", bytes([wrapped[0] ^ 1]) + wrapped[1:]):
        with pytest.raises(RejectedError):
            wrapper.unwrap(wrong)
    with pytest.raises(RejectedError):
        other.unwrap(wrapped)


def test_the_local_key_service_conforms(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).write_bytes(os.urandom(32))
        (tmp_path / name).chmod(0o600)
    check_wrapper(FileWrapper(str(tmp_path / "one")), FileWrapper(str(tmp_path / "two")))
    uri = new_data_key(f"kms+file:{tmp_path / 'one'}")
    monkeypatch.setenv("EDGELOOP_DATA_KEY", uri)
    sealed = seal(b"secret", "digits", "records")
    assert unseal(sealed) == b"secret"
    monkeypatch.setenv("EDGELOOP_DATA_KEY", uri.replace("one", "two"))
    with pytest.raises(RejectedError, match="did not wrap"):
        unseal(sealed)


def test_sealed_artifacts_are_fetched_in_the_plain(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    ref = store.put("digits", seal(b"rows", "digits", "records"), "parquet", ".parquet")
    assert at_rest.fetch_records(store, ref) == b"rows"
    assert not any(b"rows" in path.read_bytes() for path in tmp_path.rglob("*.parquet"))
