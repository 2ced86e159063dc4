"""Where the pixels of a split's pictures come from.

- memory: pixels in memory. For small splits, and for encrypted records whose pixels fit a quarter of the free memory.
- pixels file: decoded once for this dataset version and size, then mapped from the disk (`assets.loading.cache`).
- pictures file: picture files one behind another in an Arrow file on the disk, mapped, and decoded in every epoch. For
  splits whose pixels are beyond `training.cache_gb` or the free disk. Where the records are encrypted, each is
  encrypted again under a key that is never written anywhere, and the file has no name: it goes with the process.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from torch import Tensor

from assets.loading import cache
from assets.loading.cache import PICTURES, PIXELS, Content
from assets.loading.pictures import Pixels, decoded, normalized_batch
from assets.loading.stored import Stored
from assets.storage.data_keys import aes
from edge.contracts import InputSpec

SMALL = 1_000_000
"""Bytes of pixels that are decoded faster than a cache file is looked up."""
BATCH_BYTES = 16 * 1024**2
REPORT_SECONDS = 5.0
Report = Callable[[str], None]


def open_pictures(
    stored: Stored, spec: InputSpec, cache_gb: float, scratch: Path | None, report: Report
) -> PixelSource | PictureSource:
    """The pictures of a split, in the best of the ways above.

    Raises:
        RejectedError: a picture cannot be read; says which.
        TransientError: the disk of the cache is full.
    """
    place = (scratch or cache.cache_folder(stored.store)) / stored.dataset.line
    pixels, limit = _size(len(stored), spec), cache_gb * 1e9
    whole = _size(sum(stored.dataset.splits.values()), spec)
    content = cache.content_of(stored, spec.shape)
    cache.drop_forgotten(place, content.forgotten)
    if pixels <= SMALL:
        return PixelSource(stored, spec, _in_memory(stored, spec, report))
    if stored.sealed:
        if whole <= limit and whole <= free_memory() / 4:
            return PixelSource(stored, spec, _in_memory(stored, spec, report))
        return _sealed_pictures(stored, spec, place, report)
    if whole <= limit and ((place / f"{content.key}{PIXELS}").exists() or cache.room_for(place, pixels)):
        return PixelSource(stored, spec, _pixels_file(stored, spec, place, content, limit, report))
    return _pictures_file(stored, spec, place, limit, report)


@dataclass(frozen=True)
class PixelSource:
    """Decoded pictures, in memory or mapped: (records, channels, height, width) uint8. `kept`: decoded once for all."""

    stored: Stored
    spec: InputSpec
    pixels: Pixels
    kept = True

    def batch(self, rows: NDArray[np.int64]) -> Tensor:
        """(rows, channels, height, width) float32, normalized."""
        return normalized_batch(self.spec, self.raw(rows))

    def raw(self, rows: NDArray[np.int64]) -> Pixels:
        """(rows, channels, height, width) uint8, an array of its own."""
        found: Pixels = np.asarray(self.pixels[rows])
        return found

    def input_of(self, row: int) -> bytes:
        """The picture's file."""
        return self.stored.input_of(row)


@dataclass(frozen=True)
class PictureSource:
    """Picture files in a mapped Arrow file; decoded in threads as they are asked for."""

    stored: Stored
    spec: InputSpec
    batches: tuple[Any, ...]
    begins: NDArray[np.int64]
    key: bytes = field(default=b"", repr=False)
    kept = False

    def batch(self, rows: NDArray[np.int64]) -> Tensor:
        """(rows, channels, height, width) float32, normalized. Raises RejectedError."""
        return normalized_batch(self.spec, self.raw(rows))

    def raw(self, rows: NDArray[np.int64]) -> Pixels:
        """(rows, channels, height, width) uint8."""
        files = ((self.stored.ids[row], self.input_of(row)) for row in rows.tolist())
        return np.concatenate(list(decoded(self.spec, files, _named(self.stored))))

    def input_of(self, row: int) -> bytes:
        """The picture's file."""
        batch = int(np.searchsorted(self.begins, row, side="right")) - 1
        data = self.batches[batch].column(0)[row - int(self.begins[batch])].as_py()
        return aes(self.key).decrypt(_nonce(row), data, None) if self.key else data


