"""The slow scan: plain drops land once and are cleared away, ready folders are listed, and names alone are read."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from assets.ingest import inbox, listing
from assets.ingest.inbox import pick_up
from assets.ingest.landing import journal_unlisted, land, load_manifest
from assets.ingest.listing import list_batch, unlisted_drops
from assets.ingest.scan import scan
from assets.line.config import Line
from assets.records.batch import BatchManifest, LandedFile, Landing
from assets.records.line_store import LineStore, bind
from assets.storage.store import Store
from edge.contracts import digest, to_bytes

ONE = LandedFile("cat/1.png", "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed", 3)


@pytest.fixture(params=["folder", "memory"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """A store in a folder and one on another file system."""
    yield Store(str(tmp_path / "home") if request.param == "folder" else f"memory://{uuid.uuid4().hex}")


def put(store: Store, name: str, data: bytes) -> None:
    store.write(f"landing/pets/inbox/{name}", data)


def left(store: Store) -> list[str]:
    return store.names("landing/pets/inbox")


def listed(store: Store) -> list[str]:
    return [entry.batch for _, entry in LineStore(store, "pets").landings().after(0)]


def test_a_drop_lands_when_it_is_quiet_as_the_tool_would_land_it(
    any_store: Store, pictures: Line, tmp_path: Path
) -> None:
    store = any_store
    for name, data in {"cat/1.png": b"one", "dog/2.png": b"two", "dog/.DS_Store": b"x"}.items():
        put(store, f"tuesday/{name}", data)
    assert pick_up(bind(store, pictures), quiet=0).waiting == 1, "looked at for the first time"
    assert left(store) == ["tuesday"]
    (batch,) = pick_up(bind(store, pictures), quiet=0).landed
    assert left(store) == []
    assert listed(store) == [batch]
    for folder, data in (("cat/1.png", b"one"), ("dog/2.png", b"two")):
        (tmp_path / "in" / folder).parent.mkdir(parents=True)
        (tmp_path / "in" / folder).write_bytes(data)
    again = land(bind(store, pictures), tmp_path / "in")
    assert (again.batch, again.new) == (batch, False)
    assert pick_up(bind(store, pictures), quiet=0) == inbox.PickedUp()


def test_one_file_is_a_drop(any_store: Store, pictures: Line) -> None:
    put(any_store, "a b.png", b"one")
    pick_up(bind(any_store, pictures), quiet=0)
    (batch,) = pick_up(bind(any_store, pictures), quiet=0).landed
    manifest = load_manifest(LineStore(any_store, "pets"), batch[:16], batch)
    assert [file.path for file in manifest.files] == ["a b.png"]
    assert left(any_store) == []


@pytest.mark.parametrize(
    "name", ["x.png.PART", "x.png.filepart", "x.crdownload", "x.tmp", "x.png~", "~$x.csv", "x.!qB"]
)
def test_an_unfinished_upload_is_left_alone(name: str, any_store: Store, pictures: Line) -> None:
    put(any_store, name, b"half")
    put(any_store, f"tuesday/cat/{name}", b"half")
    put(any_store, "tuesday/cat/1.png", b"one")
    put(any_store, "tuesday/_READY", b"")
    for _ in range(2):
        found = pick_up(bind(any_store, pictures), quiet=0)
        assert (found.landed, found.waiting) == ((), 1)
        assert [reason.file for reason in found.problems] == ["inbox/tuesday"]
        assert "is an unfinished copy" in found.problems[0].reason
    assert sorted(left(any_store)) == sorted([name, "tuesday"])
    filesystem, _ = fsspec.core.url_to_fs(any_store.root)
    filesystem.rm_file(any_store.path(f"landing/pets/inbox/tuesday/cat/{name}"))
    pick_up(bind(any_store, pictures), quiet=0)
    pick_up(bind(any_store, pictures), quiet=0)
    assert len(listed(any_store)) == 1
    assert left(any_store) == [name]


def test_a_drop_that_changes_waits(any_store: Store, pictures: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "time", lambda: now)
    put(any_store, "a/cat/1.png", b"one")
    assert pick_up(bind(any_store, pictures), quiet=60).waiting == 1
    now += 59
    assert pick_up(bind(any_store, pictures), quiet=60).waiting == 1
    put(any_store, "a/cat/2.png", b"two")
    now += 30
    assert pick_up(bind(any_store, pictures), quiet=60).waiting == 1, "another file came"
    now += 59
    assert pick_up(bind(any_store, pictures), quiet=60).waiting == 1
    now += 1
    assert len(pick_up(bind(any_store, pictures), quiet=60).landed) == 1


@pytest.mark.parametrize("marker", ["a/_SUCCESS", "a/.done"])
def test_a_marker_makes_a_folder_ready_at_once(any_store: Store, pictures: Line, marker: str) -> None:
    put(any_store, "a/cat/1.png", b"one")
    put(any_store, marker, b"")
    (batch,) = pick_up(bind(any_store, pictures)).landed
    assert [file.path for file in load_manifest(LineStore(any_store, "pets"), batch[:16]).files] == ["cat/1.png"]
    assert left(any_store) == []


def test_a_marker_beside_makes_a_file_ready_at_once(any_store: Store, pictures: Line) -> None:
    put(any_store, "1.png", b"one")
    put(any_store, "1.png.done", b"")
    put(any_store, "2.png.done", b"")
    assert len(pick_up(bind(any_store, pictures)).landed) == 1
    assert left(any_store) == ["2.png.done"], "its file may be on its way"


def test_what_could_not_land_is_moved_aside_not_removed(store: Store, pictures: Line) -> None:
    put(store, "a/cat/1.png", b"one")
    os.mkfifo(store.path("landing/pets/inbox/a/pipe"))
    put(store, "a/_SUCCESS", b"")
    (batch,) = pick_up(bind(store, pictures)).landed
    assert left(store) == []
    assert store.names(f"landing/pets/.left-out/{batch[:16]}/a") == ["pipe"]


def test_what_is_no_drop_is_told_and_stops_no_other(store: Store, pictures: Line, tmp_path: Path) -> None:
    root = Path(store.path("landing/pets/inbox"))
    root.mkdir(parents=True)
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "1.png").write_bytes(b"secret")
    (root / "link").symlink_to(tmp_path / "secret")
    os.mkfifo(root / "pipe")
    (root / "empty").mkdir()
    (root / "only-pipe").mkdir()
    os.mkfifo(root / "only-pipe" / "pipe")
    (root / ".hidden").write_bytes(b"x")
    Path(os.fsdecode(os.fsencode(root) + b"/\xff.png")).write_bytes(b"x")
    put(store, "good/cat/1.png", b"one")
    assert pick_up(bind(store, pictures), quiet=0).waiting == 2
    for _ in range(2):
        found = pick_up(bind(store, pictures), quiet=0)
        assert {problem.file for problem in found.problems} == {
            "inbox/link",
            "inbox/pipe",
            "inbox/only-pipe",
            "inbox/\\udcff.png",
        }
        assert all(problem.reason and problem.remedy for problem in found.problems)
    assert len(listed(store)) == 1
    assert (tmp_path / "secret" / "1.png").exists()


def test_a_name_in_a_drop_that_is_not_utf8_stops_nothing(store: Store, pictures: Line) -> None:
    for drop in ("a", "b"):
        put(store, f"{drop}/cat/{drop}.png", drop.encode())
    odd = Path(os.fsdecode(os.fsencode(store.path("landing/pets/inbox/a/cat")) + b"/\xff.png"))
    odd.write_bytes(b"x")
    for drop in ("a", "b"):
        put(store, f"{drop}/_SUCCESS", b"")
    found = pick_up(bind(store, pictures))
    assert (len(found.landed), found.problems) == (2, ())
    assert (left(store), odd.exists()) == (["a"], True), "a name that cannot be kept stays where it is"
    for _ in range(2):
        found = pick_up(bind(store, pictures), quiet=0)
    assert [problem.file for problem in found.problems] == ["inbox/a"]


def test_a_refused_drop_is_not_read_again_until_it_changes(
    store: Store, pictures: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def counted(*arguments: object) -> object:
        calls.append(arguments)
        return land(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(inbox, "land", counted)
    Path(store.path("landing/pets/inbox/a")).mkdir(parents=True)
    os.mkfifo(store.path("landing/pets/inbox/a/pipe"))
    for _ in range(4):
        pick_up(bind(store, pictures), quiet=0)
    assert len(calls) == 1
    put(store, "a/cat/1.png", b"one")
    for _ in range(2):
        pick_up(bind(store, pictures), quiet=0)
    assert len(calls) == 2
    assert len(listed(store)) == 1


def test_a_file_that_changes_while_it_lands_stays(
    any_store: Store, pictures: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(any_store, "a/cat/1.png", b"one")
    put(any_store, "a/cat/2.png", b"two")
    put(any_store, "a/.done", b"")

    def late(*arguments: object) -> object:
        landed = land(*arguments)  # type: ignore[arg-type]
        put(any_store, "a/cat/2.png", b"TWO!")
        put(any_store, "a/cat/3.png", b"three")
        return landed

    monkeypatch.setattr(inbox, "land", late)
    assert len(pick_up(bind(any_store, pictures)).landed) == 1
    assert any_store.names("landing/pets/inbox/a/cat") == ["2.png", "3.png"]
    monkeypatch.setattr(inbox, "land", land)
    pick_up(bind(any_store, pictures), quiet=0)
    (batch,) = pick_up(bind(any_store, pictures), quiet=0).landed
    assert [file.path for file in load_manifest(LineStore(any_store, "pets"), batch[:16]).files] == [
        "cat/2.png",
        "cat/3.png",
    ]
    assert left(any_store) == []


def test_a_drop_that_may_not_be_removed_is_told(store: Store, pictures: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    put(store, "a/cat/1.png", b"one")
    put(store, "a/.done", b"")
    remove = os.unlink

    def denied(path: str, *, dir_fd: int | None = None) -> None:
        if dir_fd is not None:
            raise PermissionError(13, "Permission denied")
        remove(path)

    monkeypatch.setattr(os, "unlink", denied)
    first = pick_up(bind(store, pictures))
    again = pick_up(bind(store, pictures))
    assert [len(first.landed), len(again.landed)] == [1, 0]
    assert "cannot be taken out of the inbox (Permission denied)" in again.problems[0].reason
    monkeypatch.setattr(os, "unlink", remove)
    assert pick_up(bind(store, pictures)) == inbox.PickedUp()
    assert left(store) == []


def test_many_drops_take_several_scans(store: Store, pictures: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "MOST_DROPS", 3)
    for number in range(7):
        put(store, f"{number}.png", bytes([number]))
    assert pick_up(bind(store, pictures), quiet=0).waiting == 7
    assert [len(pick_up(bind(store, pictures), quiet=0).landed) for _ in range(6)] == [3, 0, 3, 0, 1, 0]


def test_ready_folders_and_the_inbox_are_scanned_together(any_store: Store, pictures: Line) -> None:
    any_store.write("landing/pets/from-robot/files/cat/1.png", b"one")
    any_store.write("landing/pets/from-robot/manifest.json", to_bytes(BatchManifest("pets", (ONE,))))
    any_store.write("landing/pets/broken/manifest.json", b"{")
    put(any_store, "2.png", b"two")
    put(any_store, "2.png.done", b"")
    put(any_store, "manifest.json", b"{")
    found = scan(bind(any_store, pictures), quiet=1000)
    assert (len(found.landed), found.added, found.waiting) == (1, 1, 1)
    assert [reason.file for reason in found.broken] == ["broken/manifest.json"]
    assert len(listed(any_store)) == 2


def test_the_scan_reads_no_entry_twice(any_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "THOUSAND", 10)
    journal = LineStore(any_store, "pets").landings()
    for number in range(25):
        any_store.write(f"landing/pets/drop-{number}/files/x", b"")
        journal.append(Landing(f"{number:064x}", f"drop-{number}", 0.0))
    any_store.write("landing/pets/new/files/x", b"")
    assert unlisted_drops(LineStore(any_store, "pets")) == ["new"]
    read: list[str] = []
    original = Store.read

    def counted(self: Store, key: str) -> bytes:
        read.append(key)
        return original(self, key)

    monkeypatch.setattr(Store, "read", counted)
    assert unlisted_drops(LineStore(any_store, "pets")) == ["new"]
    entries = [key for key in read if "/.journal/" in key]
    assert len(entries) == 6, "the five that make no whole ten, and the end"
    any_store.write("landing/pets/.drops/000000001.json", b"[damaged")
    assert unlisted_drops(LineStore(any_store, "pets")) == ["new"], "made again from the journal"


def test_a_pointer_without_an_entry_is_no_listing(any_store: Store, pictures: Line, tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(b"one")
    batch = land(bind(Store(str(tmp_path / "other")), pictures), tmp_path / "1.png").batch
    LineStore(any_store, "pets").landings().append(Landing("0" * 64, "x", 0.0))
    pointer = listing.Listing(batch, batch[:16], 1)  # killed right after it
    any_store.save(f"landing/pets/.ready/{batch}.json", pointer)
    LineStore(any_store, "pets").landings().append(Landing("1" * 64, "y", 0.0))
    assert land(bind(any_store, pictures), tmp_path / "1.png").new
    assert listed(any_store).count(batch) == 1
    assert not land(bind(any_store, pictures), tmp_path / "1.png").new


@pytest.mark.parametrize("pointer", [b"", b"{", b'{"type":"edgeloop.landing","version":"1.0"}'])
def test_a_damaged_pointer_only_costs_time(any_store: Store, pointer: bytes) -> None:
    landing = Landing("2" * 64, "z", 0.0)
    assert list_batch(LineStore(any_store, "pets"), landing)
    any_store.write(f"landing/pets/.ready/{landing.batch}.json", pointer)
    assert listing.known(LineStore(any_store, "pets"), landing.batch) == landing
    assert not list_batch(LineStore(any_store, "pets"), landing)


def test_a_batch_in_two_folders_is_listed_once(any_store: Store) -> None:
    for name in ("one", "two"):
        any_store.write(f"landing/pets/{name}/manifest.json", to_bytes(BatchManifest("pets", (ONE,))))
    assert [entry.drop for entry in journal_unlisted(LineStore(any_store, "pets")).added] == ["one"]
    assert journal_unlisted(LineStore(any_store, "pets")).added == ()
    assert listed(any_store) == [digest(BatchManifest("pets", (ONE,)))]
