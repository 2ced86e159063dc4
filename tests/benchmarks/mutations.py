"""`make bench-mutations`: 1,000 ONNX files, broken at random from a fixed seed, each followed until refused or built.

Each file is linted and opened in ONNX Runtime (in the platform's own child process); what passes is calibrated and
quantized (in a child here, as `edgeloop compress` does), and built by TensorRT-RTX in float and in INT8. Good is: one
clear error, or a plan. Bad is a traceback, an answer that never comes, or an end of this process; a crash or a limit
within a child is counted, and told as an error.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from rich.console import Console
from rich.table import Table

from assets.compilation.lint import Checker
from assets.errors import EdgeError, TransientError
from assets.storage.store import Store
from platform_defs.home import find_home
from tests.benchmarks.mutate import SEED, mutated

ROOT = Path(__file__).parents[2]
FILES = 1000
SM = 86
OPEN = {0: 4}
LONG = 32
"""How long open axes are, the first and others, of the records that calibrate."""
SECONDS, MEMORY_MB = 300.0, 4096
BIG = ("resnet", "vit")
"""Of the newer exporter, which takes seconds: the sample in `make test` leaves them out."""


@dataclass(frozen=True)
class Row:
    """What became of one file.

    Attributes:
        number: of the mutation, see `tests.benchmarks.mutate.mutated`.
        of: the sound file that was broken; `change` is what was done to it.
        outcome: "refused", "built" (at least the float file), "loaded" (a CPU file, which nothing builds).
        stage: that refused it, or the last that took it.
        reason: of the refusal: a rule's name, or the first words of the error.
        contained: a child crashed, or was ended at a limit, and that was told as an error.
        bad: what must not happen; "" if it did not.
    """

    number: int
    of: str
    change: str
    outcome: Literal["refused", "built", "loaded"]
    stage: str
    reason: str
    seconds: float
    contained: bool = False
    bad: str = ""


def sound_files(big: bool = True) -> dict[str, bytes]:
    """Name to bytes: models that others made, and our own in each dialect."""
    from tests.assets.foreign_models import NAMES, foreign
    from tests.edge.onnx_models import conv_net

    files = {name: foreign(name).model for name in NAMES if big or name not in BIG}
    files["own float"] = conv_net().SerializeToString()
    files["own tensorrt"] = conv_net(True).SerializeToString()
    files["own cpu"] = conv_net(True, zero_type=np.uint8, zero=128).SerializeToString()
    return files


def followed(files: Mapping[str, bytes], numbers: Iterable[int], folder: Path, follow: int = FILES) -> Iterator[Row]:
    """What becomes of mutations, one after another.

    Args:
        folder: an empty one, for the files that children read and write.
        follow: how many of those that the lint lets through are quantized and built.
    """
    with Checker(seconds=SECONDS) as checker:
        for number in numbers:
            of, change, data = mutated(files, number)
            dialect: Any = of.removeprefix("own ") if of.startswith("own ") else "float"
            began = time.monotonic()
            try:
                row = _linted(checker, data, dialect)
                if row["outcome"] != "refused" and follow > 0 and dialect != "cpu":
                    follow -= 1
                    row = _built(data, dialect, folder)
            except Exception:  # anything else that reaches this process is what must not happen
                row = {
                    "outcome": "refused",
                    "stage": "this process",
                    "reason": "",
                    "bad": traceback.format_exc()[-800:],
                }
            yield Row(number, of, change, seconds=round(time.monotonic() - began, 2), **row)


def _linted(checker: Checker, data: bytes, dialect: Any) -> dict[str, Any]:
    findings = checker.lint(data, dialect, "any")
    if not findings:
        return {"outcome": "loaded", "stage": "runtime", "reason": ""}
    first = findings[0]
    bad = "" if first.reason and first.remedy else f"{first.rule} gives no reason"
    stage = "runtime" if first.rule == "loads" else "lint"
    contained = first.rule == "survives-checking" or (first.rule == "loads" and "cannot" not in first.reason)
    return {"outcome": "refused", "stage": stage, "reason": first.rule, "bad": bad, "contained": contained}


def _built(data: bytes, dialect: str, folder: Path) -> dict[str, Any]:
    """Quantized if it is a float file, then built; that INT8 is refused leaves the float file built."""
    paths = {"float": folder / "float.onnx", "tensorrt": folder / "tensorrt.onnx"}
    for path in paths.values():
        path.unlink(missing_ok=True)
    paths["float" if dialect == "float" else "tensorrt"].write_bytes(data)
    told: dict[str, Any] = {"reason": ""}
    if dialect == "float":
        told = _quantized(folder)
    last = {"outcome": "refused", "stage": "build", **told}
    for name, path in paths.items():
        if not path.exists():
            continue
        reason, contained = _plan(path)
        last["contained"] = last.get("contained", False) or contained
        if not reason:
            last |= {"outcome": "built", "stage": f"build {name}"}
        elif name == "float" or dialect != "float":
            return last | {"outcome": "refused", "stage": f"build {name}", "reason": reason}
        else:
            last["reason"] = f"no INT8: {reason}"
    return last


def _quantized(folder: Path) -> dict[str, Any]:
    """Calibrate and quantize `float.onnx` in a child; INT8 that is refused is no refusal of the file."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.benchmarks.mutations", "--quantize", str(folder)]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return {"reason": f"no INT8: longer than {SECONDS:g} s", "contained": True}
    if done.returncode < 0:
        return {"reason": f"no INT8: the child ended by signal {-done.returncode}", "contained": True}
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        return {"reason": "no INT8", "bad": f"quantize: {done.stderr[-800:]}"}
    refusal = json.loads(lines[-1])["refused"]
    return {"reason": f"no INT8: {refusal}" if refusal else ""}


