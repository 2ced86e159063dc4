"""Landing: what is copied, what is not, and that no kill leaves anything but "not ready" or "ready"."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tarfile
import threading
import zipfile
from pathlib import Path
from typing import Any

import pytest

from assets.errors import LandingError
from assets.ingest import copying
from assets.ingest import landing as landing_module
from assets.ingest.landing import find_landing, journal_unlisted, land, load_manifest
from assets.ingest.reading import read_landed
from assets.line.config import Line
from assets.records.batch import BatchManifest, LandedFile
from assets.records.line_store import BoundLine, LineStore, bind
from assets.records.reason import Reason
from assets.storage.scratch import scratch_folder
from assets.storage.store import Store
from edge.contracts import digest, from_bytes, to_bytes


class Killed(BaseException):
    """Stands for kill -9: nothing catches it."""


def fill(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def entries(line: BoundLine) -> list[str]:
    return [entry.batch for _, entry in line.landings().after(0)]


def test_a_folder_lands_manifest_last_and_is_journaled(tmp_path: Path, store: Store, pictures: Line) -> None:
    source = fill(tmp_path / "in", {"cat/1.png": b"one", "dog/2.png": b"two"})
    landed = land(bind(store, pictures), source)
    data = store.read(f"landing/pets/{landed.drop}/manifest.json")
    manifest = from_bytes(BatchManifest, data)
    assert [file.path for file in manifest.files] == ["cat/1.png", "dog/2.png"]
    assert (landed.batch, landed.drop, landed.files, landed.new) == (digest(manifest), landed.batch[:16], 2, True)
    assert data == to_bytes(manifest)
    assert store.read(f"landing/pets/{landed.drop}/files/dog/2.png") == b"two"
    assert entries(bind(store, pictures)) == [landed.batch]
    assert find_landing(LineStore(store, "pets"), landed.batch).drop == landed.drop


def test_the_same_files_are_the_same_batch(tmp_path: Path, store: Store, pictures: Line) -> None:
    files = {"cat/1.png": b"one", "dog/2.png": b"two"}
    first = land(bind(store, pictures), fill(tmp_path / "a", files))
    again = land(bind(store, pictures), fill(tmp_path / "b", {**files, "cat/.DS_Store": b"junk"}))
    assert (again.batch, again.new) == (first.batch, False)
    assert [reason.outcome for reason in again.skipped] == ["ignored"]
    assert entries(bind(store, pictures)) == [first.batch]
    other = land(bind(store, pictures), fill(tmp_path / "c", {**files, "dog/2.png": b"TWO"}))
    assert other.new
    assert entries(bind(store, pictures)) == [first.batch, other.batch]


def test_one_file_lands(tmp_path: Path, store: Store, pictures: Line) -> None:
    source = fill(tmp_path, {"x.csv": b"a,b\n"}) / "x.csv"
    landed = land(bind(store, pictures), source)
    assert store.read(f"landing/pets/{landed.drop}/files/x.csv") == b"a,b\n"


def test_only_plain_files_below_the_source_are_taken(tmp_path: Path, store: Store, pictures: Line) -> None:
    secret = fill(tmp_path / "outside", {"secret": b"secret"})
    source = fill(tmp_path / "in", {"cat/1.png": b"one", ".git/config": b"x", "cat/Thumbs.db": b"x", "we\\ird": b"x"})
    (source / "cat" / "new\nline").write_bytes(b"x")
    Path(os.fsdecode(os.fsencode(source) + b"/cat/\xff.png")).write_bytes(b"x")
    (source / "link.png").symlink_to(secret / "secret")
    (source / "folder").symlink_to(secret)
    (source / "loop").symlink_to(source)
    os.mkfifo(source / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        os.chdir(source)  # a socket's path has at most 107 bytes
        try:
            listener.bind("socket")
        finally:
            os.chdir(here)
        landed = land(bind(store, pictures), source)
    assert landed.files == 1
    skipped = {reason.file: reason for reason in landed.skipped}
    strange = {"we\\ird", "cat/new\nline", "cat/\\udcff.png"}
    manifest = load_manifest(LineStore(store, "pets"), landed.drop)
    left_out = {thing.path: thing for thing in manifest.left_out}
    assert set(left_out) == set(skipped) - {".git", "cat/Thumbs.db"}
    assert "links are not followed" in left_out["loop"].reason
    read = [item for item in read_landed(bind(store, pictures), landed.batch) if isinstance(item, Reason)]
    assert {reason.file for reason in read} >= set(left_out)
    assert set(skipped) == {".git", "cat/Thumbs.db", "link.png", "folder", "loop", "pipe", "socket"} | strange
    assert "links are not followed" in skipped["loop"].reason
    assert "pipe" in skipped["pipe"].reason
    assert all(reason.reason and reason.remedy for reason in landed.skipped)


def test_an_empty_or_missing_source_is_refused(tmp_path: Path, store: Store, pictures: Line) -> None:
    with pytest.raises(LandingError, match=r"nowhere.*No such file.*name an existing folder"):
        land(bind(store, pictures), tmp_path / "nowhere")
    (tmp_path / "empty" / "deeper").mkdir(parents=True)
    with pytest.raises(LandingError, match="no plain file"):
        land(bind(store, pictures), tmp_path / "empty")
    (tmp_path / "empty" / "link").symlink_to(tmp_path)
    with pytest.raises(LandingError, match=r"skipped: link .*links are not followed"):
        land(bind(store, pictures), tmp_path / "empty")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(LandingError, match="neither a folder nor a plain file"):
        land(bind(store, pictures), tmp_path / "pipe")
    with pytest.raises(LandingError, match="'nosuchprotocol' is not read, only file, memory"):
        land(bind(store, pictures), "nosuchprotocol://x")
    with pytest.raises(LandingError, match="cannot be read"):
        land(bind(store, pictures), "bad\0name")
    assert entries(bind(store, pictures)) == []


def test_limits_are_checked_before_anything_is_copied(
    tmp_path: Path, store: Store, pictures: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = fill(tmp_path / "in", {"cat/1.png": b"one", "cat/2.png": b"two"})
    with (source / "cat" / "sparse.png").open("wb") as file:
        file.truncate(1 << 40)
    landed = land(bind(store, pictures), source)
    assert [reason.file for reason in landed.skipped] == ["cat/sparse.png"]
    monkeypatch.setattr(landing_module, "MAX_FILES", 1)
    with pytest.raises(LandingError, match="more than 1 files; land it in several parts"):
        land(bind(store, pictures), source)
    monkeypatch.setattr(landing_module, "MAX_FILES", 100)
    monkeypatch.setattr(landing_module, "MAX_BATCH_BYTES", 5)
    with pytest.raises(LandingError, match="more than 5 bytes"):
        land(bind(store, pictures), source)


def test_the_platforms_own_state_is_not_landed(tmp_path: Path, pictures: Line) -> None:
    store = Store(str(tmp_path / "state"))
    fill(tmp_path, {"cat/1.png": b"one"})
    first = land(bind(store, pictures), tmp_path)
    assert land(bind(store, pictures), tmp_path).batch == first.batch


def test_deep_folders_end(tmp_path: Path, store: Store, pictures: Line) -> None:
    source = fill(tmp_path / "in", {"cat/1.png": b"one", f"{'d/' * 40}x.png": b"deep"})
    landed = land(bind(store, pictures), source)
    assert landed.files == 1
    assert "folders deep" in landed.skipped[0].reason


def test_a_source_that_changes_is_refused(
    tmp_path: Path, store: Store, pictures: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = fill(tmp_path / "in", {"cat/1.png": b"one"})
    copy = copying.copy_in

    def late(*arguments: Any) -> Any:
        (source / "cat/1.png").write_bytes(b"ONE")
        with (source / "cat/1.png").open("rb") as changed:
            return copy(arguments[0], arguments[1], changed, arguments[3])

    monkeypatch.setattr(copying, "copy_in", late)
    with pytest.raises(LandingError, match="changed while it was being landed"):
        land(bind(store, pictures), source)
    assert entries(bind(store, pictures)) == []


def test_killed_anywhere_then_repeated_it_is_one_batch(
    tmp_path: Path, pictures: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = fill(tmp_path / "in", {"cat/1.png": b"one", "dog/2.png": b"two"})
    steps = 0

    def dying(die_at: int, after: bool, home: Path) -> Store:
        """A store that dies at its n-th write, before or after it."""
        store = Store(str(home))
        count = 0

        def wrap(write: Any) -> Any:
            def call(*arguments: Any, **options: Any) -> Any:
                nonlocal count, steps
                count += 1
                steps = max(steps, count)
                if count == die_at and not after:
                    raise Killed
                result = write(*arguments, **options)
                if count == die_at:
                    raise Killed
                return result

            return call

        original = Store.create
        monkeypatch.setattr(Store, "create", wrap(original))
        monkeypatch.setattr(copying, "copy_in", wrap(copy_in))
        return store

    copy_in, create = copying.copy_in, Store.create
    expected = land(bind(Store(str(tmp_path / "reference")), pictures), source)
    die_at = 0
    while True:
        die_at += 1
        died = False
        for after in (False, True):
            home = tmp_path / f"home{die_at}{after}"
            store = dying(die_at, after, home)
            try:
                land(bind(store, pictures), source)
            except Killed:
                died = True
            monkeypatch.setattr(Store, "create", create)
            monkeypatch.setattr(copying, "copy_in", copy_in)
            ready = store.exists(f"landing/pets/{expected.drop}/manifest.json")
            if ready:  # whole: each declared file is there
                assert load_manifest(LineStore(store, "pets"), expected.drop, expected.batch).files
                assert store.read(f"landing/pets/{expected.drop}/files/dog/2.png") == b"two"
                assert len(journal_unlisted(LineStore(store, "pets")).added) + len(entries(bind(store, pictures))) in (
                    1,
                    2,
                )
            else:
                assert entries(bind(store, pictures)) == []
            assert land(bind(store, pictures), source).batch == expected.batch
            assert entries(bind(store, pictures)) == [expected.batch]
            assert journal_unlisted(LineStore(store, "pets")).added == ()
            assert find_landing(LineStore(store, "pets"), expected.batch).drop == expected.drop
        if not died:
            break
    assert steps >= 6  # two files, manifest, journal, pointer, audit: all of them were died at


def test_two_who_land_the_same_at_once_make_one_ready_batch(tmp_path: Path, store: Store, pictures: Line) -> None:
    source = fill(tmp_path / "in", {f"cat/{n}.png": bytes([n]) for n in range(20)})
    threads = [threading.Thread(target=land, args=(bind(store, pictures), source)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(entries(bind(store, pictures))) == {land(bind(store, pictures), source).batch}


def test_drops_of_other_tools_are_found_and_broken_ones_do_not_stop_them(store: Store, pictures: Line) -> None:
    def drop(name: str, manifest: bytes, files: dict[str, bytes]) -> None:
        for path, data in files.items():
            store.write(f"landing/pets/{name}/files/{path}", data)
        store.write(f"landing/pets/{name}/manifest.json", manifest)

    one = LandedFile("cat/1.png", "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed", 3)
    good = BatchManifest("pets", (one,))
    drop("from-robot", to_bytes(good).replace(b",", b" ,\n"), {"cat/1.png": b"one"})  # another writer's spacing
    drop("a-broken", b"{", {})
    drop("b-other-line", to_bytes(BatchManifest("cars", (one,))), {})
    drop("c-empty", to_bytes(BatchManifest("pets", ())), {})
    drop("d-twice", to_bytes(BatchManifest("pets", (one, one))), {})
    drop("e-outside", to_bytes(good).replace(b"cat/1.png", b"../../1.png"), {})
    drop("f-huge", to_bytes(BatchManifest("pets", (LandedFile("x", one.sha256, 1 << 50),))), {})
    store.write("landing/pets/g-not-ready/files/x.png", b"")
    os.mkfifo(store.path("landing/pets/g-not-ready/manifest.json"))
    store.write("landing/pets/h-not-ready/files/x.png", b"")
    found = journal_unlisted(LineStore(store, "pets"))
    assert [(entry.batch, entry.drop) for entry in found.added] == [(digest(good), "from-robot")]
    assert sorted({reason.file.split("/")[0][0] for reason in found.broken}) == list("abcdefg")
    assert all(reason.remedy for reason in found.broken)
    assert journal_unlisted(LineStore(store, "pets")).added == ()
    assert find_landing(LineStore(store, "pets"), digest(good)).drop == "from-robot"


def test_folders_with_names_that_no_key_can_have_hinder_no_other(store: Store) -> None:
    one = LandedFile("cat/1.png", "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed", 3)
    store.write("landing/pets/z-good/files/cat/1.png", b"one")
    store.write("landing/pets/z-good/manifest.json", to_bytes(BatchManifest("pets", (one,))))
    for name in (b"back\\slash", b"no\xffutf8", b"two\nlines"):
        os.mkdir(os.path.join(os.fsencode(store.path("landing/pets")), name))  # noqa: PTH102, PTH118 - bytes
    found = journal_unlisted(LineStore(store, "pets"))
    assert [entry.drop for entry in found.added] == ["z-good"]
    assert {reason.remedy for reason in found.broken} == {"rename the folder"}
    assert all(reason.file.isprintable() for reason in found.broken)
    assert len(found.broken) == 3


def test_an_unknown_batch_is_refused(store: Store) -> None:
    for batch in ("0" * 64, "../../etc/passwd", ""):
        with pytest.raises(LandingError, match="land it first"):
            find_landing(LineStore(store, "pets"), batch)


def test_a_changed_manifest_is_refused(tmp_path: Path, store: Store, pictures: Line) -> None:
    landed = land(bind(store, pictures), fill(tmp_path / "in", {"cat/1.png": b"one"}))
    one = LandedFile("cat/1.png", "0" * 64, 3)
    store.write(f"landing/pets/{landed.drop}/manifest.json", to_bytes(BatchManifest("pets", (one,))))
    with pytest.raises(LandingError, match="changed after it was landed"):
        list(read_landed(bind(store, pictures), landed.batch))


def test_a_remote_source_and_store_work(pictures: Line) -> None:
    store, source = Store("memory://home"), Store("memory://source")
    source.write("cat/1.png", b"one")
    source.write("cat/.DS_Store", b"junk")
    landed = land(bind(store, pictures), "memory://source")
    assert landed.files == 1
    assert store.read(f"landing/pets/{landed.drop}/files/cat/1.png") == b"one"
    assert land(bind(store, pictures), "memory://source").new is False


def test_what_is_left_out_is_bounded_and_the_last_row_counts_the_rest(
    tmp_path: Path, store: Store, pictures: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(landing_module, "MAX_LEFT_OUT", 3)
    source = fill(tmp_path / "in", {"cat/1.png": b"one"})
    for n in range(5):
        (source / f"link{n}").symlink_to(source)
    landed = land(bind(store, pictures), source)
    left = load_manifest(LineStore(store, "pets"), landed.drop).left_out
    assert [thing.path for thing in left] == ["link0", "link1", "…"]
    assert left[2].reason.startswith("3 more things")
    assert len(landed.skipped) == 5


def test_archives_are_landed_as_their_files(tmp_path: Path, store: Store, pictures: Line) -> None:
    source = fill(tmp_path / "in", {"validation/cat/3.png": b"three"})
    with zipfile.ZipFile(source / "train.zip", "w") as archive:
        archive.writestr("train/cat/1.png", b"one")
        archive.writestr("train/../../evil.png", b"evil")
    with tarfile.open(source / "test.tgz", "w:gz") as packed:
        packed.add(source / "validation/cat/3.png", "dog/2.png")
    landed = land(bind(store, pictures), source)
    manifest = load_manifest(LineStore(store, "pets"), landed.drop)
    paths = ["test/dog/2.png", "train/cat/1.png", "validation/cat/3.png"]
    assert [file.path for file in manifest.files] == paths
    assert store.read(f"landing/pets/{landed.drop}/files/train/cat/1.png") == b"one"
    assert [thing.path for thing in manifest.left_out] == ["train.zip/train/../../evil.png"]
    assert list((tmp_path / "home/scratch").iterdir()) == []
    assert land(bind(store, pictures), source).batch == landed.batch
    assert (source / "train.zip").exists()
    alone = land(bind(store, pictures), source / "train.zip")
    assert [file.path for file in load_manifest(LineStore(store, "pets"), alone.drop).files] == ["train/cat/1.png"]


def test_a_path_twice_or_below_a_file_is_refused(tmp_path: Path, store: Store, pictures: Line) -> None:
    source = fill(tmp_path / "in", {"train/cat": b"a file", "train/dog/1.png": b"folder wins"})
    with zipfile.ZipFile(source / "train.zip", "w") as archive:
        archive.writestr("cat/1.png", b"one")
        archive.writestr("dog/1.png", b"two")
        archive.writestr("dog/2.png", b"three")
    landed = land(bind(store, pictures), source)
    manifest = load_manifest(LineStore(store, "pets"), landed.drop)
    assert [file.path for file in manifest.files] == ["train/cat", "train/dog/1.png", "train/dog/2.png"]
    assert {thing.path: thing.reason for thing in manifest.left_out} == {
        "train/cat/1.png": "train/cat is a file, not a folder",
        "train/dog/1.png": "an archive has it a second time",
    }
    assert store.read(f"landing/pets/{landed.drop}/files/train/dog/1.png") == b"folder wins"


def test_scratch_of_dead_processes_is_removed_and_of_living_ones_kept(tmp_path: Path) -> None:
    root = tmp_path / "scratch"
    script = (
        "import os, sys; from pathlib import Path; from assets.storage.scratch import scratch_folder\n"
        "with scratch_folder(Path(sys.argv[1])) as folder:\n"
        "    (folder / 'big').write_bytes(b'x'); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", script, str(root)], check=False).returncode == -9
    (left,) = [path for path in root.iterdir() if path.is_dir()]
    with scratch_folder(root) as mine:
        assert not left.exists()
        with scratch_folder(root) as other:
            assert mine.is_dir() and other.is_dir() and mine != other
        assert not other.exists()
    assert list(root.iterdir()) == []


def test_a_file_that_grows_while_it_is_read_is_refused(tmp_path: Path, store: Store, pictures: Line) -> None:
    source = fill(tmp_path / "in", {"cat/1.png": b"x" * (3 << 20)})
    told = []

    def tell(what: str, done: int, total: int) -> None:
        told.append((what, done, total))
        with (source / "cat/1.png").open("ab") as file:
            file.write(b"more")

    with pytest.raises(LandingError, match="changed while it was being landed"):
        land(bind(store, pictures), source, tell)
    assert told == [("reading", 3 << 20, 3 << 20)]


def test_a_folder_swapped_for_a_link_is_not_followed(
    tmp_path: Path, store: Store, pictures: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = fill(tmp_path / "secret", {"1.png": b"two"})
    source = fill(tmp_path / "in", {"cat/1.png": b"one"})
    declare = copying.Taking.declare

    def swapped(self: Any, files: Any) -> Any:
        (source / "cat").rename(tmp_path / "away")
        (source / "cat").symlink_to(secret)
        return declare(self, files)

    monkeypatch.setattr(copying.Taking, "declare", swapped)
    with pytest.raises(LandingError, match="changed while it was being landed"):
        land(bind(store, pictures), source)
