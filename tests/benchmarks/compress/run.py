"""One data set in a process of its own: `python -m tests.benchmarks.compress.run NAME OUT`; writes its rows as JSON."""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from assets.compression.subject import Subject, open_subject
from assets.records.line_store import bind
from tests.benchmarks.compress import dialects, ort, others, ours, pruning, rows
from tests.benchmarks.compress.contract import Given, Made
from tests.benchmarks.compress.judge import Judge
from tests.benchmarks.compress.quiet import quiet
from tests.benchmarks.compress.sets import BUDGETS, SETS, open_set

CALIBRATION = 300
"""Training records that every tool sets its ranges with: what NNCF takes by itself."""
SMALL_SECONDS = 20.0
TOOLS: Mapping[str, Callable[[Given], Iterator[Made]]] = {
    "torch-pruning": pruning.pruned,
    "onnxruntime": ort.default,
    "onnxruntime-best": ort.best,
    "nncf": others.nncf,
    "nncf-accuracy-control": others.nncf_control,
    "modelopt": others.modelopt,
    "torchao-pt2e": others.torchao,
}


def main() -> None:
    """Search, let the other tools work, judge all files, write the rows."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.compress.run", description=__doc__)
    parser.add_argument("name", choices=tuple(SETS))
    parser.add_argument("out", type=Path)
    parser.add_argument("--small", action="store_true", help="a teacher of two epochs: does everything run?")
    asked = parser.parse_args()
    found = measure(asked.name, asked.small, asked.out.parent)
    asked.out.write_text(json.dumps(found, indent=1))


def measure(name: str, small: bool, work: Path) -> dict[str, list[dict[str, Any]]]:
    """Rows of part "tools", of part "dialects", and of what each step took."""
    clock = Clock(name)
    opened = open_set(name, small, clock.say)
    clock.done("data and teacher")
    subject = open_subject(bind(opened.store, opened.line), opened.dataset, opened.teacher, clock.say)
    found, seconds = ours.searched(subject)
    clock.done("edgeloop", note=f"{seconds:.0f} s of trials, kept ones included")
    given = Given(subject, _calibration(subject), min(seconds, SMALL_SECONDS) if small else seconds, clock.say)
    made = list(ours.candidates(subject, found))
    for tool, make in TOOLS.items():
        with quiet(work / f"{name}-tools.log"):
            made += _made(tool, make, given)
        clock.done(tool)
    judge = Judge(given, work, max(BUDGETS))
    judged = judge.accuracies(made)
    clock.done("accuracies and engines of all files")
    judged = list(judge.latencies(judged, BUDGETS))
    clock.done("latencies")
    teacher = judge.teacher_accuracy
    common = {"teacher_accuracy": teacher.value, "teacher_low": teacher.low, "teacher_high": teacher.high}
    common |= {"test_records": len(subject.test), "validation_records": len(subject.validation)}
    return {
        "tools": [{**row, **common} for row in rows.rows_of(name, judged, BUDGETS)],
        "dialects": [{**row, **common} for row in dialects.rows_of(name, judged)],
        "files": [_file(name, one) for one in judged],
        "minutes": clock.rows,
    }


class Clock:
    """Tells what each step took, and how far it is."""

    def __init__(self, name: str) -> None:
        self._name, self._began, self._last = name, time.monotonic(), time.monotonic()
        self.rows: list[dict[str, Any]] = []

    def say(self, text: str) -> None:
        """One line."""
        print(f"{self._name} {time.monotonic() - self._began:5.0f} s  {text}", flush=True)

    def done(self, step: str, note: str = "") -> None:
        """A step ended."""
        now = time.monotonic()
        self.rows.append({"data": self._name, "step": step, "minutes": (now - self._last) / 60, "note": note})
        self.say(f"{step}: {(now - self._last) / 60:.1f} minutes {note}")
        self._last = now


def _made(tool: str, make: Callable[[Given], Iterator[Made]], given: Given) -> list[Made]:
    found: list[Made] = []
    try:
        found.extend(make(given))
    except Exception as error:  # one tool's failure is its result, not the end
        found.append(Made(tool, "", {}, 0.0, why_not=ort.reason(error)))
    return found


def _calibration(subject: Subject) -> np.ndarray[Any, np.dtype[np.float32]]:
    rows_ = np.unique(np.linspace(0, len(subject.calibration) - 1, CALIBRATION).astype(np.int64))
    return np.ascontiguousarray(subject.calibration.batch(rows_).numpy(), np.float32)


def _file(data: str, one: Any) -> dict[str, Any]:
    """Every file that was judged, for whoever wants to see more than the rows."""
    ms = None if one.ms is None else float(np.median(one.ms))
    plain = {
        field.name: getattr(one, field.name)
        for field in dataclasses.fields(one)
        if field.name in {"target", "onnx_kb", "validation_drop", "engine_kb", "why_not"}
    }
    return {"data": data, "tool": one.made.tool, "variant": one.made.variant, **plain} | {
        "accuracy": one.accuracy.value,
        "drop": one.drop.value,
        "ms_b1": ms,
    }


if __name__ == "__main__":
    main()