def free_memory() -> float:
    """Bytes that are free for use now, as the kernel says; where it does not, half of all memory."""
    try:
        text = Path("/proc/meminfo").read_text()
        return 1024.0 * int(text.split("MemAvailable:")[1].split()[0])
    except (OSError, IndexError, ValueError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2


def _size(records: int, spec: InputSpec) -> int:
    return records * int(np.prod(spec.shape))


def _named(stored: Stored) -> Callable[[str], str]:
    return lambda record: f"line {stored.dataset.line!r}: {stored.split} record {record[:12]}…"


def _blocks(stored: Stored, spec: InputSpec, report: Report) -> Iterator[Pixels]:
    """Every picture decoded, in order, with a report now and then."""
    files = ((record, data) for record, data in zip(stored.ids, _flat(stored.inputs()), strict=True))
    done, reported, started = 0, time.monotonic(), time.monotonic()
    for block in decoded(spec, files, _named(stored)):
        yield block
        done += len(block)
        if (now := time.monotonic()) - reported >= REPORT_SECONDS:
            reported, left = now, (len(stored) - done) * (now - started) / done
            report(f"decoding {stored.split} pictures: {done:,} of {len(stored):,}, {left:.0f} s left")


def _flat(parts: Iterable[list[bytes]]) -> Iterator[bytes]:
    for part in parts:
        yield from part


def _in_memory(stored: Stored, spec: InputSpec, report: Report) -> Pixels:
    pixels = np.empty((len(stored), *spec.shape), dtype=np.uint8)
    at = 0
    for block in _blocks(stored, spec, report):
        pixels[at : at + len(block)] = block
        at += len(block)
    return pixels


def _pixels_file(
    stored: Stored, spec: InputSpec, folder: Path, content: Content, limit: float, report: Report
) -> Pixels:
    path, size = folder / f"{content.key}{PIXELS}", _size(len(stored), spec)
    with cache.locked(folder):
        if not cache.sound(path, content, size):
            cache.evict(folder, content, limit)
            _build_pixels(stored, spec, path, content, size, report)
        cache.touch(path)
        return np.memmap(path, dtype=np.uint8, mode="r", offset=cache.HEADER, shape=(len(stored), *spec.shape))


def _build_pixels(stored: Stored, spec: InputSpec, path: Path, content: Content, size: int, report: Report) -> None:
    checksum = 0
    with cache.building(path) as temporary, temporary.open("r+b") as file:
        os.posix_fallocate(file.fileno(), 0, cache.HEADER + size)  # a full disk is told before the work is done
        file.seek(cache.HEADER)
        for block in _blocks(stored, spec, report):
            checksum = cache.added(checksum, block)
            file.write(block.data)
        cache.write_header(file, content, size, checksum)


def _pictures_file(stored: Stored, spec: InputSpec, folder: Path, limit: float, report: Report) -> PictureSource:
    content = cache.content_of(stored, ())
    path = folder / f"{content.key}{PICTURES}"
    with cache.locked(folder):
        found = _mapped(path, content)
        if found is None:
            cache.evict(folder, content, limit)
            report(f"copying {len(stored):,} {stored.split} pictures; they are decoded in every epoch")
            with cache.building(path) as temporary:
                _write_pictures(temporary, _flat(stored.inputs()), content)
            found = _mapped(path, content)
            assert found is not None, "a file that was just written is complete"
        cache.touch(path)
    return _source(stored, spec, found)


def _sealed_pictures(stored: Stored, spec: InputSpec, folder: Path, report: Report) -> PictureSource:
    content, key = cache.content_of(stored, ()), os.urandom(32)
    report(f"copying {len(stored):,} encrypted {stored.split} pictures; they are decoded in every epoch")
    cipher = aes(key)
    sealed = (cipher.encrypt(_nonce(row), data, None) for row, data in enumerate(_flat(stored.inputs())))
    with cache.locked(folder):
        path = folder / f".tmp-{os.getpid()}"
        with cache.building(path) as temporary:
            _write_pictures(temporary, sealed, content)
        found = _mapped(path, content)
        path.unlink()
    assert found is not None, "a file that was just written is complete"
    return _source(stored, spec, found, key)


def _source(stored: Stored, spec: InputSpec, batches: tuple[Any, ...], key: bytes = b"") -> PictureSource:
    begins = np.cumsum([0, *(batch.num_rows for batch in batches)])[:-1].astype(np.int64)
    return PictureSource(stored, spec, batches, begins, key)


def _nonce(row: int) -> bytes:
    return row.to_bytes(12, "big")


def _write_pictures(path: Path, files: Iterable[bytes], content: Content) -> None:
    """Arrow IPC batches of about `BATCH_BYTES`."""
    schema = pa.schema([pa.field("input", pa.binary())], {b"edgeloop": cache.text_of(content)})
    held: list[bytes] = []
    size = 0
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        for data in files:
            held.append(data)
            size += len(data)
            if size >= BATCH_BYTES:
                writer.write_batch(pa.record_batch([pa.array(held, pa.binary())], schema=schema))
                held, size = [], 0
        if held:
            writer.write_batch(pa.record_batch([pa.array(held, pa.binary())], schema=schema))


def _mapped(path: Path, content: Content) -> tuple[Any, ...] | None:
    """The file's batches, mapped and not read; None where it is not there, or is another."""
    try:
        reader = pa.ipc.open_file(pa.memory_map(str(path)))
        if (reader.schema.metadata or {}).get(b"edgeloop") != cache.text_of(content):
            return None
        batches = tuple(reader.get_batch(number) for number in range(reader.num_record_batches))
    except (OSError, pa.ArrowException):
        return None
    return batches if sum(batch.num_rows for batch in batches) == content.records else None
