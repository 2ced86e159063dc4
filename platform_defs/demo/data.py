"""Three batches of scikit-learn's digits, written as class folders of PNG files, so that the real reader reads them.

The first two are sound. The third holds what real folders hold: damaged files, a class nobody declared, and pictures
that are known under another label.
"""

from __future__ import annotations

from pathlib import Path

from platform_defs.made.digits import Digits, load_digits, write_picture

FIRST, SECOND = 1200, 1600
"""Pictures [0, FIRST) are batch 1, [FIRST, SECOND) batch 2, the rest go into batch 3."""


def write_batches(folder: Path) -> tuple[Path, Path, Path]:
    """Write the three batches below `folder`; the same bytes every time."""
    digits = load_digits()
    paths = (folder / "batch-1", folder / "batch-2", folder / "batch-3")
    for path, start, stop in zip(paths, (0, FIRST, SECOND), (FIRST, SECOND, len(digits.labels)), strict=True):
        for index in range(start, stop):
            write_picture(path / str(digits.labels[index]) / f"{index:04d}.png", digits.pixels[index])
    _add_trouble(paths[2], digits)
    return paths


def _add_trouble(folder: Path, digits: Digits) -> None:
    sound = sorted((folder / "3").glob("*.png"))[0].read_bytes()
    broken = folder / "3"
    (broken / "empty.png").write_bytes(b"")
    (broken / "cut-short.png").write_bytes(sound[: len(sound) // 2])
    (broken / "web-page.png").write_text("<!doctype html><title>404</title><p>No such picture")
    for index in range(6):
        write_picture(folder / "letter-a" / f"{index}.png", digits.pixels[index][::-1])
    for index in range(12):
        wrong = (int(digits.labels[index]) + 1) % 10
        write_picture(folder / str(wrong) / f"known-{index:04d}.png", digits.pixels[index])
