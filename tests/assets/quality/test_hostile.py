"""Odd and hostile sources from landing to report: the bad parts are named, the sound ones go on, pages stay inert."""

from __future__ import annotations

import io
import os
import pickle
import re
import shutil
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assets.ingest.inbox import pick_up
from assets.ingest.landing import land
from assets.line.config import Line, parse_line
from assets.quality.gate import judge
from assets.records.line_store import bind
from assets.records.verdict import BatchVerdict
from assets.storage.store import Store

Land = Callable[[Line, Mapping[str, bytes]], str]
SCRIPT = "<script>alert(1)</script>"
WORDS = ("river", "train", "yellow", "seven", "garden", "window", "copper", "winter", "bridge", "pepper", "marble")


def line_of(data: dict[str, Any]) -> Line:
    return parse_line("odd", {"data": data, "quality": {"min_records": 5, "max_bad_share": 0.9}}, "test")


def named(verdict: BatchVerdict) -> dict[str, str]:
    assert all(reason.reason and reason.remedy for reason in verdict.reasons)
    return {f"{reason.file} {reason.place}": f"{reason.reason}; {reason.remedy}" for reason in verdict.reasons}


def test_one_bad_text_of_a_folder_does_not_block_the_others(store: Store, put: Land) -> None:
    line = line_of({"reader": "text", "classes": ["ham", "spam"], "text": {}})
    sound = {f"{'ham' if n % 2 else 'spam'}/{n}.txt": f"{word} {word[::-1]} {n}" for n, word in enumerate(WORDS)}
    bad = {"ham/latin.txt": b"caf\xe9", "ham/wide.txt": "x".encode("utf-16"), "top.txt": b"x", "ham/page.html": b"<p>"}
    verdict = judge(bind(store, line), put(line, {**{name: text.encode() for name, text in sound.items()}, **bad}))
    assert (verdict.state, verdict.refused) == ("accepted", 4), verdict.why
    assert verdict.accepted + verdict.quarantined == len(sound)
    assert set(named(verdict)) >= {"ham/latin.txt whole text", "ham/wide.txt whole text", "top.txt whole text"}


@pytest.mark.parametrize("label", ["YES", " yes", "yes\u200b", "\u202eyes", "\uff59\uff45\uff53", "yes\n"])
def test_labels_that_only_look_like_a_class_are_told(store: Store, rows: Line, put: Land, label: str) -> None:
    sound = "a,b,kind\n" + "".join(f"{n},1,{'yes' if n % 2 else 'no'}\n" for n in range(20))
    verdict = judge(bind(store, rows), put(rows, {"x.csv": f'{sound}99,1,"{label}"\n'.encode()}))
    assert (verdict.state, verdict.accepted, verdict.quarantined) == ("accepted", 20, 1)
    (text,) = named(verdict).values()
    assert "if 'yes' is meant, write it so" in text


def test_what_is_hostile_is_set_aside_and_its_page_is_inert(
    store: Store, pictures: Line, good: dict[str, bytes], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "source"
    for name, content in {
        **good,
        f"{SCRIPT.replace('/', '|')}/x.png": good["cat/1.png"],
        f"cat/{SCRIPT.replace('/', '|')}.png": SCRIPT.encode(),
        "empty.zip": zipped({}),
        "way.zip": zipped({"../../out.png": good["cat/1.png"], "/out.png": b"x", "cat/a\n.png": b"x"}),
        "cat/\U0001f600.png": b"\x89PNG\r\n\x1a\n" + bytes(40),
        f"cat/{'x' * 251}.png": b"",
    }.items():
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    os.mkfifo(source / "cat" / "pipe.png")
    (source / "cat" / "loop").symlink_to(source)
    (source / "dog" / "secret.png").symlink_to("/etc/passwd")
    verdict = judge(bind(store, pictures), land(bind(store, pictures), source).batch)
    found = named(verdict)
    assert verdict.seen == len(good) + 11
    assert verdict.refused == 10
    assert "it is an empty archive" in found["empty.zip whole file"]
    assert "is a link" in found["cat/loop whole file"]
    assert "pipe" in found["cat/pipe.png whole file"]
    assert not list(tmp_path.rglob("out.png"))
    pages = list(Path(store.path("reports")).rglob("*.html"))
    assert pages
    for page in pages:
        assert not re.search(r"<\s*script|<[^>]+\son\w+\s*=|javascript:", page.read_text(), re.IGNORECASE), page
    assert capfd.readouterr().out == ""

    (source / "cat" / "pipe.png").unlink()
    other = Store(str(tmp_path / "other"))
    box = Path(other.path("landing/pets/inbox"))
    shutil.copytree(source, box / "drop", symlinks=True)
    os.mkfifo(box / "drop" / "cat" / "pipe.png")
    (box / "drop" / "_SUCCESS").touch()
    (batch,) = pick_up(bind(other, pictures)).landed
    same = judge(bind(other, pictures), batch)
    assert (same.batch, same.state, same.why) == (verdict.batch, verdict.state, verdict.why)
    assert named(same) == found


def test_no_pickle_is_run(store: Store, put: Land, tmp_path: Path) -> None:
    marker = tmp_path / "pwned"
    line = line_of(
        {"reader": "cifar10", "classes": ["0", "1"], "image": {"height": 32, "width": 32, "channels": 3}},
    )

    class Evil:
        def __reduce__(self) -> Any:
            return open, (str(marker), "w")

    pixels = np.random.default_rng(0).integers(0, 256, (10, 3072), dtype=np.uint8)
    labels = [n % 2 for n in range(10)]
    files = {
        "data_batch_1": pickle.dumps({b"data": pixels, b"labels": labels}, 5),
        "data_batch_2": pickle.dumps({b"data": pixels, b"labels": labels, b"more": Evil()}, 4),
        "data_batch_3": pickle.dumps({b"data": pickle.dumps(Evil()), b"labels": labels}),
        "data_batch_4": pickle.dumps({b"data": np.array([Evil()], dtype=object), b"labels": [0]}),
        "data_batch_5": pickle.dumps({b"data": pixels, b"fine_labels": labels}),
    }
    verdict = judge(bind(store, line), put(line, files))
    assert (verdict.state, verdict.quarantined, verdict.refused) == ("blocked", 10, 4)
    assert {text.split(" ")[0] for text in named(verdict)} == set(files) - {"data_batch_1"}
    assert not marker.exists()


def zipped(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()
