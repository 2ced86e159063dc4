"""Archives: every member judged by itself, nothing outside the folder, no bomb unpacked, what is sound goes on."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import struct
import tarfile
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.errors import RejectedError, TransientError
from assets.ingest.sources import archives, tars
from assets.ingest.sources.archives import Budget, Expanded, expand_archive, is_archive, placed

BIG = 1 << 30


def budget(members: int = 1000, size: int = BIG, largest: int = BIG) -> Budget:
    return Budget(members, size, lambda path: largest)


def expand(data: bytes, folder: Path, name: str = "pets.zip", limits: Budget | None = None) -> Expanded:
    folder.mkdir(parents=True, exist_ok=True)
    return expand_archive(io.BytesIO(data), name, folder, limits or budget())


def contents(expanded: Expanded) -> dict[str, bytes]:
    return {member.path: member.file.read_bytes() for member in expanded.files}


def why(expanded: Expanded) -> dict[str, str]:
    assert all(reason.reason and reason.remedy for reason in expanded.refused)
    return {reason.file.split("/", 1)[-1]: reason.reason for reason in expanded.refused}


def zip_of(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def tar_of(files: dict[str, bytes], mode: str = "w", form: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode, format=form) as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


FILES = {"cat/1.png": b"one", "dog/2.png": b"two" * 5000, "dog/ü.png": b"", "deep/" * 5 + "x" * 100 + ".png": b"x"}


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_tars_give_their_files(tmp_path: Path, mode: str, form: int) -> None:
    data = tar_of(FILES, mode, form)
    assert is_archive(data, "anything") == "tar"
    expanded = expand(data, tmp_path / "s", "x.tar")
    assert contents(expanded) == FILES
    assert expanded.refused == ()
    assert {path.name for path in (tmp_path / "s").iterdir()} == {f"{n:07d}" for n in range(len(FILES))}


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_zips_give_their_files(tmp_path: Path, method: int) -> None:
    data = zip_of(FILES, method)
    assert is_archive(data, "anything") == "zip"
    expanded = expand(data, tmp_path)
    assert (contents(expanded), expanded.refused) == (FILES, ())


def test_large_zips_with_64_bit_sizes_are_read(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("cat/1.png", "w", force_zip64=True) as member,
    ):
        member.write(b"one")
    assert contents(expand(buffer.getvalue(), tmp_path)) == {"cat/1.png": b"one"}


def test_streamed_zips_are_read(tmp_path: Path) -> None:
    class Pipe(io.RawIOBase):
        """A sink that cannot seek: sizes then follow the data."""

        def __init__(self) -> None:
            self.data = b""

        def writable(self) -> bool:
            return True

        def write(self, data: Any) -> int:
            self.data += bytes(data)
            return len(data)

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("cat/1.png", b"one" * 100)
    assert contents(expand(pipe.data, tmp_path)) == {"cat/1.png": b"one" * 100}


HOSTILE = {
    "/etc/passwd": "absolute",
    "../evil": "leads out",
    "a/../../evil": "leads out",
    "a\\..\\..\\evil": "leads out",
    "C:evil": "drive",
    "c:/evil": "drive",
    "a\\b": "backslash",
    "new\nline": "control character",
    "d/" * 40 + "x": "folders deep",
    "y" * 300: "longer than 255",
    "inner.zip": "inside an archive",
    "inner.tgz": "inside an archive",
}


@pytest.mark.parametrize("make", [zip_of, tar_of])
def test_hostile_names_are_refused_and_the_rest_goes_on(tmp_path: Path, make: Any) -> None:
    inner = {"inner.zip": zip_of({"x": b"x"}), "inner.tgz": tar_of({"x": b"x"}, "w:gz")}
    data = make({**{name: inner.get(name, b"evil") for name in HOSTILE}, "cat/1.png": b"one", "./cat//2.png": b"two"})
    expanded = expand(data, tmp_path / "scratch", "p.zip")
    assert contents(expanded) == {"cat/1.png": b"one", "cat/2.png": b"two"}
    reasons = {reason.file.removeprefix("p.zip/"): reason.reason for reason in expanded.refused}
    assert len(reasons) == len(HOSTILE)
    for name, reason in HOSTILE.items():
        assert reason in reasons[name], name
    assert [path.name for path in tmp_path.iterdir()] == ["scratch"]
    assert len(list((tmp_path / "scratch").iterdir())) == 2


def test_names_that_are_not_utf8_are_refused(tmp_path: Path) -> None:
    data = bytearray(zip_of({"cat/1XX.png": b"one", "cat/2.png": b"two"}))
    data = bytearray(bytes(data).replace(b"1XX", b"1\xff\xfe"))
    expanded = expand(bytes(data), tmp_path / "zip")
    assert set(contents(expanded)) == {"cat/2.png"}
    assert why(expanded) == {"cat/1\\udcff\\udcfe.png": "its name is not UTF-8"}
    expanded = expand(
        tar_of({"cat/1\udcff.png": b"one", "cat/2.png": b"two"}, "w", tarfile.GNU_FORMAT), tmp_path / "tar"
    )
    assert set(contents(expanded)) == {"cat/2.png"}
    assert why(expanded) == {"cat/1\\udcff.png": "its name is not UTF-8"}


def test_only_plain_members_are_taken_from_a_tar(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, kind in {
            "soft": tarfile.SYMTYPE,
            "hard": tarfile.LNKTYPE,
            "char": tarfile.CHRTYPE,
            "block": tarfile.BLKTYPE,
            "fifo": tarfile.FIFOTYPE,
            "folder": tarfile.DIRTYPE,
        }.items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
        info = tarfile.TarInfo("strange")
        info.type, info.size = b"Z", 700
        archive.addfile(info, io.BytesIO(b"z" * 700))
        for name in (".DS_Store", "__MACOSX/._1.png", "cat/1.png", "cat/1.png"):
            info = tarfile.TarInfo(name)
            info.size = 3
            archive.addfile(info, io.BytesIO(b"one"))
    expanded = expand(buffer.getvalue(), tmp_path, "x.tgz")
    assert contents(expanded) == {"cat/1.png": b"one"}
    found = why(expanded)
    assert {"soft", "hard", "char", "block", "fifo", "strange"} < set(found)
    assert "came before" in found["cat/1.png"]
    assert "link" in found["soft"] and "link" in found["hard"] and "pipe" in found["fifo"]
    ignored = {reason.file for reason in expanded.refused if reason.outcome == "ignored"}
    assert ignored == {"x.tgz/.DS_Store", "x.tgz/__MACOSX/._1.png"}


def test_sparse_members_are_refused_and_skipped_rightly(tmp_path: Path) -> None:
    file = tmp_path / "hole.bin"
    with file.open("wb") as out:
        for n in range(40):
            out.seek(n * 1_000_000)
            out.write(b"data")
        out.truncate(1 << 34)
    (tmp_path / "one.png").write_bytes(b"one")
    for form in ("gnu", "posix"):
        status = os.system(f"cd {tmp_path} && tar --format={form} -S -cf {form}.tar hole.bin one.png")
        assert status == 0
        expanded = expand((tmp_path / f"{form}.tar").read_bytes(), tmp_path / form, "x.tar")
        assert contents(expanded) == {"one.png": b"one"}
        assert all("sparse" in reason for reason in why(expanded).values())
        assert len(expanded.refused) == 1


def test_encrypted_and_odd_zip_members_are_refused(tmp_path: Path) -> None:
    data = bytearray(zip_of({"a.png": b"a", "b.png": b"b", "c.png": b"c", "d.png": b"d"}))
    central = [at for at in range(len(data)) if data[at : at + 4] == b"PK\1\2"]
    data[central[0] + 8] |= 1  # encrypted
    data[central[1] + 10] = 14  # LZMA
    struct.pack_into("<L", data, central[2] + 38, 0o120777 << 16)  # a link
    expanded = expand(bytes(data), tmp_path)
    assert set(contents(expanded)) == {"d.png"}
    found = why(expanded)
    assert ["encrypted" in found["a.png"], "LZMA" in found["b.png"], "link" in found["c.png"]] == [True] * 3


def test_headers_that_lie_are_found_out(tmp_path: Path) -> None:
    big = np.random.default_rng(0).bytes(1000)
    data = zip_of({"a.png": big, "b.png": b"b"})
    central = data.index(b"PK\1\2")
    for name, offset, value in (("size", 24, 10), ("crc", 16, 1), ("packed", 20, 5)):
        lying = bytearray(data)
        struct.pack_into("<L", lying, central + offset, value)
        expanded = expand(bytes(lying), tmp_path / name)
        assert contents(expanded) == {"b.png": b"b"}
        assert set(why(expanded)) == {"a.png"}
    renamed = bytearray(data)
    renamed[30] = ord("z")  # the local header says another name than the list
    assert why(expand(bytes(renamed), tmp_path / "renamed")) == {
        "a.png": "its own header says something else than the archive's list"
    }


def test_of_a_damaged_list_the_first_members_stay(tmp_path: Path) -> None:
    data = bytearray(zip_of({"a.png": b"a", "b.png": b"b", "c.png": b"c"}))
    second = [at for at in range(len(data)) if data[at : at + 4] == b"PK\1\2"][1]
    data[second] = 0
    expanded = expand(bytes(data), tmp_path, "x.zip")
    assert contents(expanded) == {"a.png": b"a"}
    assert [reason.file for reason in expanded.refused] == ["x.zip"]


def test_a_bomb_of_overlapping_members_is_refused(tmp_path: Path) -> None:
    data = zip_of({"kernel": b"\0" * 1000})
    begin, end = data.index(b"PK\1\2"), data.index(b"PK\5\6")
    entry, tail = data[begin:end], bytearray(data[end:])
    struct.pack_into("<HHLL", tail, 8, 500, 500, len(entry) * 500, begin)
    expanded = expand(data[:begin] + entry * 500 + bytes(tail), tmp_path)
    assert len(expanded.files) <= 1
    assert {reason.reason.split(",")[0] for reason in expanded.refused} <= {
        "it shares bytes with another member",
        "a member of this name came before",
    }


@pytest.mark.parametrize("kind", ["zip", "gz", "bz2", "xz"])
def test_bombs_end_early(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    size = 80 * 1024**2
    monkeypatch.setattr(archives, "FREE_BYTES", 1024**2)
    monkeypatch.setattr(tars, "FREE_BYTES", 1024**2)
    if kind == "zip":
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            with archive.open("zeros", "w") as member:
                for _ in range(size >> 20):
                    member.write(bytes(1 << 20))
            archive.writestr("cat/1.png", b"one")
        data = buffer.getvalue()
    else:
        info = tarfile.TarInfo("zeros")
        info.size = size
        opened: Any = {"gz": gzip.open, "bz2": bz2.open, "xz": lzma.open}[kind]
        buffer = io.BytesIO()
        with opened(buffer, "wb") as packed:
            packed.write(info.tobuf())
            for _ in range(size >> 20):
                packed.write(bytes(1 << 20))
            packed.write(bytes(1024))
        data = buffer.getvalue()
    expanded = expand(data, tmp_path, "bomb")
    assert set(contents(expanded)) <= {"cat/1.png"}
    assert any("200 times its size" in reason.reason for reason in expanded.refused)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 10


def test_limits_hold_for_all_archives_together(tmp_path: Path) -> None:
    files = {f"{n}.bin": np.random.default_rng(n).bytes(1000) for n in range(10)}
    for name, make in (("zip", zip_of), ("tar", tar_of)):
        expanded = expand(make(files), tmp_path / name / "members", limits=budget(members=4))
        assert len(expanded.files) == 4
        assert "more members" in expanded.refused[-1].reason
        expanded = expand(make(files), tmp_path / name / "size", limits=budget(size=3500))
        assert len(expanded.files) == 3
        assert [reason.reason.split("unpacks")[-1] for reason in expanded.refused] == [
            " to more than one batch may have"
        ]
        expanded = expand(make(files), tmp_path / name / "largest", limits=budget(largest=999))
        assert expanded.files == ()
        assert all("more than 999 bytes" in reason for reason in why(expanded).values())


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_of_a_tar_cut_short_the_first_members_stay(tmp_path: Path, mode: str) -> None:
    files = {f"{n}.bin": np.random.default_rng(n).bytes(200_000) for n in range(10)}
    data = tar_of(files, mode)
    whole = 0
    for share in (0.1, 0.5, 0.97):
        expanded = expand(data[: int(len(data) * share)], tmp_path / str(share), "x.tar")
        found = contents(expanded)
        assert found == dict(list(files.items())[: len(found)])
        assert len(expanded.refused) == 1
        assert expanded.refused[0].file == "x.tar"
        assert len(list((tmp_path / str(share)).iterdir())) == len(found)
        whole = len(found)
    assert whole >= 8
    if mode == "w":  # cut exactly between two members, or before the end mark
        expanded = expand(data[: 512 + 200_192], tmp_path / "between", "x.tar")
        assert (len(expanded.files), len(expanded.refused)) == (1, 1)
        assert "end mark" in expand(data + b"more", tmp_path / "more", "x.tar").refused[0].reason


def test_damaged_archives_are_one_refusal(tmp_path: Path) -> None:
    data = zip_of({"a.png": b"a" * 1000})
    cases = {
        "a.zip": data[:-30],
        "b.zip": data[: len(data) // 2],
        "c.zip": b"<html>not found</html>",
        "d.tar.gz": b"\x1f\x8b\x08junk",
        "e.zip": b"",
        "f.rar": b"Rar!\x1a\x07\x00",
        "g.tar": b"x" * 2000,
        "h.zip": b"PK\3\4" + b"\0" * 100,
    }
    for name, bad in cases.items():
        expanded = expand(bad, tmp_path / name, name)
        assert expanded.files == ()
        assert [reason.file for reason in expanded.refused] == [name]
        assert expanded.refused[0].remedy


def test_an_empty_archive_is_one_refusal(tmp_path: Path) -> None:
    for data, name in ((zip_of({}), "x.zip"), (tar_of({}), "x.tar"), (tar_of({}, "w:gz"), "x.tar.gz")):
        expanded = expand(data, tmp_path / name, name)
        assert [reason.file for reason in expanded.refused] == [name]
    assert why(expand(zip_of({}), tmp_path / "again", "x.zip")) == {"x.zip": "it is an empty archive"}


def test_what_is_no_archive_is_left_alone() -> None:
    packed = gzip.compress(b"a,b\n1,2\n" * 100)
    assert is_archive(packed, "rows.csv.gz") is None
    assert is_archive(gzip.compress(bytes(5000)), "train-images-idx3-ubyte.gz") is None
    assert is_archive(bytes(600), "zeros.bin") is None
    assert is_archive(zip_of({"x": b"x"}), "model.npz") is None
    assert is_archive(b"", "empty.png") is None
    with pytest.raises(RejectedError, match="holds none"):
        is_archive(b"plain", "x.zip")


def test_where_members_go() -> None:
    assert placed(["cat/1", "dog/2"], "pets.zip", True) == ["cat/1", "dog/2"]
    assert placed(["pets/cat/1", "pets/dog/2", "pets/README"], "x.tar.gz", True) == ["cat/1", "dog/2", "README"]
    assert placed(["train/cat/1", "train/dog/2"], "x.zip", True) == ["train/cat/1", "train/dog/2"]
    assert placed(["cat/1", "cat/2"], "cat.zip", True) == ["cat/1", "cat/2"]
    assert placed(["cat/1", "dog/2"], "train.tar.gz", False) == ["train/cat/1", "train/dog/2"]
    assert placed(["train/cat/1"], "data/train.zip", False) == ["data/train/cat/1"]
    assert placed(["1", "2"], "train/cat.ZIP", False) == ["train/cat/1", "train/cat/2"]
    assert placed([], "x.zip", True) == []


def test_a_full_disk_is_worth_another_try(tmp_path: Path) -> None:
    with pytest.raises(TransientError, match="make room"):
        expand_archive(io.BytesIO(zip_of({"a": b"a"})), "x.zip", tmp_path / "nowhere", budget())


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damaged_anywhere_it_never_raises_and_never_lies(tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    kind = data.draw(st.sampled_from(["zip", "w", "w:gz", "w:bz2", "w:xz"]))
    whole = bytearray(zip_of(FILES) if kind == "zip" else tar_of(FILES, kind))
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(whole) - 1))
        whole[position] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del whole[data.draw(st.integers(0, len(whole) - 1)) :]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        expanded = expand(bytes(whole), folder, "x.zip" if kind == "zip" else "x.tar")
    for path, found in contents(expanded).items():
        if kind != "w" and path in FILES:
            assert found == FILES[path] or kind != "zip"  # a zip's members carry their own sums
    assert len(list(folder.iterdir())) == len(expanded.files)
