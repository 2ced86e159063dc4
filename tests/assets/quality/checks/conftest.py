"""Batches for the own checks: a spool and what earlier batches had accepted."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from assets.quality.spool import Spool
from assets.readers.pictures import measure_picture, picture_digest

OWN: dict[str, pa.DataType] = {
    "_id": pa.binary(32),
    "_label": pa.string(),
    "_split": pa.string(),
    "_file": pa.string(),
    "_group": pa.string(),
    "_time": pa.float64(),
    "_input": pa.binary(),
    "_notes": pa.string(),
    "_embedding": pa.list_(pa.float32()),
    "_phash": pa.uint64(),
    "_origin": pa.string(),
}
MakeSpool = Callable[..., Spool]
MakeEarlier = Callable[..., pa.Table]


@pytest.fixture
def make_spool(tmp_path: Path) -> Iterator[MakeSpool]:
    """`make_spool(rows, chunk=..., **columns)`: columns by name, own ones without their `_`; others are facts."""
    made: list[Spool] = []

    def make(rows: int, chunk: int = 1000, facts: dict[str, Any] | None = None, **own: Sequence[Any]) -> Spool:
        defaults: dict[str, Any] = {
            "id": [hashlib.sha256(str(row).encode()).digest() for row in range(rows)],
            "label": [""] * rows,
            "split": [""] * rows,
            "file": [f"f{row}" for row in range(rows)],
            "group": [""] * rows,
            "input": [b""] * rows,
            "origin": [""] * rows,
        }
        columns = {
            name: pa.array(list((defaults | own).get(name[1:], [None] * rows)), kind) for name, kind in OWN.items()
        }
        for name, values in (facts or {}).items():
            columns[name] = values if isinstance(values, pa.Array) else pa.array(list(values), from_pandas=True)
        table = pa.table(columns)
        spool = Spool(tmp_path / f"spool{len(made)}", table.schema)
        for start in range(0, rows, chunk):
            spool.append(table.slice(start, chunk))
            spool.finish()
        made.append(spool)
        return spool

    yield make
    for spool in made:
        spool.__exit__(None, None, None)


@pytest.fixture
def make_earlier() -> MakeEarlier:
    def make(rows: int = 0, **own: Sequence[Any]) -> pa.Table:
        kinds = {
            "_id": pa.binary(32),
            "_label": pa.string(),
            "_side": pa.int8(),
            "_file": pa.string(),
            "_batch": pa.string(),
            "_phash": pa.uint64(),
            "_embedding": pa.list_(pa.float32()),
        }
        defaults: dict[str, Any] = {
            "id": [hashlib.sha256(f"old{row}".encode()).digest() for row in range(rows)],
            "side": [0] * rows,
            "file": [f"old{row}" for row in range(rows)],
            "batch": ["b0"] * rows,
        }
        return pa.table(
            {name: pa.array(list((defaults | own).get(name[1:], [None] * rows)), kind) for name, kind in kinds.items()}
        )

    return make


@pytest.fixture
def picture_batch(make_spool: MakeSpool) -> Callable[[Sequence[Image.Image], Sequence[str]], Spool]:
    """A batch of pictures as the readers measure them, `p0.png`, `p1.png`, …"""

    def make(pictures: Sequence[Image.Image], labels: Sequence[str]) -> Spool:
        ids, inputs, embeddings, hashes = [], [], [], []
        for picture in pictures:
            buffer = io.BytesIO()
            picture.save(buffer, "PNG")
            pixels = np.asarray(picture, dtype=np.uint8).reshape(picture.height, picture.width, -1)
            measures = measure_picture(picture)
            ids.append(picture_digest(pixels))
            inputs.append(buffer.getvalue())
            embeddings.append(measures.embedding[0])
            hashes.append(int(measures.phash[0]))
        sizes = {
            "width": [float(picture.width) for picture in pictures],
            "height": [float(picture.height) for picture in pictures],
        }
        return make_spool(
            len(pictures),
            facts=sizes,
            id=ids,
            label=labels,
            input=inputs,
            embedding=embeddings,
            phash=hashes,
            file=[f"p{place}.png" for place in range(len(pictures))],
        )

    return make
