"""Accepted batches of every kind of data, and the dataset versions made of them."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from assets.line.config import Line, parse_line
from assets.line.model import FeaturePolicy
from assets.loading.series import read_series
from assets.readers.series import series_id
from assets.records.dataset import DatasetVersion, Split
from assets.records.line_store import BoundLine
from assets.records.read import Records, checked_tensor, empty_split, labels_of, raw_inputs
from assets.records.record import RECORD_COLUMNS
from assets.records.verdict import Accepted, BatchVerdict
from assets.storage import layout
from assets.storage.sealed import seal
from assets.storage.store import Store
from assets.training.dataset import build_dataset
from edge.contracts import InputSpec
from edge.runtime.preprocess import input_type


@dataclass(frozen=True)
class Stored:
    """A row of a records Parquet."""

    id: str
    label: str
    input: bytes
    split: str = ""
    group: str = ""
    time: float | None = None
    origin: str = ""


def dataset_of(line: BoundLine, records: Sequence[Stored], shards: int = 2) -> DatasetVersion:
    """Leave records as the gate does, in so many shards, and make a dataset version of everything accepted so far."""
    files = []
    for part in np.array_split(np.arange(len(records)), shards):
        rows = [records[at] for at in part]
        columns = {
            "id": pa.array([row.id for row in rows], pa.string()),
            "label": pa.array([row.label for row in rows], pa.string()),
            "split": pa.array([row.split for row in rows], pa.string()),
            "file": pa.array([f"{row.id[:8]}.bin" for row in rows], pa.string()),
            "group": pa.array([row.group for row in rows], pa.string()),
            "time": pa.array([row.time for row in rows], pa.float64()),
            "input": pa.array([row.input for row in rows], pa.binary()),
            "origin": pa.array([row.origin for row in rows], pa.string()),
            "drawn_by": pa.nulls(len(rows), pa.string()),
        }
        assert tuple(columns) == RECORD_COLUMNS
        buffer = io.BytesIO()
        pq.write_table(pa.table(columns), buffer)
        data = buffer.getvalue()
        if line.config.data.privacy.encrypt:
            data = seal(data, line.name, "parquet")
        files.append(data)
    batch = hashlib.sha256(b"".join(files)).hexdigest()
    refs = [line.put(data, "parquet", ".parquet", (batch,)) for data in files]
    count = len(records)
    verdict = BatchVerdict(
        line.name, batch, "accepted", "good", count, count, 0, 0, (), (), "reports/x/index.html", 0.1, records=(*refs,)
    )
    line.store.save(layout.verdict(line.name, batch), verdict)
    line.accepted().append(Accepted(batch, count, 0.0))
    return build_dataset(line)


def pictures_line(cache_gb: float = 4.0, encrypt: bool = False, side: int = 8, channels: int = 3) -> Line:
    data = {
        "reader": "image_folder",
        "classes": ["cat", "dog"],
        "image": {"height": side, "width": side, "channels": channels},
        "privacy": {"encrypt": encrypt},
    }
    attributes = {"data": data, "model": "cnn", "training": {"cache_gb": cache_gb}}
    return parse_line("pets", attributes, "test")


def pictures(count: int = 60, seed: int = 0) -> list[Stored]:
    """JPEG and PNG files of several sizes; one in three has the model's own."""
    draw = np.random.default_rng(seed)
    found = []
    for number in range(count):
        size = (8, 8) if number % 3 == 0 else (int(draw.integers(5, 40)), int(draw.integers(5, 40)))
        file = io.BytesIO()
        pixels = draw.integers(0, 256, (*size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(file, "JPEG" if number % 2 else "PNG")
        data = file.getvalue()
        split = ("train", "train", "train", "validation", "test")[number % 5]
        found.append(Stored(hashlib.sha256(data).hexdigest(), ("cat", "dog")[number % 2], data, split))
    return found


def series_line(remaining: bool = True, **features: object) -> Line:
    series: dict[str, object] = {"unit": "engine", "time": "cycle", "columns": ["a", "b"]}
    series |= {"remaining": True} if remaining else {"target": "state"}
    data: dict[str, object] = {"reader": "series", "series": series}
    if not remaining:
        data["classes"] = ["good", "bad"]
    return parse_line("engines", {"data": data, "model": "gru", "features": features}, "test")


def reading(unit: str, time: float, values: tuple[float, float], label: str, split: str = "") -> Stored:
    data = np.asarray(values, dtype="<f8").tobytes()
    return Stored(series_id(unit, time, data), label, data, split, unit, time)


def engines(lives: dict[str, int], split: dict[str, str]) -> list[Stored]:
    """Units that live to their end; column a is the time, column b the unit's number."""
    return [
        reading(unit, float(time), (float(time), float(number)), str(life - 1 - time), split[unit])
        for number, (unit, life) in enumerate(lives.items())
        for time in range(life)
    ]


def texts_line(**features: object) -> Line:
    data = {"reader": "text", "classes": ["ham", "spam"], "text": {}}
    return parse_line("sms", {"data": data, "model": "embedding_gru", "features": features}, "test")


def rows_line(**features: object) -> Line:
    table = {"target": "price", "columns": ["a", "b"], "categories": {"b": ["low", "high"]}}
    data = {"reader": "table", "table": table}
    return parse_line("houses", {"data": data, "model": "mlp", "features": features}, "test")


def load_split(
    store: Store,
    dataset: DatasetVersion,
    split: Split,
    spec: InputSpec,
    features: FeaturePolicy = FeaturePolicy(),  # noqa: B008  frozen
) -> Records:
    """Every record of a split as tensors, made one by one by the preprocessing that the device uses."""
    if spec.kind == "series":
        return read_series(store, dataset, split, spec, features).arrays()
    inputs, rows = raw_inputs(store, dataset, split)
    if not rows:
        raise empty_split(dataset, split)
    x = np.empty((len(rows), *spec.shape), dtype=input_type(spec))
    for number, (data, row) in enumerate(zip(inputs, rows, strict=True)):
        x[number] = checked_tensor(dataset, split, spec, row.id, data)
    return Records(x, labels_of(dataset, rows), tuple(row.id for row in rows), tuple(inputs))
