"""The real data sets of `../shared/data` as lines without a model: what tests and benchmarks land."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from assets.line.config import Line, parse_line

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
DIGITS = [str(digit) for digit in range(10)]
CLOTHES = ["t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle-boot"]
THINGS = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
WORDS = ["_silence_", "_unknown_", "down", "no", "up", "yes"]
MACHINE = [
    "Air temperature [K]",
    "Process temperature [K]",
    "Rotational speed [rpm]",
    "Torque [Nm]",
    "Tool wear [min]",
]
ENGINE = ["setting1", "setting2", "setting3", *(f"sensor{number}" for number in range(1, 22))]


class SharedSet(NamedTuple):
    """A data set: where it lies, its contract, how many records it has, and its policy beside the default."""

    path: str
    data: dict[str, Any]
    records: int
    quality: dict[str, Any]


def _grey(classes: list[str]) -> dict[str, Any]:
    image = {"height": 28, "width": 28, "channels": 1}
    return {"reader": "idx", "classes": classes, "image": image, "carve": ["validation"]}


def _colours() -> dict[str, Any]:
    image = {"height": 32, "width": 32, "channels": 3}
    return {"reader": "cifar10", "classes": THINGS, "image": image, "carve": ["validation"]}


SETS: dict[str, SharedSet] = {
    "mnist": SharedSet("mnist", _grey(DIGITS), 70_000, {}),
    "fashion-mnist": SharedSet("fashion-mnist", _grey(CLOTHES), 70_000, {}),
    "cifar10-python": SharedSet("cifar10/cifar-10-batches-py", _colours(), 6_000, {}),
    "cifar10-binary": SharedSet("cifar10/cifar-10-batches-bin", _colours(), 2_000, {}),
    "oxford-pets": SharedSet(
        "oxford-pets",
        {
            "reader": "image_folder",
            "classes": ["cat", "dog"],
            "image": {"height": 64, "width": 64, "channels": 3},
            "carve": ["test"],
        },
        100,
        {},
    ),
    "cmapss-fd001": SharedSet(
        "predictive-maintenance/cmapss-fd001",
        {
            "reader": "series",
            "series": {
                "unit": "unit",
                "time": "cycle",
                "remaining": True,
                "header": ["unit", "cycle", *ENGINE],
                "columns": ENGINE,
            },
            "carve": ["validation"],
        },
        33_727,
        {},
    ),
    "ai4i2020": SharedSet(
        "predictive-maintenance/ai4i2020",
        {
            "reader": "table",
            "classes": ["0", "1"],
            "table": {
                "target": "Machine failure",
                "columns": ["Type", *MACHINE],
                "categories": {"Type": ["L", "M", "H"]},
            },
        },
        7_000,
        {},
    ),
    "sms-spam": SharedSet(
        "text/sms-spam/SMSSpamCollection",
        {"reader": "text", "classes": ["ham", "spam"], "text": {"header": ["label", "text"]}},
        3_794,
        {},
    ),
    "speech-commands": SharedSet(
        "speech-commands",
        {"reader": "audio_folder", "classes": WORDS, "audio": {"rate": 16_000, "seconds": 1}, "carve": ["test"]},
        120,
        {},
    ),
}


def line_of(name: str) -> Line:
    """The line that reads one of `SETS`."""
    found = SETS[name]
    return parse_line(name, {"data": found.data, "quality": found.quality}, "tests/shared_sets.py")
