"""Accepted batches as the gate leaves them, made from scikit-learn's own data: real records, no gate needed."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from sklearn.datasets import load_breast_cancer, load_digits

from assets.line.config import Line, parse_line
from assets.records.line_store import LineStore
from assets.records.record import RECORD_COLUMNS
from assets.records.verdict import Accepted, BatchVerdict
from assets.storage import layout

Record = tuple[str, str, str, str, bytes]
"""id, label, split, file, input."""


def digit_records(rows: Iterable[int] | None = None) -> list[Record]:
    """scikit-learn's digits as 8x8 PNG files."""
    digits = load_digits()
    records: list[Record] = []
    for row in range(len(digits.target)) if rows is None else rows:
        pixels = np.rint(digits.images[row] * 255 / 16).astype(np.uint8)
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        label = str(digits.target[row])
        records.append((hashlib.sha256(pixels.tobytes()).hexdigest(), label, "", f"{label}/{row}.png", file.getvalue()))
    return records


def cancer_records() -> list[Record]:
    """scikit-learn's breast-cancer table, one record per row."""
    table = load_breast_cancer()
    records: list[Record] = []
    for row, (values, target) in enumerate(zip(table.data, table.target, strict=True)):
        data = np.asarray(values, dtype="<f8").tobytes()
        label = ("malignant", "benign")[target]
        records.append((hashlib.sha256(data).hexdigest(), label, "", f"table.csv#{row + 2}", data))
    return records


def accept(line: LineStore, records: Sequence[Record], batch: str) -> None:
    """Leave a batch as the gate does: records, verdict, an entry in the journal."""
    ids, labels, splits, files, inputs = zip(*records, strict=True)
    texts = {"id": ids, "label": labels, "split": splits, "file": files, "group": [""] * len(ids)}
    columns: dict[str, pa.Array] = {name: pa.array(values, pa.string()) for name, values in texts.items()}
    columns |= {"time": pa.nulls(len(ids), pa.float64()), "input": pa.array(inputs, pa.binary())}
    columns |= {"origin": pa.array([""] * len(ids), pa.string()), "drawn_by": pa.nulls(len(ids), pa.string())}
    assert tuple(columns) == RECORD_COLUMNS
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    ref = line.put(buffer.getvalue(), "parquet", ".parquet")
    count = len(records)
    verdict = BatchVerdict(
        line.name,
        batch,
        "accepted",
        "all good",
        count,
        count,
        0,
        0,
        (),
        (),
        "reports/x/index.html",
        0.1,
        records=(ref,),
    )
    line.store.save(layout.verdict(line.name, batch), verdict)
    line.accepted().append(Accepted(batch, count, 0.0))


def digits_line(**sections: object) -> Line:
    """The digits line, small: a few epochs of a narrow network. Sections replace its own."""
    attributes: dict[str, object] = {
        "data": {
            "reader": "image_folder",
            "classes": [str(digit) for digit in range(10)],
            "image": {"height": 8, "width": 8, "channels": 1},
        },
        "model": {"family": "cnn", "width": 24, "depth": 2},
        "training": {"epochs": 12, "batch_size": 32, "learning_rate": 0.02},
        "compress": {"prune": [0.5], "distill_epochs": 20, "calibration_records": 64},
        "budget": {"max_drop": 0.3},
    }
    return parse_line("digits", attributes | sections, "test")


def cancer_line() -> Line:
    """The breast-cancer line, small."""
    names = [str(name).replace(" ", "_") for name in load_breast_cancer().feature_names]
    attributes = {
        "data": {
            "reader": "csv",
            "classes": ["benign", "malignant"],
            "table": {"target": "diagnosis", "columns": names},
        },
        "model": {"family": "mlp", "width": 16, "depth": 2},
        "training": {"epochs": 12, "batch_size": 32, "learning_rate": 0.01},
        "compress": {"prune": [0.5], "distill_epochs": 12, "calibration_records": 64},
        "budget": {"max_drop": 0.1},
    }
    return parse_line("breast-cancer", attributes, "test")
