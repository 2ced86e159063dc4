"""`make bench-fuzz`: sound files of every format, broken at random, read for minutes.

A reader may refuse, but only in words; it may not crash, hang, or take memory without end. Each worker runs under a
memory limit and notes each case before it reads it, so that a crash of the process itself is not lost either.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import time
import traceback
import wave
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from assets.errors import RejectedError
from assets.line.data import DataContract
from assets.records.line_store import bind
from assets.storage.store import Store
from platform_defs.home import find_home

SECONDS_PER_CASE = 20
MEMORY = 6 * 1024**3
CASES_PER_WORKER = 60
Files = dict[str, bytes]
_GREY = {"height": 8, "width": 8, "channels": 1}
_TABLE = {"reader": "table", "classes": ["a", "b"], "table": {"target": "y", "columns": ["u", "v"]}}


def seeds() -> dict[str, tuple[dict[str, Any], Files]]:
    """Format to a contract and sound files of it."""
    draw = np.random.default_rng(0)
    pixels = draw.integers(0, 256, (24, 32, 3), dtype=np.uint8)
    found: dict[str, tuple[dict[str, Any], Files]] = {}
    pictures = {"reader": "image_folder", "classes": ["a", "b"], "image": _GREY}
    for form in ("PNG", "JPEG", "BMP", "WEBP", "TIFF"):
        found[form.lower()] = (pictures, {f"a/1.{form.lower()}": _picture(pixels, form)})
    found["jpeg progressive"] = (pictures, {"a/1.jpg": _picture(pixels, "JPEG", progressive=True)})
    found["tiff lzw"] = (pictures, {"a/1.tif": _picture(pixels, "TIFF", compression="tiff_lzw")})
    images = struct.pack(">4i", 0x803, 5, 8, 8) + draw.integers(0, 256, 320, dtype=np.uint8).tobytes()
    labels = struct.pack(">2i", 0x801, 5) + bytes([0, 1, 0, 1, 0])
    idx = {"reader": "idx", "classes": ["a", "b"], "image": _GREY}
    found["idx"] = (idx, {"train-images-idx3-ubyte": images, "train-labels-idx1-ubyte": labels})
    found["idx.gz"] = (idx, {"train-images-idx3-ubyte.gz": _gz(images), "train-labels-idx1-ubyte.gz": _gz(labels)})
    cifar = {"reader": "cifar10", "classes": ["a", "b"], "image": {"height": 32, "width": 32}}
    found["cifar binary"] = (cifar, {"data_batch_1.bin": b"".join(bytes([n % 2]) + bytes(3072) for n in range(4))})
    found["cifar python"] = (cifar, {"data_batch_1": _pickled(4)})
    rows = "\n".join(f"{n},{n * 0.5},{'ab'[n % 2]}" for n in range(40))
    found["csv"] = (_TABLE, {"rows.csv": f"u,v,y\n{rows}\n".encode()})
    found["parquet"] = (_TABLE, {"rows.parquet": _columns("parquet")})
    found["arrow"] = (_TABLE, {"rows.arrow": _columns("arrow")})
    series = {"unit": "unit", "time": "t", "target": "v", "header": ["unit", "t", "u", "v"], "columns": ["u"]}
    text = "".join(f"{1 + n // 20} {n % 20} {n * 0.25} {n}\n" for n in range(40))
    found["series"] = ({"reader": "series", "series": series}, {"train_x.txt": text.encode()})
    texts = "label,text\n" + "".join(f'{"ab"[n % 2]},"some words, {n}"\n' for n in range(40))
    found["text"] = ({"reader": "text", "classes": ["a", "b"], "text": {}}, {"t.csv": texts.encode()})
    audio = {"reader": "audio_folder", "classes": ["a", "b"], "audio": {"rate": 8000, "seconds": 0.1}}
    found["wav"] = (audio, {"a/1.wav": _sound()})
    found["flac"] = (audio, {"a/1.flac": _compressed("FLAC", "PCM_16")})
    found["ogg vorbis"] = (audio, {"a/1.ogg": _compressed("OGG", "VORBIS")})
    found["ogg opus"] = (audio, {"a/1.opus": _compressed("OGG", "OPUS")})
    found["returned"] = (_TABLE, {"x.records.parquet": _returned()})
    found["zip"] = (
        pictures,
        {"train.zip": _zip({"a/1.png": _picture(pixels, "PNG"), "b/2.png": _picture(pixels, "PNG")})},
    )
    found["tar.gz"] = (pictures, {"train.tar.gz": _tar({"a/1.png": _picture(pixels, "PNG"), "b/2.txt": b"words"})})
    return found


def broken(files: Files, draw: random.Random, other: bytes) -> Files:
    """The same files, one of them changed in one to four places."""
    name = draw.choice(sorted(files))
    data = bytearray(files[name])
    for _ in range(draw.randint(1, 4)):
        at = draw.randrange(len(data) + 1)
        kind = draw.randrange(7)
        if kind == 0 and data:
            data[min(at, len(data) - 1)] ^= 1 << draw.randrange(8)
        elif kind == 1:
            data[at:at] = draw.randbytes(draw.randint(1, 16))
        elif kind == 2:
            del data[at : at + draw.randint(1, 64)]
        elif kind == 3:
            del data[at:]
        elif kind == 4:
            odd = draw.choice(
                [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80\0\0\0", b'"', b"\n", b"1e400"]
            )
            data[at : at + len(odd)] = odd
        elif kind == 5 and other:
            start = draw.randrange(len(other))
            data[at:at] = other[start : start + draw.randint(1, 256)]
        elif data:
            data[at:at] = data[: draw.randint(1, len(data))]
    changed = dict(files)
    changed[name] = bytes(data[: 4 * 1024**2])
    return changed


def read(files: Files, contract: dict[str, Any], folder: Path) -> tuple[int, int]:
    """Land and read the files as the gate would; how many records and refusals there were."""
    import shutil

    from assets.ingest.landing import land
    from assets.ingest.reading import read_landed
    from assets.line.config import parse_line
    from assets.records.reason import Reason

    shutil.rmtree(folder, ignore_errors=True)
    for name, content in files.items():
        path = folder / "source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    line = parse_line("fuzz", {"data": contract}, "fuzz")
    store = Store(str(folder / "state"))
    records = refused = 0
    for item in read_landed(bind(store, line), land(bind(store, line), folder / "source").batch):
        if isinstance(item, Reason):
            refused += item.outcome == "refused"
            assert item.reason
            assert item.remedy
        else:
            records += item.num_rows
    return records, refused


def work(name: str, seed: int, cases: int, deadline: float) -> None:
    """One worker: prints a line of JSON per case that was more than an orderly refusal, and a summary at the end."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    contract, files = seeds()[name]
    draw = random.Random(f"{name} {seed}")
    others = [content for _, found in seeds().values() for content in found.values()]
    DataContract.model_validate(contract)
    signal.signal(signal.SIGALRM, _hang)
    done = records = refused = 0
    slowest = 0.0
    with tempfile.TemporaryDirectory() as folder:
        assert read(files, contract, Path(folder) / "sound")[0], f"{name}: the sound files give no record"
        for number in range(cases):
            if time.time() > deadline:
                break
            changed = broken(files, draw, draw.choice(others))
            print(json.dumps({"case": number}), flush=True)
            began = time.monotonic()
            signal.alarm(SECONDS_PER_CASE)
            try:
                found = read(changed, contract, Path(folder) / "case")
                records, refused = records + found[0], refused + found[1]
            except RejectedError:
                refused += 1
            except BaseException:
                problem = {"problem": traceback.format_exc()[-1500:], "case": number, "seed": seed, "format": name}
                print(json.dumps(problem), flush=True)
            finally:
                signal.alarm(0)
            done += 1
            slowest = max(slowest, time.monotonic() - began)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    summary = {"cases": done, "records": records, "refused": refused, "slowest_s": round(slowest, 2), "peak_mb": peak}
    print(json.dumps({"summary": summary}), flush=True)