def _plan(path: Path) -> tuple[str, bool]:
    """Why no plan came, "" for one; and whether that was a crash or a limit in the child."""
    from assets.compilation.shapes import input_shapes
    from edge.engine.build import BuildLimits, build_plan

    data = path.read_bytes()
    try:
        shapes = input_shapes(data, {name: [array.shape] for name, array in _feeds(data).items()})
        build_plan(path, SM, path.with_suffix(".plan"), BuildLimits(SECONDS, MEMORY_MB), shapes=shapes)
    except TransientError as error:
        return _short(error), True
    except EdgeError as error:
        return _short(error), "crashed" in str(error)
    return "", False


def _feeds(data: bytes) -> dict[str, Any]:
    """Input name to four records."""
    import onnx

    graph = onnx.load_from_string(data).graph
    weights = {tensor.name for tensor in graph.initializer}
    draw = np.random.default_rng(0)
    feeds = {}
    for value in graph.input:
        if value.name in weights:
            continue
        tensor = value.type.tensor_type
        axes = [
            dim.dim_value if dim.HasField("dim_value") else OPEN.get(axis, LONG)
            for axis, dim in enumerate(tensor.shape.dim)
        ]
        kind = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
        feeds[value.name] = (
            np.asarray(draw.normal(size=axes)).astype(kind) if kind.kind == "f" else np.zeros(axes, kind)
        )
    return feeds


def quantize_here(folder: Path) -> str:
    """The child's work; why no INT8 file came, "" for one."""
    from assets.compilation.lint import lint_model
    from assets.compression.quantize import calibrations, quantize

    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_MB << 20, MEMORY_MB << 20))
    data = (folder / "float.onnx").read_bytes()
    try:
        made = quantize(data, calibrations(data, [_feeds(data)], ["minmax"])["minmax"], "tensorrt")
    except EdgeError as error:
        return _short(error)
    except MemoryError:
        return "needs more memory than it may take"
    if findings := lint_model(made, "tensorrt", "any"):
        return str(findings[0])[:200]
    (folder / "tensorrt.onnx").write_bytes(made)
    return ""


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def measure(count: int, follow: int) -> list[Row]:
    """All of them, on two threads; `follow` of those that the lint lets through are quantized and built."""
    files, began = sound_files(), time.monotonic()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:

        def part(at: int) -> list[Row]:
            place = Path(folder) / str(at)
            place.mkdir()
            rows = []
            for row in followed(files, range(at, count, 2), place, -(-follow // 2)):
                rows.append(row)
                if row.bad or row.contained:
                    sys.stderr.write(f"{json.dumps(asdict(row))}\n")
                if len(rows) % 100 == 0:
                    sys.stderr.write(f"{len(rows)} of {count // 2} in {time.monotonic() - began:.0f} s\n")
            return rows

        return sorted((row for rows in pool.map(part, (0, 1)) for row in rows), key=lambda row: row.number)


def summary(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Files by what became of them: one row per outcome, stage, and rule of the lint."""
    found: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        rule = row.reason if row.stage == "lint" else "no INT8" if row.outcome == "built" and row.reason else ""
        found.setdefault((row.outcome, row.stage, rule), []).append(row)
    return [
        {
            "outcome": outcome,
            "stage": stage,
            "rule": rule,
            "files": len(group),
            "contained": sum(row.contained for row in group),
            "bad": sum(bool(row.bad) for row in group),
            "slowest_s": max(row.seconds for row in group),
            "example": group[0].number,
            "told": "" if rule == group[0].reason else group[0].reason,
            "seed": SEED,
        }
        for (outcome, stage, rule), group in sorted(found.items(), key=lambda item: (item[0][0], -len(item[1])))
    ]


def main() -> None:
    """Follow all files; exits with 1 where anything happened that must not."""
    parser = argparse.ArgumentParser(prog="make bench-mutations", description=__doc__)
    parser.add_argument("--files", type=int, default=FILES)
    parser.add_argument("--follow", type=int, default=FILES, help="quantize and build so many of the sound ones")
    parser.add_argument("--quantize", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.quantize:
        print(json.dumps({"refused": quantize_here(arguments.quantize)}))
        return
    began = time.monotonic()
    rows = measure(arguments.files, arguments.follow)
    found = summary(rows)
    table = Table(title=f"{len(rows):,} broken files in {time.monotonic() - began:.0f} s", title_justify="left")
    shown = [name for name in found[0] if name not in {"seed", "told"}]
    for column in shown:
        table.add_column(column)
    for line in found:
        table.add_row(*(str(line[column]) for column in shown))
    Console(width=120).print(table)
    Store(find_home()).write("bench/mutations.json", json.dumps(found, indent=1).encode())
    if any(row.bad for row in rows):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
