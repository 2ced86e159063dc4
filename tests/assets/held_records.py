"""Quarantined records as the gate leaves them, for tests of the rooms after it."""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from assets.line.config import Line, parse_line
from assets.records.batch import Landing
from assets.records.line_store import BoundLine
from assets.records.record import QUARANTINE_COLUMNS
from assets.records.verdict import BatchVerdict
from assets.storage import layout
from edge.contracts import ArtifactRef

SUSPECT = "no label looks wrong"
NEAR = "no record is almost another one"
CLASS = "every label is a class of the line"


def text_line(**data: Any) -> Line:
    """A line of texts, ham and spam."""
    body = {"reader": "text", "classes": ["ham", "spam"], "aliases": {"HAM": "ham"}, "text": {}, **data}
    return parse_line("sms", {"data": body, "quality": {"min_records": 2}}, "test")


def picture_line() -> Line:
    """A line of grey pictures, cat and dog."""
    data = {"reader": "image_folder", "classes": ["cat", "dog"], "image": {"height": 8, "width": 8, "channels": 1}}
    return parse_line("pets", {"data": data, "quality": {"min_records": 2}}, "test")


def table_line(**data: Any) -> Line:
    """A line of rows with two numbers and a word."""
    table = {"target": "kind", "columns": ["a", "b", "colour"], "categories": {"colour": ["red", "blue"]}}
    body = {"reader": "table", "classes": ["yes", "no"], "table": table, **data}
    return parse_line("rows", {"data": body, "quality": {"min_records": 2}}, "test")


def text(words: str, label: str, rule: str = SUSPECT, **more: Any) -> dict[str, Any]:
    """A quarantined text."""
    return _record(hashlib.sha256(words.encode()).hexdigest(), words.encode(), label, rule, more)


def row(values: Sequence[float], label: str, rule: str = SUSPECT, **more: Any) -> dict[str, Any]:
    """A quarantined row of numbers."""
    stored = np.asarray(values, dtype="<f8").tobytes()
    return _record(hashlib.sha256(stored).hexdigest(), stored, label, rule, more)


def picture(seed: int, label: str, rule: str = SUSPECT, size: int = 8, **more: Any) -> dict[str, Any]:
    """A quarantined picture."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size), dtype=np.uint8)
    shape = f"{size}x{size}x1".encode()
    return _record(hashlib.sha256(shape + b"\0" + pixels.tobytes()).hexdigest(), png(pixels), label, rule, more)


def png(pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> bytes:
    """Pixels as a PNG."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def _record(identity: str, stored: bytes, label: str, rule: str, more: dict[str, Any]) -> dict[str, Any]:
    made = {
        "id": identity,
        "label": label,
        "split": "",
        "file": f"{identity[:6]}.x",
        "group": "",
        "time": None,
        "input": stored,
        "rule": rule,
        "reason": f"it breaks {rule!r}" if rule else "batch blocked: too many bad records",
        "remedy": "look at it",
    }
    return made | more


def hold(
    line: BoundLine,
    records: Sequence[dict[str, Any]],
    name: str = "b",
    shards: int = 1,
    group: int = 2,
    without: frozenset[str] = frozenset(),
) -> BatchVerdict:
    """Leave a batch of quarantined records as the gate does: shards, verdict, landing journal.

    Args:
        name: what the batch's id is made of.
        group: records of one row group.
        without: columns that the Parquets do not have, as those of earlier versions.
    """
    batch = hashlib.sha256(name.encode()).hexdigest()
    kinds = {"time": pa.float64(), "input": pa.binary()}
    columns = [column for column in QUARANTINE_COLUMNS if column not in without]
    schema = pa.schema([(column, kinds.get(column, pa.string())) for column in columns])
    refs = []
    for part in range(shards):
        buffer = io.BytesIO()
        table = pa.Table.from_pylist(list(records[part::shards]), schema=schema)
        pq.write_table(table, buffer, row_group_size=group)
        data = buffer.getvalue()
        sha256 = hashlib.sha256(data).hexdigest()
        key = f"quarantine/{line.name}/{sha256}.parquet"
        line.store.write(key, data)
        refs.append(ArtifactRef(key, sha256, len(data), "parquet", (batch,)))
    count = len(records)
    verdict = BatchVerdict(
        line.name, batch, "blocked", "held", count, 0, count, 0, (), (), "reports/x/index.html", 0.1,
        quarantine=tuple(refs),
    )  # fmt: skip
    line.store.save(layout.verdict(line.name, batch), verdict)
    line.landings().append(Landing(batch, batch[:16], time.time()))
    return verdict
