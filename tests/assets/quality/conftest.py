"""Lines, stores and batches for the gate's tests."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from assets.ingest.landing import land
from assets.line.config import Line, parse_line
from assets.records.line_store import bind
from assets.storage.store import Store

Land = Callable[[Line, Mapping[str, bytes]], str]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "home"))


@pytest.fixture
def pictures() -> Line:
    """Pictures of cats and dogs; 10 good records are enough, a quarter may be bad."""
    data = {"reader": "image_folder", "classes": ["cat", "dog"], "image": {"height": 8, "width": 8, "channels": 1}}
    quality = {"min_records": 10, "max_bad_share": 0.25}
    return parse_line("pets", {"data": data, "quality": quality, "model": {"family": "cnn"}}, "test")


@pytest.fixture
def rows() -> Line:
    """Rows of a and b with the classes yes and no."""
    data = {"reader": "csv", "classes": ["yes", "no"], "table": {"target": "kind", "columns": ["a", "b"]}}
    quality = {"min_records": 5, "max_bad_share": 0.25}
    return parse_line("rows", {"data": data, "quality": quality, "model": {"family": "mlp"}}, "test")


@pytest.fixture
def put(store: Store, tmp_path: Path) -> Land:
    """Lands files as a batch of a line; returns the batch's id."""
    count = 0

    def call(line: Line, files: Mapping[str, bytes]) -> str:
        nonlocal count
        count += 1
        for name, content in files.items():
            path = tmp_path / f"source{count}" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return land(bind(store, line), tmp_path / f"source{count}").batch

    return call


def png(seed: int, size: int = 8) -> bytes:
    """A PNG of random grey pixels."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(name="png")
def png_maker() -> Callable[..., bytes]:
    return png


@pytest.fixture
def good() -> dict[str, bytes]:
    """Twelve good pictures."""
    return {f"{'cat' if n % 2 else 'dog'}/{n}.png": png(n) for n in range(12)}
