"""The files of a batch as readers get them: the ones that were declared, or none."""

from __future__ import annotations

import hashlib
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from assets.errors import LandingError, RejectedError
from assets.line.data import DataContract
from assets.line.readers import READERS, Reader
from assets.readers.dispatch import read_files
from assets.readers.files import BatchFiles, Files
from assets.readers.registry import reader_of, record_maker
from assets.records.batch import LandedFile
from assets.records.reason import Reason
from assets.storage.store import Store
from tests.assets.readers.rows_of_readers import InMemory

CONTENT = b"some bytes" * 1000


@pytest.fixture(params=["local", "memory"])
def anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    yield Store(str(tmp_path / "a folder") if request.param == "local" else f"memory://{uuid.uuid4().hex}")


def landed(store: Store, content: bytes = CONTENT) -> LandedFile:
    store.write("landing/x/files/a b.bin", content)
    return LandedFile("a b.bin", hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))


def files_of(store: Store) -> Files:
    return BatchFiles(store, "landing/x/files")


def test_a_sound_file_is_read(anywhere: Store) -> None:
    file = landed(anywhere)
    assert files_of(anywhere).read(file, len(CONTENT)) == CONTENT
    with files_of(anywhere).open(file) as stream:
        assert stream.read() == CONTENT
        assert stream.seek(-4, 2) == len(CONTENT) - 4
        assert stream.read() == CONTENT[-4:]


def test_a_file_beyond_the_limit_is_refused_unread(anywhere: Store) -> None:
    with pytest.raises(RejectedError, match="9,999") as caught:
        files_of(anywhere).read(landed(anywhere, b""), 9_999)
    assert not isinstance(caught.value, LandingError)


@pytest.mark.parametrize("content", [b"", CONTENT[:-1], CONTENT + b"x", CONTENT[:-1] + b"x"])
def test_another_file_is_the_landing_zones_fault(anywhere: Store, content: bytes) -> None:
    file = landed(anywhere, content)
    with pytest.raises(LandingError, match=r"a b\.bin: .*land the same source again"):
        files_of(anywhere).read(file, 10**6)
    with pytest.raises(LandingError, match=r"a b\.bin: .*land the same source again"):
        files_of(anywhere).open(file)


def test_a_missing_file_is_the_landing_zones_fault(anywhere: Store) -> None:
    file = LandedFile("none", "0" * 64, 1)
    for use in (lambda: files_of(anywhere).read(file, 10), lambda: files_of(anywhere).open(file)):
        with pytest.raises(LandingError, match="missing"):
            use()


def test_a_link_is_no_file(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    file = landed(store)
    path = Path(store.path("landing/x/files/a b.bin"))
    path.rename(path.with_name("other"))
    path.symlink_to("other")
    with pytest.raises(LandingError, match="not a plain file"):
        files_of(store).read(file, 10**6)


def test_many_threads_read_at_once(anywhere: Store) -> None:
    file, source = landed(anywhere), files_of(anywhere)
    found: list[bytes] = []
    threads = [threading.Thread(target=lambda: found.append(source.read(file, 10**6))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [CONTENT] * 8


def test_every_reader_of_the_contract_is_there() -> None:
    assert set(READERS) == set(get_args(Reader))
    for name in READERS:
        assert callable(reader_of(name))


def contract(reader: str = "image_folder") -> DataContract:
    image = {"height": 8, "width": 8, "channels": 1}
    return DataContract(reader=reader, classes=("cat", "dog"), image=image)  # type: ignore[arg-type]


@pytest.mark.parametrize("reader", ["image_folder", "idx", "cifar10"])
def test_pictures_have_one_maker_of_records(reader: str) -> None:
    with pytest.raises(RejectedError, match="empty"):
        record_maker(contract(reader))(b"", "cat", "", "x", "", None, contract(reader))


def test_a_systems_files_are_ignored_and_archives_refused() -> None:
    contents = {"cat/.DS_Store": b"x", "__MACOSX/a.png": b"x", "cat/Thumbs.db": b"x", "more.tar.gz": b"x"}
    files = [LandedFile(path, "0" * 64, 1) for path in contents]
    reasons = list(read_files(files, InMemory(contents), contract()))
    assert all(isinstance(reason, Reason) for reason in reasons)
    assert [reason.outcome for reason in reasons if isinstance(reason, Reason)] == ["ignored"] * 3 + ["refused"]
