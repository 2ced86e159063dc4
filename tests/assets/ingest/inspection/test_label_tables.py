"""A table beside pictures that names them: its labels are not read, and no folder is proposed as a class."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from assets.ingest.inspection.inspect import inspect_source


def _png(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def _look(folder: Path, names: list[str], table: str = "") -> tuple[str, tuple[str, ...]]:
    for seed, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(_png(seed))
    if table:
        (folder / "labels.csv").write_text(table)
    found = inspect_source(folder)
    return found.data, found.notes


@pytest.mark.parametrize("cell", ["{stem}.png", "{stem}", "images/{stem}.png", "C:\\data\\{stem}.png"])
@pytest.mark.parametrize("place", ["images/", "", "train/"])
def test_the_table_is_named_and_nothing_is_proposed(tmp_path: Path, cell: str, place: str) -> None:
    stems = [f"p{number}" for number in range(6)]
    rows = [f"{cell.format(stem=stem)},{'ab'[number % 2]}" for number, stem in enumerate(stems)]
    data, notes = _look(tmp_path, [f"{place}{stem}.png" for stem in stems], "\n".join(["file,label", *rows, ""]))
    assert data == ""
    assert any("'labels.csv', whose column 'file' names them" in note for note in notes)


def test_class_folders_and_tables_of_something_else_are_as_before(tmp_path: Path) -> None:
    names = [f"{label}/{number}.png" for label in ("cat", "dog") for number in range(4)]
    data, _ = _look(tmp_path / "classes", names, "file,label\n0.png,x\n1.png,y\n2.png,x\n")
    assert "- cat\n" in data
    data, notes = _look(tmp_path / "other", ["images/a.png", "images/b.png"], "x,y\n1,2\n3,4\n")
    assert "labels of its" not in " ".join(notes)
    assert data
