"""One record leaves a landed file, whatever its form; the others stay, each in its place."""

from __future__ import annotations

import gzip
import hashlib
import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from assets.errors import LandingError
from assets.ingest.landing import land
from assets.ingest.privacy.erased import load_erased
from assets.ingest.privacy.erasing import erase_landed
from assets.ingest.reading import read_landed
from assets.line.config import Line, parse_line
from assets.line.data import DataContract
from assets.records.line_store import BoundLine, LineStore, bind
from assets.records.reason import Reason
from assets.storage.store import Store


def _line(**data: object) -> Line:
    return parse_line("line", {"data": data}, "test")


def _read(line: BoundLine, batch: str) -> tuple[dict[str, dict[str, object]], list[Reason]]:
    items = list(read_landed(line, batch))
    rows = [row for item in items if isinstance(item, pa.Table) for row in item.to_pylist()]
    return {str(row["_file"]): row for row in rows}, [item for item in items if isinstance(item, Reason)]


def _check(tmp_path: Path, line: Line, source: Path, place: str) -> bytes:
    """Erase `place`: all other records are read as before. Returns the file as it is then."""
    store = Store(str(tmp_path / "home"))
    batch = land(bind(store, line), source).batch
    before, refused = _read(bind(store, line), batch)
    stored = before[place]["_input"]
    identity = before[place]["_id"]
    assert isinstance(stored, bytes)
    assert isinstance(identity, bytes)
    assert erase_landed(bind(store, line), batch, {place: stored}, frozenset({identity.hex()})) == ()
    after, refused_after = _read(bind(store, line), batch)
    before.pop(place)
    assert after == before
    assert len(refused_after) == len(refused) + 1
    assert erase_landed(bind(store, line), batch, {place: b""}, frozenset({identity.hex()})) == ()
    assert _read(bind(store, line), batch) == (after, refused_after)
    assert land(bind(store, line), source).repaired == ()
    path = place.rpartition("#")[0] or place
    return (tmp_path / "home/landing/line" / batch[:16] / "files" / path).read_bytes()


TEXT = 'label,text\nham,hello there\nspam,"two\nlines, and ""quotes"""\nham,Geheimnis\nspam,last one\n'


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
@pytest.mark.parametrize("number", [2, 3, 5])
def test_rows_of_text(tmp_path: Path, name: str, number: int) -> None:
    line = _line(reader="text", classes=["ham", "spam"], text={})
    source = tmp_path / "source"
    source.mkdir()
    content = TEXT.encode()
    (source / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    found = _check(tmp_path, line, source, f"{name}#{number}")
    found = gzip.decompress(found) if name.endswith("gz") else found
    assert found.count(b"\n") == content.count(b"\n")
    assert [line for line in found.split(b"\n") if line == b"forgotten"] == [b"forgotten"]
    if number == 3:
        assert b"lines, and" not in found


def test_readings_without_a_header_line(tmp_path: Path) -> None:
    section = {"unit": "unit", "time": "time", "target": "y", "columns": ["a"], "header": ["unit", "time", "a", "y"]}
    line = _line(reader="series", series=section)
    source = tmp_path / "source"
    source.mkdir()
    (source / "train.txt").write_text(
        "".join(f"{unit} {time} {unit * 10 + time}.5 {time}\n" for unit in (1, 2) for time in range(5))
    )
    found = _check(tmp_path, line, source, "train.txt#4")
    assert found.splitlines()[3] == b"forgotten"


def test_pictures_many_to_a_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 255, (6, 9, 7), dtype=np.uint8)
    source = tmp_path / "source"
    source.mkdir()
    head = (0x803).to_bytes(4, "big") + b"".join(size.to_bytes(4, "big") for size in pixels.shape)
    labels = (0x801).to_bytes(4, "big") + (6).to_bytes(4, "big") + bytes([0, 1] * 3)
    (source / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(head + pixels.tobytes()))
    (source / "train-labels-idx1-ubyte").write_bytes(labels)
    line = _line(reader="idx", classes=["a", "b"], image={"height": 9, "width": 7, "channels": 1})
    found = gzip.decompress(_check(tmp_path, line, source, "train-images-idx3-ubyte.gz#3"))
    assert pixels[3].tobytes() not in found
    assert pixels[2].tobytes() + bytes(63) + pixels[4].tobytes() in found


@pytest.mark.parametrize("form", ["binary", "python"])
def test_cifar(tmp_path: Path, form: str) -> None:
    rng = np.random.default_rng(1)
    planes = rng.integers(0, 255, (5, 3072), dtype=np.uint8)
    source = tmp_path / "source"
    source.mkdir()
    if form == "binary":
        content = b"".join(bytes([number % 2]) + picture.tobytes() for number, picture in enumerate(planes))
        (source / "data_batch_1.bin").write_bytes(content)
        place = "data_batch_1.bin#2"
    else:
        body = {b"data": planes, b"labels": [0, 1, 0, 1, 0], b"batch_label": b"x", b"filenames": [b"a"] * 5}
        (source / "data_batch_1").write_bytes(pickle.dumps(body, protocol=2))
        place = "data_batch_1#2"
    line = _line(reader="cifar10", classes=["a", "b"], image={"height": 32, "width": 32, "channels": 3})
    found = _check(tmp_path, line, source, place)
    if form == "binary":
        assert planes[2].tobytes() not in found
        assert planes[1].tobytes() in found


def test_a_batch_that_is_not_there_is_told(tmp_path: Path) -> None:
    line = _line(reader="text", classes=["ham", "spam"], text={})
    with pytest.raises(LandingError, match="no batch"):
        erase_landed(bind(Store(str(tmp_path)), line), hashlib.sha256().hexdigest(), {}, frozenset())


def test_what_is_not_in_the_batch_is_named(tmp_path: Path) -> None:
    line = _line(reader="text", classes=["ham", "spam"], text={})
    (tmp_path / "source").mkdir()
    (tmp_path / "source/a.csv").write_text(TEXT)
    store = Store(str(tmp_path / "home"))
    batch = land(bind(store, line), tmp_path / "source").batch
    assert erase_landed(bind(store, line), batch, {"b.csv#2": b""}, frozenset()) == ("b.csv#2",)
    assert load_erased(LineStore(store, "line"), batch[:16]).files == ()
    assert isinstance(line.config.data, DataContract)
