"""The loader alone, against decoding every picture in every epoch as `ImageFolder` does: same files, size and threads.

Each way runs in a process of its own, in turn, `ROUNDS` times; medians count.

- baseline: each epoch opens every JPEG again with Pillow in a thread pool, converts, resizes and normalizes it.
- cached: `open_split` with its cache still to be built, then `EPOCHS` epochs; and those epochs alone ("steady").
- streaming: no decoded cache (`training.cache_gb: 0`), as for sets whose pixels fit no disk.
"""

from __future__ import annotations

import hashlib
import io
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from assets.line.config import Line, parse_line
from assets.loading.records import open_split
from assets.quality.shards import RECORD_SCHEMA
from assets.records.dataset import DatasetVersion
from assets.storage.store import Store
from edge.contracts import InputSpec, to_bytes
from edge.contracts.codec import from_bytes
from tests.benchmarks.train.asked import Row
from tests.projects import ROOT
from tests.shared_sets import SHARED

SIDE, BATCH, EPOCHS, ROUNDS = 64, 64, 10, 3
DECODED_EPOCHS = 2
"""Epochs of the ways that decode in each: all are alike, so a few tell the rate."""
TARGET = 2.5
MADE = 5000
THREADS = 2
SPEC = InputSpec("image", "input", (3, SIDE, SIDE), (0.48, 0.45, 0.4), (0.23, 0.23, 0.23))
WAYS = ("baseline", "cached", "streaming")


def measure() -> list[dict[str, Any]]:
    """Rows for the JPEGs of oxford-pets, where they are here, and for made ones."""
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="edgeloop-loader-") as folder:
        pets = sorted((SHARED / "oxford-pets").rglob("*.jpg"))
        if pets:
            rows += _measured("oxford-pets", pets, Path(folder) / "pets")
        made = Path(folder) / "jpeg"
        rows += _measured(f"{MADE:,} made JPEGs", list(_made(made)), Path(folder) / "made")
    return rows


def _measured(name: str, files: list[Path], folder: Path) -> list[dict[str, Any]]:
    began = time.monotonic()
    store = Store(str(folder / "home"))
    dataset = _dataset(store, files)
    store.write("dataset.json", to_bytes(dataset))
    (folder / "files.json").write_text(json.dumps([str(path) for path in files]))
    found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for _ in range(ROUNDS):
        for way in WAYS:
            command = [sys.executable, "-m", "tests.benchmarks.train.loader", way, str(folder)]
            done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
            found[way].append(json.loads(done.stdout.splitlines()[-1]))
    minutes = (time.monotonic() - began) / 60

    def row(metric: str, value: float, target: float | None = None, note: str = "", better: str = "higher") -> Row:
        return Row(name, metric, value, minutes=minutes, target=target, records=len(files), note=note, better=better)

    def middle(way: str, key: str) -> float:
        return statistics.median(run[key] for run in found[way])

    base, note = middle("baseline", "rate"), f"{SIDE}x{SIDE}, {THREADS} threads, batches of {BATCH}"
    rows = [
        row(
            "loader_ratio", middle("cached", "rate") / base, TARGET, f"{EPOCHS} epochs with building the cache; {note}"
        ),
        row("loader_ratio_steady", middle("cached", "steady") / base, None, "after the cache is built"),
        row("loader_ratio_streaming", middle("streaming", "rate") / base, None, "without decoded cache"),
        row("images_per_second_baseline", base, None, "Pillow, every epoch"),
        row("images_per_second_cached", middle("cached", "rate")),
        row("images_per_second_steady", middle("cached", "steady")),
        row("images_per_second_streaming", middle("streaming", "rate")),
        *(row(f"peak_mb_{way}", middle(way, "grown_mb"), None, "over Python with torch", "lower") for way in WAYS),
    ]
    return [one.plain() for one in rows]


def _made(folder: Path) -> Iterator[Path]:
    """JPEGs about as large and as hard to decode as those of oxford-pets."""
    folder.mkdir()
    draw = np.random.default_rng(0)
    for number in range(MADE):
        coarse = draw.integers(0, 256, (17, 24, 3), dtype=np.uint8)
        picture = Image.fromarray(coarse).resize((272, 204), Image.Resampling.BICUBIC)
        noise = draw.integers(-12, 13, (204, 272, 1))
        pixels = np.clip(np.asarray(picture, dtype=np.int16) + noise, 0, 255).astype(np.uint8)
        path = folder / f"{number:05d}.jpg"
        Image.fromarray(pixels).save(path, "JPEG", quality=90)
        yield path