def _hang(*_: object) -> None:
    raise TimeoutError(f"not read within {SECONDS_PER_CASE} s")


def measure(minutes: float) -> list[dict[str, Any]]:
    """Every format in turn, again and again until the time is over; one row per format."""
    blank = {"cases": 0, "records": 0, "refused": 0, "crashes": 0, "slowest_s": 0.0, "peak_mb": 0.0}
    rows: dict[str, dict[str, Any]] = {name: {"format": name, **blank} for name in seeds()}
    deadline, seed = time.time() + 60 * minutes, 0
    while time.time() < deadline:
        for name, row in rows.items():
            for line in _worker(name, seed, deadline):
                _note(row, line)
        seed += 1
    return list(rows.values())


def _worker(name: str, seed: int, deadline: float) -> Iterator[dict[str, Any]]:
    command = [sys.executable, "-W", "ignore", "-m", "tests.benchmarks.fuzz", "--worker", name]
    command += ["--seed", str(seed), "--deadline", str(deadline)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    yield from (line for line in lines if set(line) != {"case"})
    if done.returncode:
        last = lines[-1].get("case", -1) if lines else -1
        yield {"problem": f"the process ended with {done.returncode}: {done.stderr[-800:]}", "case": last, "seed": seed,
               "format": name}  # fmt: skip


def _note(row: dict[str, Any], line: dict[str, Any]) -> None:
    if "summary" in line:
        for key in ("cases", "records", "refused"):
            row[key] += line["summary"][key]
        for key in ("slowest_s", "peak_mb"):
            row[key] = max(row[key], line["summary"][key])
    else:
        row["crashes"] += 1
        sys.stderr.write(f"{line['format']}, seed {line['seed']}, case {line['case']}:\n{line['problem']}\n")


def _picture(pixels: Any, form: str, **settings: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form, **settings)
    return buffer.getvalue()


def _gz(data: bytes) -> bytes:
    import gzip

    return gzip.compress(data, mtime=0)


def _pickled(count: int) -> bytes:
    import pickle

    body = {b"data": np.zeros((count, 3072), np.uint8), b"labels": [n % 2 for n in range(count)], b"batch_label": b"x"}
    return pickle.dumps(body, 2)


def _columns(form: str) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({"u": np.arange(40.0), "v": np.arange(40.0) / 2, "y": ["a", "b"] * 20})
    buffer: BinaryIO = io.BytesIO()
    if form == "parquet":
        pq.write_table(table, buffer, row_group_size=16)
    else:
        with pa.ipc.new_file(buffer, table.schema) as writer:
            writer.write_table(table)
    return buffer.getvalue()  # type: ignore[attr-defined, no-any-return]


def _returned() -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = 6
    inputs = [struct.pack("<2d", float(n), n / 2) for n in range(rows)]
    blank, files = [""] * rows, [f"x#{n}" for n in range(rows)]
    texts = {"id": ["0" * 64] * rows, "label": ["a", "b"] * 3, "split": blank, "file": files, "group": blank}
    table = pa.table({**texts, "time": pa.nulls(rows, pa.float64()), "input": pa.array(inputs, pa.binary())})
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


def _sound() -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(np.random.default_rng(0).integers(-9000, 9000, 800, dtype=np.int16).tobytes())
    return buffer.getvalue()


def _compressed(form: str, subtype: str) -> bytes:
    import soundfile

    buffer = io.BytesIO()
    samples = np.random.default_rng(0).integers(-9000, 9000, 800, dtype=np.int16)
    soundfile.write(buffer, samples, 8000, format=form, subtype=subtype)
    return buffer.getvalue()


def _zip(members: Files) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def _tar(members: Files) -> bytes:
    import tarfile

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def main() -> None:
    """Fuzz for some minutes; exits with 1 where anything crashed."""
    parser = argparse.ArgumentParser(prog="make bench-fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--deadline", type=float, default=0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work(arguments.worker, arguments.seed, CASES_PER_WORKER, arguments.deadline)
        return
    rows = measure(arguments.minutes)
    table = Table(title=f"fuzz, {arguments.minutes:g} minutes", title_justify="left")
    for column in rows[0]:
        table.add_column(column)
    for row in rows:
        table.add_row(*(f"{value:,}" if isinstance(value, (int, float)) else value for value in row.values()))
    Console().print(table)
    Store(find_home()).write("bench/fuzz.json", json.dumps(rows, indent=1).encode())
    if any(row["crashes"] for row in rows):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
