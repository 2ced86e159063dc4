"""What a sensor tick and the slow scan cost with more and more landed files behind them.

Two shapes: many files in batches of a thousand, and as many batches as files. Each size is measured in a process of its
own, so that peak memory is its own. What no tick reads is there by its name only, as a million files take long to make
and longer to remove: the folders of batches that are listed are empty files, old accepted entries links to one file.
"""

from __future__ import annotations

import json
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import dagster as dg

from assets.ingest.inbox import pick_up
from assets.ingest.scan import scan
from assets.records.batch import Landing
from assets.records.line_store import LineStore, bind
from assets.records.verdict import Accepted
from assets.storage.store import Store
from assets.training.triggers.claims import claim_journal
from assets.training.triggers.documents import Claim
from edge.contracts import to_bytes
from platform_defs.automation.cursors import read_cursor
from platform_defs.automation.jobs import BATCH_TAG, RUN_KEY_TAG
from tests.platform_defs.automation.automation_bench import Bench

SIZES = (1_000, 100_000, 1_000_000)
SHAPES = {"files": 1_000, "batches": 1}
"""Shape to files of a batch."""
INBOX_SIZES = (1_000, 100_000)
NEW = 10
REPEATS = 5
CLAIMS = 1_000
MOST_LINKS = 50_000
Took = dict[str, float]
"""Seconds on the clock, and seconds of a core, which a busy machine changes less."""


def measure() -> list[dict[str, Any]]:
    """Every size in both shapes, and a look into the inbox."""
    rows = [row for shape in SHAPES for size in SIZES for row in measure_apart(shape, size)]
    return [*rows, *(measure_inbox(size) for size in INBOX_SIZES)]


def measure_apart(shape: str, size: int) -> list[dict[str, Any]]:
    """One size in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.ticks", shape, str(size)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    rows: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return rows


def measure_here(shape: str, files: int) -> list[dict[str, Any]]:
    """Seconds of idle ticks, of ticks that find `NEW` landings, and of the slow scan; `rows` is the landed files."""
    batches = max(1, files // SHAPES[shape])
    with tempfile.TemporaryDirectory() as folder:
        build = get_context("fork").Process(
            target=_build, args=(folder, batches, SHAPES[shape])
        )  # its memory is its own
        build.start()
        build.join()
        assert build.exitcode == 0
        return _measure(folder, files, batches)


def _build(folder: str, batches: int, files: int) -> None:
    with dg.DagsterInstance.local_temp(folder) as instance:
        bench = Bench(Store(f"{folder}/state"), instance)
        _land(bench, batches, files)
        _judge_runs(bench, Path(folder), batches)


def _measure(folder: str, files: int, batches: int) -> list[dict[str, Any]]:
    with dg.DagsterInstance.local_temp(folder) as instance:
        bench = Bench(Store(f"{folder}/state"), instance)
        bench.cursors = {"new": (batches,), "reconcile": (batches, 0)}
        tool = f"Edgeloop, {batches:,} batches"
        rows = []

        def tell(what: str, took: Took, tool: str = tool) -> None:
            rows.append({"what": what, "rows": files, "tool": tool, **took, "peak_mb": _peak_mb()})

        tell("new_batch_sensor, nothing new", _slowest(lambda: _tick(bench, "new")))
        tell("slow scan, the first: it copies the journal's names", _time(lambda: scan(bind(bench.store, bench.line))))
        tell("slow scan, nothing new", _slowest(lambda: scan(bind(bench.store, bench.line))))
        tell("reconcile_sensor with its scan, nothing new", _slowest(lambda: _tick(bench, "reconcile")))
        for number in range(NEW):
            bench.list_landing(number)
        found: list[int] = []
        tell(f"new_batch_sensor, {NEW} new", _time(lambda: found.append(len(bench.new().run_requests or []))))
        prefix = f"landing/{bench.line.name}/.journal"
        listing = _time(lambda: found.append(len(bench.store.names(prefix))))
        assert found == [NEW, batches + NEW]
        tell("listing the journal's names, without reading one", listing, "fsspec ls")
        return rows


def measure_inbox(files: int) -> dict[str, Any]:
    """Seconds to look at one drop of so many files that is not quiet yet."""
    with tempfile.TemporaryDirectory() as folder, dg.DagsterInstance.ephemeral() as instance:
        bench = Bench(Store(folder), instance)
        drop = Path(bench.store.path("landing/tiny/inbox/drop"))
        _touch(drop, (f"{number:07d}.png" for number in range(files)))
        took = _slowest(lambda: pick_up(bind(bench.store, bench.line), quiet=3600))
        what = "slow scan, one drop in the inbox that is not quiet"
        return {"what": what, "rows": files, "tool": "Edgeloop", **took, "peak_mb": _peak_mb()}


def _tick(bench: Bench, sensor: str) -> None:
    """A tick as the daemon has it, its cursor checked first."""
    cursor = ",".join(map(str, bench.cursors[sensor]))
    read_cursor(cursor, [LineStore(bench.store, bench.line.name).landings()])
    assert not bench.tick(sensor).run_requests


def _time(call: Callable[[], Any]) -> Took:
    began, used = time.perf_counter(), time.process_time()
    call()
    return {"seconds": time.perf_counter() - began, "cpu_s": time.process_time() - used}


def _slowest(call: Callable[[], Any]) -> Took:
    """The slowest of a few calls; the first, which warms caches, is left out."""
    return max([_time(call) for _ in range(REPEATS)][1:], key=lambda took: took["seconds"])


def _peak_mb() -> int:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def _land(bench: Bench, batches: int, files: int) -> None:
    """Journals as landing and gate leave them, written without a sync each, and the landing zone's folders."""
    store, line = bench.store, bench.line.name
    names = [f"{number:064x}" for number in range(batches)]
    landing, accepted, claims = (
        LineStore(store, line).landings(),
        LineStore(store, line).accepted(),
        claim_journal(LineStore(store, line)),
    )
    _write(store, landing.prefix, (to_bytes(Landing(name, name[-16:], 0.0)) for name in names))
    _link(store, accepted.prefix, to_bytes(Accepted(names[-1], 1, 0.0, batches - 1)), batches)
    step = max(1, batches // CLAIMS)
    parts = [(start, names[start : start + step]) for start in range(0, batches, step)]
    made = (Claim(line, at, at + len(part), tuple(part), len(part), "new batches", 0.0) for at, part in parts)
    _write(store, claims.prefix, map(to_bytes, made))
    for name in names:
        folder = Path(store.path(f"landing/{line}/{name[-16:]}"))
        if files == 1:
            folder.touch()
        else:
            _touch(folder / "files", (f"{number}.png" for number in range(files)))
    last = claim_journal(LineStore(store, line)).at(len(parts))
    assert last is not None
    run = bench.start(
        "new", dg.RunRequest(run_key=last.run_key, job_name="tiny_retrain", tags={"edgeloop/claim": last.run_key})
    )
    bench.end(str(run), dg.DagsterRunStatus.SUCCESS)


def _write(store: Store, prefix: str, documents: Iterable[bytes]) -> None:
    folder = Path(store.path(prefix))
    folder.mkdir(parents=True)
    for position, data in enumerate(documents, start=1):
        (folder / f"{position:012d}.json").write_bytes(data)


def _link(store: Store, prefix: str, data: bytes, count: int) -> None:
    """`count` entries that are the same file, or a few, as a file system allows only so many names of one."""
    folder = Path(store.path(prefix))
    folder.mkdir(parents=True)
    for position in range(1, count + 1):
        path = folder / f"{position:012d}.json"
        if position % MOST_LINKS == 1:
            first = path
            path.write_bytes(data)
        else:
            path.hardlink_to(first)


def _touch(folder: Path, names: Iterable[str]) -> None:
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).touch()


