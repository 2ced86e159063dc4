"""Works on one batch in processes that are killed with -9, again and again, and looks at what is left.

    python -m tests.assets.quality.killing WHAT FOLDER FIRST STEP RANDOM

WHAT is `land` (land a source), `inbox` or `aside` (pick it up; the second has a link in it, so it is kept aside),
`judge` (land and judge), or `together` (four processes land and judge at the same time).

Loads everything once, then works in forked children: one that is not killed says what is right; others are killed just
before the n-th change they make to the file system, for n = FIRST, FIRST + STEP, …, until one lives through it; RANDOM
others are killed after a random time. After each kill another child does the work again. The last line of the output
is JSON: how many were killed, at which places, and what was wrong.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from assets.ingest.landing import land, load_manifest
from assets.ingest.scan import scan
from assets.line.config import Line, parse_line
from assets.quality.gate import judge
from assets.records.line_store import LineStore, bind
from assets.records.verdict import BatchVerdict
from assets.storage.audit import AuditLog
from assets.storage.store import Store
from assets.storage.streams import holds
from edge.contracts import ArtifactRef, to_bytes

CHANGES = frozenset({"os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.symlink"})
AT_FOLDER = {"os.remove": 1, "os.rmdir": 1, "os.rename": 2, "os.mkdir": 2}
"""Where in an event's arguments stands the descriptor of the folder that its path is relative to."""
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
DIFFER = ("seconds", "since", "page", "suite_page")
"""Fields of a verdict that two runs need not share: its times, and pages that tell them."""


@dataclass
class Found:
    """What the kills showed."""

    killed: int = 0
    places: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def line_of_pictures() -> Line:
    """Pictures of cats and dogs; 10 good records are enough, a quarter may be bad."""
    data = {"reader": "image_folder", "classes": ["cat", "dog"], "image": {"height": 8, "width": 8, "channels": 1}}
    quality = {"min_records": 10, "max_bad_share": 0.4}
    return parse_line("pets", {"data": data, "quality": quality, "model": {"family": "cnn"}}, "test")


