"""What lies in a source: hostile folders end, in bounded time, with a reason for each thing left where it is."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.errors import LandingError
from assets.ingest.inspection.inspect import inspect_source
from assets.ingest.sources import collecting as sources
from assets.ingest.sources.collecting import Collected, Limits, collect
from assets.records.limits import MAX_DEPTH, largest_file


def limits(files: int = 1000, size: int = 1 << 30, largest: int = 1 << 30, cut: bool = False) -> Limits:
    return Limits(lambda path: largest, files, size, size, cut)


def look(source: Path | str, scratch: Path, taken: Limits | None = None, forbidden: str | None = None) -> Collected:
    scratch.mkdir(exist_ok=True)
    return collect(source, taken or limits(), scratch, forbidden)


def fill(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def why(found: Collected) -> dict[str, str]:
    return {reason.file: reason.reason for reason in found.skipped}


def test_link_loops_pipes_and_devices_end(tmp_path: Path) -> None:
    source = fill(tmp_path / "in", {"cat/1.png": b"one"})
    (source / "loop").symlink_to(source)
    (source / "self").symlink_to("self")
    (source / "cat/up").symlink_to("..")
    (source / "null").symlink_to("/dev/zero")
    os.mkfifo(source / "cat/pipe")
    found = look(source, tmp_path / "s")
    assert [file.path for file in found.files] == ["cat/1.png"]
    assert set(why(found)) == {"loop", "self", "cat/up", "null", "cat/pipe"}
    assert [file.path for file in look(source / "loop", tmp_path / "s2").files] == ["cat/1.png"]  # the user named it
    with pytest.raises(LandingError, match="neither a folder nor a plain file"):
        look("/dev/zero", tmp_path / "s3")


def test_a_folder_that_may_not_be_read_is_refused_and_the_rest_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = fill(tmp_path / "in", {"cat/1.png": b"one", "shut/2.png": b"two", "cat/mine.png": b"three"})
    scandir, access = os.scandir, os.access

    def shut(folder: Path) -> object:
        if str(folder).endswith("shut"):
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", shut)  # root may read everything, so it is played
    monkeypatch.setattr(os, "access", lambda path, mode: "mine" not in str(path) and access(path, mode))
    found = look(source, tmp_path / "s")
    assert [file.path for file in found.files] == ["cat/1.png"]
    assert "cannot be read (Permission denied)" in why(found)["shut/"]
    assert "permission denied" in why(found)["cat/mine.png"]


def test_a_file_swapped_for_a_pipe_or_link_is_not_opened(tmp_path: Path) -> None:
    source = fill(tmp_path / "in", {"cat/1.png": b"one", "cat/2.png": b"two"})
    found = look(source, tmp_path / "s")
    (source / "cat/1.png").unlink()
    os.mkfifo(source / "cat/1.png")
    (source / "cat/2.png").unlink()
    (source / "cat/2.png").symlink_to("/etc/passwd")
    for file in found.files:
        with pytest.raises(OSError):
            file.open()


def test_strange_names_are_refused(tmp_path: Path) -> None:
    source = fill(tmp_path / "in", {"ok.png": b"x", "new\nline": b"x", "back\\slash": b"x", "\x1b[31m": b"x"})
    (Path(os.fsdecode(os.fsencode(source) + b"/\xff\xfe"))).write_bytes(b"x")
    deep = source
    for _ in range(5):
        deep = deep / ("d" * 200)
    fill(deep, {"x.png": b"x"})
    found = look(source, tmp_path / "s")
    assert [file.path for file in found.files] == ["ok.png"]
    assert len(found.skipped) == 5
    assert any("longer than 900 bytes" in reason.reason for reason in found.skipped)
    assert all(len(reason.file) <= 900 and reason.file.encode() for reason in found.skipped)


def test_depth_is_bounded(tmp_path: Path) -> None:
    source = fill(tmp_path / "in", {"d/" * (MAX_DEPTH - 1) + "a": b"x", "d/" * MAX_DEPTH + "b": b"x"})
    found = look(source, tmp_path / "s")
    assert [file.path[-1] for file in found.files] == ["a"]
    assert "folders deep" in found.skipped[0].reason


def test_limits_refuse_or_cut(tmp_path: Path) -> None:
    source = fill(tmp_path / "in", {f"{n}.png": b"xx" for n in range(10)})
    with pytest.raises(LandingError, match="more than 5 files; land it in several parts"):
        look(source, tmp_path / "s1", limits(files=5))
    with pytest.raises(LandingError, match="more than 7 bytes"):
        look(source, tmp_path / "s2", limits(size=7))
    found = look(source, tmp_path / "s3", limits(files=5, cut=True))
    assert (len(found.files), found.cut) == (5, True)
    assert len(look(source, tmp_path / "s4", limits(files=10)).files) == 10


def test_the_platforms_own_state_is_passed_over(tmp_path: Path) -> None:
    source = fill(tmp_path / "in", {"state/landing/x": b"x", "cat/1.png": b"one"})
    found = look(source, tmp_path / "s", forbidden=str(source / "state"))
    assert [file.path for file in found.files] == ["cat/1.png"]
    assert [reason.outcome for reason in found.skipped] == ["ignored"]


def test_files_of_returned_records_are_taken_by_any_line() -> None:
    assert largest_file("image_folder", "a/x.png") < largest_file("image_folder", "a/x.records.parquet")


def test_many_files_are_listed_quickly_and_in_little_memory(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path\n"
        "from assets.ingest.sources.collecting import Limits, collect\n"
        "began = time.process_time()\n"
        "found = collect(Path(sys.argv[1]), Limits(lambda path: 9, 250_000, 1 << 40, 1 << 30), Path(sys.argv[2]))\n"
        "peak = Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0]\n"  # ru_maxrss is the parent's too
        "print(len(found.files), time.process_time() - began, int(peak) // 1024)"
    )
    source = tmp_path / "in"
    for folder in range(10):
        (source / str(folder)).mkdir(parents=True)
        for n in range(1000):
            os.mknod(source / str(folder) / f"{n}.png", stat.S_IFREG | 0o600)
    run = subprocess.run(
        [sys.executable, "-c", script, str(source), str(tmp_path)], capture_output=True, text=True, check=True
    )
    files, seconds, megabytes = run.stdout.split()
    assert files == "10000"
    assert float(seconds) < 60  # of processor; it is one
    assert int(megabytes) < 150


def test_an_endless_stream_of_refusals_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = fill(tmp_path / "in", {"ok": b"x"})
    for n in range(10):
        (source / f"link{n}").symlink_to("x")
    monkeypatch.setattr(sources, "MAX_FILES", 4)
    with pytest.raises(LandingError, match="are no data; look at it"):
        look(source, tmp_path / "s")


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(["x.csv", "x.tsv", "x.parquet", "x.arrow", "x.txt", "cat/x.png", "up/x.wav", "x.zip", "x.gz"]),
    content=st.one_of(
        st.binary(max_size=300),
        st.text(alphabet='ab1,;\t "\n-.éÿ²', max_size=400).map(str.encode),
        st.sampled_from([b"PAR1", b"ARROW1\0\0", b"\x1f\x8b\x08\0", b"PK\3\4", b"RIFF1234WAVE"]).flatmap(
            lambda head: st.binary(max_size=100).map(lambda rest: head + rest)
        ),
    ),
)
def test_a_look_at_anything_ends_in_an_answer(
    tmp_path_factory: pytest.TempPathFactory, name: str, content: bytes
) -> None:
    source = fill(tmp_path_factory.mktemp("any"), {name: content})
    began = time.process_time()
    try:
        found = inspect_source(source)
    except LandingError as error:
        assert "no plain file" in str(error)
    else:
        assert found.files == 1
    assert time.process_time() - began < 30