def _judge_runs(bench: Bench, folder: Path, count: int) -> None:
    """A finished judging run of each batch in Dagster's own database, copied from one that it wrote."""
    batch = f"{0:064x}"
    run = bench.start("new", dg.RunRequest(run_key=batch, job_name="tiny_judge", tags={BATCH_TAG: batch}))
    bench.end(str(run), dg.DagsterRunStatus.SUCCESS)
    (path,) = folder.rglob("runs.db")
    with closing(sqlite3.connect(path)) as database:
        database.row_factory = sqlite3.Row
        row = dict(database.execute("select * from runs where run_id = ?", [run]).fetchone())
        tags = database.execute("select key, value from run_tags where run_id = ?", [run]).fetchall()
        columns = [name for name in row if name != "id"]

        def runs() -> Iterator[list[Any]]:
            for number in range(1, count):
                yield [str(uuid.UUID(int=number)) if name == "run_id" else row[name] for name in columns]

        def run_tags() -> Iterator[tuple[str, str, str]]:
            for number in range(1, count):
                for key, value in tags:
                    own = f"{number:064x}" if key in {BATCH_TAG, RUN_KEY_TAG} else value
                    yield str(uuid.UUID(int=number)), key, own

        places = ", ".join("?" * len(columns))
        database.executemany(f"insert into runs ({', '.join(columns)}) values ({places})", runs())
        database.executemany("insert into run_tags (run_id, key, value) values (?, ?, ?)", run_tags())
        database.commit()
        database.execute("pragma wal_checkpoint(truncate)")  # in time it is; here it is one write of two gigabytes


if __name__ == "__main__":
    print(json.dumps(measure_here(sys.argv[1], int(sys.argv[2]))))
