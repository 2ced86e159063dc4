"""Small made engines in the format of C-MAPSS: text of 26 columns, a row per cycle, and what the test ones had left."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SENSORS = 21
CONSTANT = (0, 4, 9, 15, 17, 18)
"""Sensors 1, 5, 10, 16, 18 and 19 never move, as in FD001."""


def write_engines(folder: Path) -> None:
    """`train_FD001.txt` with 24 engines run to failure, `test_FD001.txt` with 12 cut short, and `RUL_FD001.txt`."""
    draw = np.random.default_rng(31)
    slopes = draw.uniform(1.0, 3.0, SENSORS) * draw.choice((-1.0, 1.0), SENSORS)
    slopes[list(CONSTANT)] = 0
    (folder / "train_FD001.txt").write_text(_text([_engine(draw, slopes) for _ in range(24)]), encoding="ascii")
    engines = [_engine(draw, slopes) for _ in range(12)]
    seen = [int(draw.integers(40, len(engine) - 5)) for engine in engines]
    cut = [engine[:cycles] for engine, cycles in zip(engines, seen, strict=True)]
    left = [len(engine) - cycles for engine, cycles in zip(engines, seen, strict=True)]
    (folder / "test_FD001.txt").write_text(_text(cut), encoding="ascii")
    (folder / "RUL_FD001.txt").write_text("".join(f"{cycles} \n" for cycles in left), encoding="ascii")


def _engine(draw: np.random.Generator, slopes: NDArray[np.float64]) -> NDArray[np.float64]:
    """(cycles, 24) settings and sensors of one engine, which wears out faster and faster."""
    cycles = int(draw.integers(70, 130))
    worn = (np.arange(1, cycles + 1) / cycles) ** 2
    settings = np.column_stack([draw.normal(0, 0.002, cycles), draw.normal(0, 0.0003, cycles), np.full(cycles, 100.0)])
    noise = draw.normal(0, 0.25, (cycles, SENSORS)) * (slopes != 0)
    levels = np.linspace(20, 600, SENSORS)
    return np.hstack([settings, levels + worn[:, None] * slopes + noise])


def _text(engines: list[NDArray[np.float64]]) -> str:
    rows = []
    for unit, engine in enumerate(engines, 1):
        for cycle, values in enumerate(engine, 1):
            settings = f"{values[0]:.4f} {values[1]:.4f} {values[2]:.1f}"
            rows.append(f"{unit} {cycle} {settings} {' '.join(f'{value:.4f}' for value in values[3:])}  \n")
    return "".join(rows)
