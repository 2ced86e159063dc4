"""Planted trouble: what each check finds of it, and what it says of sound records."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from assets.ingest.landing import land
from assets.line.config import Line, parse_line
from assets.quality.gate import judge
from assets.records.forgotten import fetch_shard
from assets.records.line_store import bind
from assets.records.verdict import BatchVerdict
from assets.storage.store import Store
from tests.shared_sets import ENGINE, SETS, SHARED

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
WRONG_LABELS = 0.02
NEAR_COPIES = 0.05
BATCH = 6_000


def measure() -> list[dict[str, Any]]:
    """One row per check and set: planted, found, false alarms, records."""
    rows = [*_digits_of_sklearn()]
    if SHARED.is_dir():
        for name in ("mnist", "fashion-mnist"):
            pixels, labels = _idx(SHARED / SETS[name].path)
            rows += [
                _wrong_labels(name, pixels, labels),
                _near_copies(name, pixels, labels),
                _brightness(name, pixels, labels),
            ]
        rows += [_pets(), _spam(), _unit_change()]
    return rows


def _row(data: str, check: str, planted: Iterable[str], found: Iterable[str], records: int) -> dict[str, Any]:
    wanted, got = set(planted), set(found)
    return {
        "what": "planted",
        "data": data,
        "check": check,
        "tool": "edgeloop",
        "rows": records,
        "planted": len(wanted),
        "found": len(wanted & got),
        "false": len(got - wanted),
        "recall": round(len(wanted & got) / max(1, len(wanted)), 3),
        "false_share": round(len(got - wanted) / max(1, records - len(wanted)), 4),
    }


def _judged(
    line: Line, write: Callable[[Path], None], *before: Callable[[Path], None]
) -> tuple[BatchVerdict, list[dict[str, Any]]]:
    """The verdict on what `write` lays down, after the batches of `before`; and its findings with their files."""
    import json

    with tempfile.TemporaryDirectory() as home:
        store = Store(f"{home}/state")
        for number, one in enumerate([*before, write]):
            source = Path(home) / f"source{number}"
            source.mkdir()
            one(source)
            verdict = judge(bind(store, line), land(bind(store, line), source).batch)
        if verdict.findings is None:
            return verdict, []
        lines = fetch_shard(store, verdict.findings).decode().splitlines()
        return verdict, [json.loads(text) for text in lines]


def _line(classes: Iterable[str], side: int, channels: int = 1, **quality: Any) -> Line:
    data = {
        "reader": "image_folder",
        "classes": list(classes),
        "image": {"height": side, "width": side, "channels": channels},
    }
    most = {"max_bad_share": 1.0, "near_duplicates": "warn", "leakage": "warn", "label_suspects": "warn"}
    return parse_line("planted", {"data": data, "quality": most | quality}, "bench")


def _write(folder: Path, files: dict[str, Pixels], form: str = "PNG", **settings: Any) -> None:
    for name, pixels in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, form, **settings)


def _idx(folder: Path) -> tuple[Pixels, list[str]]:
    import gzip

    pixels = gzip.decompress((folder / "train-images-idx3-ubyte.gz").read_bytes())
    labels = gzip.decompress((folder / "train-labels-idx1-ubyte.gz").read_bytes())
    count = BATCH
    shaped = np.frombuffer(pixels, np.uint8, count * 784, 16).reshape(count, 28, 28)
    return shaped, [str(label) for label in labels[8 : 8 + count]]


def _digits_of_sklearn() -> list[dict[str, Any]]:
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels = np.rint(digits.images * 255 / 16).astype(np.uint8)
    return [_wrong_labels("digits", pixels, [str(label) for label in digits.target])]


def _wrong_labels(name: str, pixels: Pixels, labels: list[str]) -> dict[str, Any]:
    draw = np.random.default_rng(1)
    classes = sorted(set(labels))
    wrong = set(draw.choice(len(labels), round(WRONG_LABELS * len(labels)), replace=False).tolist())
    files, planted = {}, []
    for row, label in enumerate(labels):
        given = label if row not in wrong else str(draw.choice([other for other in classes if other != label]))
        path = f"{given}/{row}.png"
        files[path] = pixels[row]
        planted += [path] if row in wrong else []
    verdict, findings = _judged(_line(classes, pixels.shape[1]), lambda folder: _write(folder, files))
    found = [item["file"] for item in _with_files(findings, files) if item["kind"] == "label_suspect"]
    return _row(name, "wrong labels", planted, found, verdict.seen)


def _near_copies(name: str, pixels: Pixels, labels: list[str]) -> dict[str, Any]:
    """Five in a hundred train pictures are test pictures, enlarged, brightened, blurred or recompressed."""
    draw = np.random.default_rng(2)
    count = 4000
    test = range(count - 800, count)
    files = {f"{'test' if row in test else 'train'}/{labels[row]}/{row}.png": pixels[row] for row in range(count)}
    planted = []
    for number, row in enumerate(draw.choice(list(test), round(NEAR_COPIES * (count - 800)), replace=False).tolist()):
        path = f"train/{labels[row]}/copy{row}.png"
        files[path] = _changed(pixels[row], number)
        planted.append(path)
    verdict, findings = _judged(_line(sorted(set(labels)), 28), lambda folder: _write(folder, files))
    found = [item["file"] for item in _with_files(findings, files) if item["kind"] == "leak"]
    return _row(name, "train/test near duplicates", planted, found, verdict.seen)


def _changed(pixels: Pixels, number: int) -> Pixels:
    picture = Image.fromarray(pixels)
    kind = number % 4
    if kind == 0:
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=70)
        return np.asarray(Image.open(io.BytesIO(buffer.getvalue())))
    if kind == 1:
        larger = picture.resize((picture.width * 3 // 2, picture.height * 3 // 2), Image.Resampling.BICUBIC)
        return np.asarray(larger)
    if kind == 2:
        return np.asarray(picture.filter(ImageFilter.GaussianBlur(0.5)))
    return np.asarray(ImageEnhance.Brightness(picture).enhance(1.1))


def _brightness(name: str, pixels: Pixels, labels: list[str]) -> dict[str, Any]:
    """A second batch, brighter by 25 of 255; and a third that is like the first."""

    def write(start: int, shift: int) -> Callable[[Path], None]:
        part = np.clip(pixels[start : start + 1500].astype(np.int16) + shift, 0, 255).astype(np.uint8)
        return lambda folder: _write(
            folder, {f"{labels[start + row]}/{start + row}.png": part[row] for row in range(len(part))}
        )

    line = _line(sorted(set(labels)), 28)
    claim = "the batch looks like the data the model was trained on"
    alarms = {}
    for what, shift in (("shifted", 25), ("same", 0)):
        verdict, _ = _judged(line, write(1500, shift), write(0, 0))
        (check,) = [check for check in verdict.checks if check.name == claim]
        alarms[what] = check.outcome == "failed"
    found = [what for what, alarm in alarms.items() if alarm]
    return _row(name, "brightness shift (batches)", ["shifted"], found, 2)


def _pets() -> dict[str, Any]:
    folder = SHARED / SETS["oxford-pets"].path
    sources = sorted(folder.rglob("*.jpg"))
    files = {path.relative_to(folder).as_posix(): np.asarray(Image.open(path).convert("RGB")) for path in sources}
    tests = [name for name in files if name.startswith("validation/")]
    planted = []
    for number, name in enumerate(tests[:8]):
        copy = f"train/{name.split('/')[1]}/copy{number}.png"
        files[copy] = _changed(files[name], number)
        planted.append(copy)
    line = _line(["cat", "dog"], 64, 3)
    verdict, findings = _judged(line, lambda out: _write(out, files))
    found = [item["file"] for item in _with_files(findings, files) if item["kind"] == "leak"]
    return _row("oxford-pets", "train/test near duplicates", planted, found, verdict.seen)


def _spam() -> dict[str, Any]:
    draw = np.random.default_rng(3)
    with (SHARED / "text/sms-spam/sms_spam.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))[1:]
    distinct = list({text: label for label, text in rows}.items())
    wrong = set(draw.choice(len(distinct), round(WRONG_LABELS * len(distinct)), replace=False).tolist())
    other = {"ham": "spam", "spam": "ham"}

    def write(folder: Path) -> None:
        with (folder / "sms.csv").open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(["label", "text"])
            table.writerows(
                [other[label] if row in wrong else label, text] for row, (text, label) in enumerate(distinct)
            )

    data = {"reader": "text", "classes": ["ham", "spam"], "text": {}}
    quality = {"max_bad_share": 1.0, "leakage": "warn"}
    verdict, findings = _judged(parse_line("planted", {"data": data, "quality": quality}, "bench"), write)
    found = [str(item["row"]) for item in findings if item["kind"] == "label_suspect"]
    return _row("sms-spam", "wrong labels", [str(row) for row in wrong], found, verdict.seen)


CONVERTED = {"sensor2": 1 / 1.8, "sensor7": 6.894757, "sensor3": 1000.0}
"""C-MAPSS: degrees Rankine become kelvin, psia becomes kPa, degrees become thousandths."""


def _unit_change() -> dict[str, Any]:
    """Of each of three batches all or half of the readings of one sensor come in another unit; a fourth is sound."""
    text = (SHARED / SETS["cmapss-fd001"].path / "train_FD001.txt").read_text().splitlines()
    half = next(number for number, row in enumerate(text) if int(row.split()[0]) > 50)

    def write(rows: list[str], sensor: str | None, part: float = 1.0) -> Callable[[Path], None]:
        def lay(folder: Path) -> None:
            out = [row.split() for row in rows]
            place = 2 + ENGINE.index(sensor) if sensor else 0
            for row in out[: round(part * len(out))] if sensor else ():
                row[place] = f"{float(row[place]) * CONVERTED[sensor]:.4f}"  # type: ignore[index]
            (folder / "readings.txt").write_text("\n".join(" ".join(row) for row in out) + "\n")

        return lay

    data = {key: value for key, value in SETS["cmapss-fd001"].data.items() if key != "carve"}
    line = parse_line("planted", {"data": data, "quality": {"max_bad_share": 1.0}}, "bench")
    found: set[str] = set()
    for sensor, part in ((None, 0.0), ("sensor2", 1.0), ("sensor7", 1.0), ("sensor3", 0.5)):
        _, findings = _judged(line, write(text[half:], sensor, part), write(text[:half], None))
        found |= {f"{sensor}: {item['other']}" for item in findings if item["kind"] == "unit"}
    planted = [f"{sensor}: {sensor}" for sensor in CONVERTED]
    return _row("cmapss-fd001", "unit change (columns of 4 batches)", planted, found, 4 * len(ENGINE))


def _with_files(findings: list[dict[str, Any]], files: dict[str, Pixels]) -> list[dict[str, Any]]:
    """Findings with the file of the record; a landed batch has its files in the order of their paths."""
    order = sorted(files)
    return [{**item, "file": order[item["row"]]} for item in findings if item["row"] >= 0]
