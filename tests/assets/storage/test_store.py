"""The store on every kind of root, and what a crash may leave."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from assets.storage.store import Store
from edge.errors import VerificationError


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    yield Store(str(tmp_path / "home") if request.param == "local" else f"memory://{uuid.uuid4().hex}")


def test_what_is_written_is_read(store: Store) -> None:
    assert not store.exists("a/b")
    store.write("a/b", b"one")
    store.write("a/b", b"two")
    assert store.read("a/b") == b"two"
    assert store.names("a") == ["b"]
    assert store.names("nothing/here") == []


def test_a_missing_key_is_file_not_found(store: Store) -> None:
    with pytest.raises(FileNotFoundError):
        store.read("a/b")


def test_create_writes_once(store: Store) -> None:
    assert store.create("a/b", b"first")
    assert not store.create("a/b", b"second")
    assert store.read("a/b") == b"first"


def test_of_many_creators_one_wins(tmp_path: Path) -> None:
    store, winners = Store(str(tmp_path)), []
    barrier = threading.Barrier(8)

    def create(name: int) -> None:
        barrier.wait()
        if store.create("x/y", str(name).encode()):
            winners.append(name)

    threads = [threading.Thread(target=create, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(winners) == 1
    assert store.read("x/y") == str(winners[0]).encode()
    assert [path.name for path in (tmp_path / "x").iterdir()] == ["y"]


@pytest.mark.parametrize("key", ["../x", "/etc/passwd", "a//b", "", "a/../../x", "a\\b", "a\0b"])
def test_a_key_stays_below_the_root(store: Store, key: str) -> None:
    with pytest.raises(ValueError, match="relative path"):
        store.write(key, b"")


def test_an_artifact_is_checked_when_read(store: Store) -> None:
    ref = store.put("digits", b"weights", "onnx", ".onnx", ("a" * 64,))
    assert store.put("digits", b"weights", "onnx", ".onnx", ("a" * 64,)) == ref
    assert store.fetch(ref) == b"weights"
    store.write(ref.uri, b"weightz")
    with pytest.raises(VerificationError, match="was changed"):
        store.fetch(ref)


def test_a_missing_artifact_is_named(store: Store) -> None:
    ref = store.put("digits", b"weights", "onnx", ".onnx")
    lost = type(ref)("store/digits/artifacts/gone.onnx", ref.sha256, ref.size, ref.kind)
    with pytest.raises(VerificationError, match=r"gone\.onnx: the artifact is missing"):
        store.fetch(lost)


def test_temporary_files_are_not_listed(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / ".tmp-123").write_bytes(b"cut short")
    (tmp_path / "a" / "whole").write_bytes(b"")
    assert Store(str(tmp_path)).names("a") == ["whole"]


def test_a_copy_holds_the_checked_bytes_or_what_it_held(store: Store) -> None:
    ref = store.put("pets", b"page", "html", ".html")
    store.copy(ref, "reports/pets/index.html")
    store.copy(ref, "reports/pets/index.html")
    assert store.read("reports/pets/index.html") == b"page"
    other = store.put("pets", b"other", "html", ".html")
    store.write(other.uri, b"changed")
    with pytest.raises(VerificationError, match="the stored file was changed"):
        store.copy(other, "reports/pets/index.html")
    store.remove(other.uri)
    with pytest.raises(VerificationError, match="is missing"):
        store.copy(other, "reports/pets/new.html")
    assert store.read("reports/pets/index.html") == b"page"
    assert store.names("reports/pets") == ["index.html"]


def test_a_file_is_adopted_under_its_digest(store: Store, tmp_path: Path) -> None:
    for _ in range(2):  # the second time over the first, or over what damage left of it
        file = tmp_path / "file"
        file.write_bytes(b"shard")
        ref = store.adopt("quarantine/pets", file, "parquet", ".parquet", ("b",))
        assert (ref.size, store.fetch(ref)) == (5, b"shard")
        store.write(ref.uri, b"damaged")
