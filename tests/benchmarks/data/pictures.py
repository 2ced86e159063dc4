"""Pictures per second of the table of statistics, 640x480 JPEG, beside cleanvision; and memory against their number."""

from __future__ import annotations

import contextlib
import io
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from tests.benchmarks.data.measured import cpu_seconds, run_alone, timed

SIZE = (640, 480)
PEER_PICTURES = 400
COUNTS = (400, 1_600, 6_400)
TOOLS = ("edgeloop", "cleanvision")
ROUNDS = 5


def measure(peer: int = PEER_PICTURES, counts: tuple[int, ...] = COUNTS) -> list[dict[str, Any]]:
    """Both tools on the same folder in turns, each in a process of its own; then this one on more and more pictures.

    Of `ROUNDS` rounds the medians, and the least and greatest ratio within one round.
    """
    rounds: list[dict[str, dict[str, Any]]] = []
    with tempfile.TemporaryDirectory() as folder:
        write_pictures(Path(folder), peer)
        for _ in range(ROUNDS):
            rounds.append({tool: run_alone(__name__, tool, folder) for tool in TOOLS})
    rows = []
    for tool in TOOLS:
        found = {key: statistics.median(each[tool][key] for each in rounds) for key in rounds[0][tool]}
        rows.append({"what": "pictures", "rows": peer, "tool": tool, **found})
    ratios = [each["edgeloop"]["per_second"] / each["cleanvision"]["per_second"] for each in rounds]
    rows[0]["of_peer"] = round(statistics.median(ratios), 2)
    rows[0]["of_peer_from_to"] = f"{min(ratios):.2f} to {max(ratios):.2f}"
    rows[0]["of_peer_cpu"] = round(rows[1]["cpu_s"] / rows[0]["cpu_s"], 2)
    for count in counts[1:]:
        with tempfile.TemporaryDirectory() as folder:
            write_pictures(Path(folder), count)
            found = run_alone(__name__, "edgeloop", folder)
            rows.append({"what": "pictures", "rows": count, "tool": "edgeloop", **found})
    return rows


def write_pictures(folder: Path, count: int) -> None:
    """Photograph-like JPEGs: smooth shapes, edges and noise, about 60 kB each, in two class folders."""
    draw = np.random.default_rng(count)
    base = []
    for _ in range(16):
        small = Image.fromarray(draw.integers(0, 256, (12, 16, 3), dtype=np.uint8))
        base.append(np.asarray(small.resize(SIZE, Image.Resampling.BICUBIC).filter(ImageFilter.EDGE_ENHANCE), np.int16))
    for number in range(count):
        pixels = base[number % 16] + draw.integers(-12, 13, (SIZE[1], SIZE[0], 1), dtype=np.int16)
        picture = Image.fromarray(np.clip(np.roll(pixels, number, axis=1), 0, 255).astype(np.uint8))
        path = folder / ("cat", "dog")[number % 2] / f"{number:06d}.jpg"
        path.parent.mkdir(exist_ok=True)
        picture.save(path, quality=88)


def _edgeloop(folder: Path) -> int:
    from assets.line.data import DataContract
    from assets.quality.spool import Spool
    from assets.readers.dispatch import read_files
    from assets.records.batch import LandedFile
    from assets.records.chunks import chunk_schema, chunked
    from assets.records.reason import Reason

    class Local:
        def read(self, file: LandedFile, limit: int) -> bytes:
            return (folder / file.path).read_bytes()

        def open(self, file: LandedFile) -> Any:
            return (folder / file.path).open("rb")

    data = DataContract.model_validate(
        {"reader": "image_folder", "classes": ["cat", "dog"], "image": {"height": 224, "width": 224}}
    )
    files = [
        LandedFile(path.relative_to(folder).as_posix(), "0" * 64, path.stat().st_size)
        for path in sorted(folder.rglob("*.jpg"))
    ]
    with tempfile.TemporaryDirectory() as scratch, Spool(Path(scratch) / "spool", chunk_schema(data)) as spool:
        for item in chunked(read_files(files, Local(), data), data):
            assert not isinstance(item, Reason), item
            spool.append(item)
        spool.finish()
        return spool.rows


def _cleanvision(folder: Path) -> int:
    from cleanvision import Imagelab

    lab = Imagelab(data_path=str(folder))
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        lab.find_issues(n_jobs=len(os.sched_getaffinity(0)), verbose=False)
    return len(lab.issues)


def main() -> None:
    """One tool on one folder; prints seconds and pictures per second as JSON. Libraries are loaded beforehand."""
    tool, folder = sys.argv[1:]
    run = {"edgeloop": _edgeloop, "cleanvision": _cleanvision}[tool]
    with tempfile.TemporaryDirectory() as warm:
        write_pictures(Path(warm), 8)
        run(Path(warm))
    before = cpu_seconds()
    seconds, count = timed(lambda: run(Path(folder)))
    spent = cpu_seconds() - before
    print(json.dumps({"seconds": round(seconds, 3), "cpu_s": round(spent, 2), "per_second": round(count / seconds, 1)}))


if __name__ == "__main__":
    main()