def write_source(folder: Path, good: int, *, link: bool) -> Path:
    """Good pictures, one twice, one of an unknown class, one that is no picture, and a link that is left out."""
    for number in range(good):
        _picture(folder / ("cat" if number % 2 else "dog") / f"{number}.png", number)
    _picture(folder / "cat" / "again.png", 1)
    _picture(folder / "bird" / "1.png", 99)
    (folder / "dog" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    if link:
        (folder / "dog" / "link.png").symlink_to("0.png")
    return folder


def _picture(path: Path, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(buffer.getvalue())


class Landing:
    """What a user does: land a source."""

    pictures = 2
    link = True

    def prepare(self, home: Path, source: Path) -> None:
        """Before the process that is killed."""

    def work(self, home: Path, source: Path) -> str:
        """What is killed, and done again; the batch's id."""
        return land(bind(Store(str(home)), line_of_pictures()), source).batch

    def state(self, home: Path, source: Path) -> dict[str, Any]:
        """What is kept, so that two homes can be compared. Raises AssertionError where it is not as it must be."""
        store = Store(str(home))
        landings = [entry for _, entry in LineStore(store, "pets").landings().after(0)]
        assert len(landings) == 1, f"a batch is listed {len(landings)} times"
        manifest = load_manifest(LineStore(store, "pets"), landings[0].drop, landings[0].batch)
        for file in manifest.files:
            key = f"landing/pets/{landings[0].drop}/files/{file.path}"
            assert holds(store, key, file.sha256, file.size), f"{file.path} is damaged"
        log = AuditLog(store).verify()
        assert log.broken_at is None, f"the audit log is broken: {log.why}"
        assert any(entry.subject == landings[0].batch for _, entry in AuditLog(store).latest(100)), (
            "its landing is not on record"
        )
        folders = [path.name for path in Path(store.path("scratch")).glob("*") if path.is_dir()]
        assert not folders, f"scratch folders are left: {folders}"
        return {"batch": landings[0].batch}


class Inbox(Landing):
    """What the reconcile sensor does with a drop that has its marker."""

    link = False

    def prepare(self, home: Path, source: Path) -> None:
        drop = home / "landing" / "pets" / "inbox" / "drop"
        shutil.copytree(source, drop, symlinks=True)
        (drop / "_SUCCESS").touch()

    def work(self, home: Path, source: Path) -> str:
        return "".join(scan(bind(Store(str(home)), line_of_pictures())).landed)

    def state(self, home: Path, source: Path) -> dict[str, Any]:
        store = Store(str(home))
        assert store.names("landing/pets/inbox") == [], "the drop is still in the inbox"
        aside = Path(store.path("landing/pets/.left-out"))
        kept = sorted(path.name for path in aside.rglob("*") if path.is_symlink() or path.is_file())
        return {**super().state(home, source), "aside": kept}


class Aside(Inbox):
    """The same of a drop of which a part cannot land."""

    link = True


class Judging(Landing):
    """What a user and the platform do with a batch, from its source to its verdict."""

    pictures = 12

    def work(self, home: Path, source: Path) -> str:
        batch = super().work(home, source)
        judge(bind(Store(str(home)), line_of_pictures()), batch)
        return batch

    def state(self, home: Path, source: Path) -> dict[str, Any]:
        result = super().state(home, source)
        store, batch = Store(str(home)), result["batch"]
        verdict = LineStore(store, "pets").verdict(batch)
        assert verdict is not None, f"{batch} has no verdict"
        assert verdict.seen == verdict.accepted + verdict.quarantined + verdict.refused
        for ref in _refs(verdict):
            assert store.intact(ref), f"{ref.uri} is damaged or lost"
        assert store.exists(verdict.report), "its page is missing"
        for path in Path(store.path("store/pets/artifacts")).iterdir():
            if not path.name.startswith(".tmp-"):  # never read by anyone
                assert sha256(path.read_bytes()).hexdigest() == path.name.split(".")[0], f"{path.name} is damaged"
        body = json.loads(to_bytes(verdict))
        return {
            **result,
            "accepted": [(entry.batch, entry.records) for _, entry in LineStore(store, "pets").accepted().after(0)],
            "verdict": {name: value for name, value in body.items() if name not in DIFFER},
            "pages": store.names("reports/pets"),
        }


WORKS = {"land": Landing(), "inbox": Inbox(), "aside": Aside(), "judge": Judging()}


def _refs(verdict: BatchVerdict) -> list[ArtifactRef]:
    single = (verdict.ids, verdict.profile, verdict.findings, verdict.page, verdict.suite_page, verdict.all_reasons)
    return [*verdict.records, *verdict.quarantine, *(ref for ref in single if ref is not None)]


def in_child(call: Callable[[], Any]) -> int:
    """Call in a forked child that leads a process group of its own; its process id."""
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setsid()
        call()
        code = 0
    except BaseException as error:  # reported by the exit status
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        code = 1
    os._exit(code)


def die_at(number: int, home: Path, noted: Path) -> None:
    """Have this process killed just before its `number`-th change below `home`; `noted` says where."""
    root, count = str(home), 0

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        if event == "open":
            path, _, flags = arguments
            if not (isinstance(flags, int) and flags & WRITING):
                return
        elif event in CHANGES:
            path = arguments[0]
        else:
            return
        text = os.fsdecode(path) if isinstance(path, (str, bytes, os.PathLike)) else ""
        if (
            event in AT_FOLDER
            and not text.startswith("/")
            and isinstance(at := arguments[AT_FOLDER[event]], int)
            and at >= 0
        ):
            text = f"{Path(f'/proc/self/fd/{at}').readlink()}/{text}"
        if not text.startswith(root):
            return
        count += 1
        if count == number:
            descriptor = os.open(noted, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.write(descriptor, f"{event} {text.removeprefix(root)}".encode())
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)


def end_of(call: Callable[[], Any]) -> int:
    """Call in a child that is waited for; its exit status."""
    return os.waitpid(in_child(call), 0)[1]


def preload(kind: Landing, source: Path, home: Path) -> None:
    """Load what the work loads, so that no child does: a child that worked says what that is."""
    names = home.with_suffix(".modules")
    kind.prepare(home, source)

    def told() -> None:
        kind.work(home, source)
        names.write_text("\n".join(sys.modules))

    assert end_of(told) == 0
    for name in names.read_text().split("\n"):
        with contextlib.suppress(Exception):
            importlib.import_module(name)


def run(kind: Landing, folder: Path, first: int, step: int, randomly: int) -> Found:
    """Kill at every `step`-th change from the `first` on, then `randomly` often after a random time."""
    source, found = write_source(folder / "source", kind.pictures, link=kind.link), Found()
    preload(kind, source, folder / "preload")
    reference = folder / "reference"
    kind.prepare(reference, source)
    began = time.monotonic()
    assert end_of(lambda: kind.work(reference, source)) == 0
    seconds = time.monotonic() - began
    expected = kind.state(reference, source)

    def check(place: str, home: Path) -> None:
        if (status := end_of(lambda: kind.work(home, source))) != 0:
            found.wrong.append(f"{place}: doing it again failed ({status})")
            return
        try:
            result = kind.state(home, source)
        except (AssertionError, OSError, ValueError) as error:
            found.wrong.append(f"{place}: {error}")
        else:
            found.wrong += [f"{place}: {key} differs" for key in expected if result[key] != expected[key]]

    number = first
    while True:
        home, noted = folder / f"at-{number}", folder / "noted"
        kind.prepare(home, source)

        def dying(home: Path = home, number: int = number, noted: Path = noted) -> None:
            die_at(number, home, noted)
            kind.work(home, source)

        if os.WIFEXITED(end_of(dying)):
            check("it ran to its end", home)
            break
        found.killed += 1
        found.places.append(noted.read_text())
        check(f"killed before change {number} ({found.places[-1]})", home)
        number += step
    draw = random.Random(first)
    for attempt in range(randomly):
        home, delay = folder / f"random-{attempt}", draw.uniform(0, 1.1 * seconds)
        kind.prepare(home, source)
        pid = in_child(partial(kind.work, home, source))
        time.sleep(delay)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        found.killed += os.WIFSIGNALED(os.waitpid(pid, 0)[1])
        check(f"killed after {delay:.3f} s", home)
    return found


def run_together(folder: Path, rounds: int, processes: int = 4) -> Found:
    """Several processes land and judge the same source at the same time; in every other round one is killed."""
    kind, found = WORKS["judge"], Found()
    source = write_source(folder / "source", kind.pictures, link=True)
    preload(kind, source, folder / "preload")
    expected = kind.state(folder / "preload", source)
    draw = random.Random(rounds)
    for number in range(rounds):
        home = folder / f"round-{number}"
        start, go = os.pipe()

        def wait_and_work(home: Path = home, start: int = start, go: int = go) -> None:
            os.close(go)
            os.read(start, 1)  # its end, for all at once
            kind.work(home, source)

        children = [in_child(wait_and_work) for _ in range(processes)]
        os.close(start)
        os.close(go)
        if number % 2:
            time.sleep(draw.uniform(0, 0.3))
            with contextlib.suppress(ProcessLookupError):
                os.killpg(children[0], signal.SIGKILL)
        ends = [os.waitpid(child, 0)[1] for child in children]
        found.killed += os.WIFSIGNALED(ends[0])
        ends = [*ends[number % 2 :], end_of(partial(kind.work, home, source))]  # who comes next removes its scratch
        found.wrong += [f"round {number}: a process failed ({status})" for status in ends if status]
        try:
            result = kind.state(home, source)
        except (AssertionError, OSError, ValueError) as error:
            found.wrong.append(f"round {number}: {error}")
        else:
            found.wrong += [f"round {number}: {key} differs" for key in expected if result[key] != expected[key]]
    return found


if __name__ == "__main__":
    what, where, *numbers = sys.argv[1:]
    if what == "together":
        answer = run_together(Path(where), int(numbers[0]))
    else:
        answer = run(WORKS[what], Path(where), *(int(number) for number in numbers))
    print(json.dumps(asdict(answer)))
