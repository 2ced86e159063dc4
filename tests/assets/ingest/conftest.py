"""Lines, stores and sources for the ingest tests."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from assets.line.config import Line, parse_line
from assets.storage.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "home"))


@pytest.fixture
def pictures() -> Line:
    """A line of 8x8 grey pictures with the classes cat and dog."""
    data = {"reader": "image_folder", "classes": ["cat", "dog"], "image": {"height": 8, "width": 8, "channels": 1}}
    return parse_line("pets", {"data": data, "model": {"family": "cnn"}}, "test")


@pytest.fixture
def table_line() -> Callable[..., Line]:
    """Makes a line of tables with columns a, b and the target kind."""

    def make(classes: Sequence[str] = ("yes", "no"), columns: Sequence[str] = ("a", "b"), target: str = "kind") -> Line:
        table: dict[str, Any] = {"target": target, "columns": list(columns)}
        data = {"reader": "csv", "classes": list(classes), "table": table}
        return parse_line("rows", {"data": data, "model": {"family": "mlp"}}, "test")

    return make


@pytest.fixture
def png() -> Callable[..., bytes]:
    """Makes a PNG of random 8x8 pixels."""

    def make(seed: int = 0, size: int = 8, kind: str = "PNG") -> bytes:
        pixels = np.random.default_rng(seed).integers(0, 256, (size, size), dtype=np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, kind)
        return buffer.getvalue()

    return make