def _line(cache_gb: float) -> Line:
    image = {"height": SIDE, "width": SIDE, "channels": 3}
    data = {"reader": "image_folder", "classes": ["cat", "dog"], "image": image}
    return parse_line("loader", {"data": data, "model": "cnn", "training": {"cache_gb": cache_gb}}, "the benchmark")


def _dataset(store: Store, files: list[Path]) -> DatasetVersion:
    """The files as training records, in shards as the gate leaves them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    refs, held, size = [], list[bytes](), 0

    def finish() -> None:
        nonlocal held, size
        ids = [hashlib.sha256(data).hexdigest() for data in held]
        texts = {"id": ids, "label": ["cat", "dog"] * (len(held) // 2) + ["cat"] * (len(held) % 2)}
        texts |= {"split": ["train"] * len(held), "file": ids, "group": [""] * len(held)}
        columns = {**texts, "time": [None] * len(held), "input": held, "origin": [""] * len(held)}
        sink = io.BytesIO()
        pq.write_table(pa.table(columns, schema=RECORD_SCHEMA), sink, compression="zstd")
        refs.append(store.put("loader", sink.getvalue(), "parquet", ".parquet"))
        held, size = [], 0

    for path in files:
        held.append(path.read_bytes())
        size += len(held[-1])
        if size >= 64 * 1024**2:
            finish()
    finish()
    splits = {"train": len(files), "validation": 0, "test": 0}
    return DatasetVersion("loader", 1, ("b" * 64,), tuple(refs), ("cat", "dog"), splits, 0.15, 0.2)


def _epochs(count: int, epochs: int, batch: Callable[[NDArray[np.int64]], torch.Tensor]) -> float:
    """Seconds of so many epochs in a fresh random order each, every picture delivered once in each."""
    began, draw, seen = time.perf_counter(), np.random.default_rng(0), 0
    for _ in range(epochs):
        order = draw.permutation(count)
        for start in range(0, count, BATCH):
            tensor = batch(order[start : start + BATCH])
            assert tensor.shape[1:] == (3, SIDE, SIDE)
            seen += len(tensor)
    assert seen == count * epochs
    return time.perf_counter() - began


def _baseline(files: list[str]) -> dict[str, float]:
    mean = torch.tensor(SPEC.mean).reshape(3, 1, 1)
    std = torch.tensor(SPEC.std).reshape(3, 1, 1)

    def one(path: str) -> torch.Tensor:
        with Image.open(path) as opened:
            picture = opened.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
        pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)
        return (pixels.to(torch.float32) / 255 - mean) / std

    with ThreadPoolExecutor(THREADS) as pool:
        seconds = _epochs(
            len(files), DECODED_EPOCHS, lambda rows: torch.stack(list(pool.map(one, (files[row] for row in rows))))
        )
    return {"rate": len(files) * DECODED_EPOCHS / seconds}


def _ours(store: Store, dataset: DatasetVersion, scratch: Path, cache_gb: float) -> dict[str, float]:
    epochs = EPOCHS if cache_gb else DECODED_EPOCHS
    began = time.perf_counter()
    records = open_split(store, dataset, "train", SPEC, _line(cache_gb).config, scratch=scratch)
    seconds = _epochs(len(records), epochs, records.batch)
    whole = time.perf_counter() - began
    return {"rate": len(records) * epochs / whole, "steady": len(records) * epochs / seconds, "open_s": whole - seconds}


def _one(way: str, folder: Path) -> dict[str, float]:
    """One way in this process, which began anew."""
    torch.set_num_threads(THREADS)
    files = json.loads((folder / "files.json").read_text())
    store = Store(str(folder / "home"))
    dataset = from_bytes(DatasetVersion, store.read("dataset.json"), "dataset.json")
    before = _peak_bytes()
    with tempfile.TemporaryDirectory(prefix="cache-", dir=folder) as scratch:
        if way == "baseline":
            found = _baseline(files)
        else:
            found = _ours(store, dataset, Path(scratch), 4.0 if way == "cached" else 0.0)
    return {**found, "grown_mb": (_peak_bytes() - before) / 1e6}


def _peak_bytes() -> int:
    """The most memory that this process has had in RAM; its ru_maxrss would begin with that of its parent."""
    row = next(row for row in Path("/proc/self/status").read_text().splitlines() if row.startswith("VmHWM:"))
    return int(row.split()[1]) * 1024


if __name__ == "__main__":
    print(json.dumps(_one(sys.argv[1], Path(sys.argv[2]))))
