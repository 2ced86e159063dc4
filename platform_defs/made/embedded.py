"""The two data sets that scikit-learn carries along: digits as class folders of PNG files, breast cancer as a CSV."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from platform_defs.made.digits import Digits, load_digits, write_picture

FEW_DIGITS = 500


def write_digits(folder: Path) -> None:
    """All 1,797 digits: `<class>/<number>.png`, 8x8 grey (E. Alpaydin, C. Kaynak, UCI 1998)."""
    _write(folder, load_digits())


def write_few_digits(folder: Path) -> None:
    """The first 500 of them in a fixed shuffled order."""
    digits = load_digits()
    _write(folder, Digits(digits.pixels[:FEW_DIGITS], digits.labels[:FEW_DIGITS]))


def _write(folder: Path, digits: Digits) -> None:
    for index, (pixels, label) in enumerate(zip(digits.pixels, digits.labels, strict=True)):
        write_picture(folder / str(label) / f"{index:04d}.png", pixels)


def write_breast_cancer(folder: Path) -> None:
    """569 tumours: 30 measurements and the column `diagnosis` (W. Wolberg, O. Mangasarian, N. Street, UCI 1993)."""
    from sklearn.datasets import load_breast_cancer

    table = load_breast_cancer()
    names = [str(name).replace(" ", "_") for name in table.feature_names]
    words = ("malignant", "benign")
    with (folder / "breast_cancer.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*names, "diagnosis"])
        for values, target in zip(np.asarray(table.data), table.target, strict=True):
            writer.writerow([*(repr(float(value)) for value in values), words[int(target)]])
