"""Golden records: what a device proves itself on before it serves."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.errors import CompileError
from assets.loading.held_out import HeldOut
from assets.tasks.task import Task
from edge.contracts import GoldenRecord, GoldenSet, InputSpec

GOLDEN_RECORDS = 16
MARGIN = 2.0
"""Times the largest difference measured here between a dialect and its float parent: another runtime, another
rounding, but not another model."""
LEAST_AGREEMENT = 0.8
"""Least share of golden records that a dialect, and later a device, answers as the float parent does. One that agrees
on fewer is another model, and no tolerance may be stated from it: a tolerance of nothing would pass anything. Sound
INT8 differs on close calls only, for which 3 of 16 records are left."""
LEAST_SHARE_OF_RANGE = 0.01
"""A tolerance is at least this share of the outputs' range, so that a dialect without any loss is not held to zero."""


def pick_records(task: Task, test: HeldOut, classes: Sequence[str], count: int = GOLDEN_RECORDS) -> list[int]:
    """Positions of `count` test records (all, where there are fewer), by the task's rule; see its `golden.py`."""
    sizes = [len(test.input_of(row)) for row in range(len(test))]
    return task.golden.pick(test.ids, sizes, test.y, classes, count)


def golden_input(spec: InputSpec, data: bytes) -> str:
    """A stored record's `input` bytes as a golden record carries them.

    A picture in base64; a row as a JSON object; a series as a JSON list of rows, oldest first; noise as a JSON list of
    numbers; a text as it is.
    """
    if spec.kind == "image":
        return base64.b64encode(data).decode()
    if spec.kind == "text":
        return data.decode()
    numbers = struct.unpack(f"<{len(data) // 8}d", data)
    if spec.kind == "noise":
        return json.dumps(numbers)
    width = len(spec.columns)
    rows = [_row(spec, numbers[start : start + width]) for start in range(0, len(numbers), width)]
    return json.dumps(rows if spec.kind == "series" else rows[0])


def _row(spec: InputSpec, values: Sequence[float]) -> dict[str, float | str]:
    """Values by their column; the position in a category as its word."""
    row: dict[str, float | str] = dict(zip(spec.columns, values, strict=True))
    return row | {name: words[int(float(row[name]))] for name, words in spec.categories.items()}


def make_golden(
    spec: InputSpec,
    task: Task,
    classes: Sequence[str],
    test: HeldOut,
    picked: Sequence[int],
    expected: NDArray[np.float32],
    dialects: Mapping[str, NDArray[np.float32]],
) -> GoldenSet:
    """The golden set with tolerances stated from what was measured on these very records.

    Args:
        picked: positions of the golden records in `test`.
        expected: (records, …) outputs of the float parent in ONNX Runtime.
        dialects: name to outputs of each quantized dialect, same shape.

    Returns:
        `max_abs_diff` is `MARGIN` times the worst dialect's largest difference, and at least `LEAST_SHARE_OF_RANGE` of
        the outputs' range. `min_agreement` of classes is the worst dialect's agreement less one record, and at
        least `LEAST_AGREEMENT`; of other answers all are within `max_abs_diff`.

    Raises:
        CompileError: there is no record, an output is NaN or infinite, or a dialect agrees with the float parent on
            less than `LEAST_AGREEMENT` of the records.
    """
    if not len(picked):
        raise CompileError("the test split has no record to make a golden set of; land more records")
    for name, outputs in (("float", expected), *dialects.items()):
        if not np.isfinite(outputs).all():
            raise CompileError(f"the {name} model answers a golden record with NaN or infinity; train it again")
    worst_diff = max((float(np.abs(outputs - expected).max()) for outputs in dialects.values()), default=0.0)
    agreement = {name: float(task.golden.agrees(expected, outputs).mean()) for name, outputs in dialects.items()}
    for name, share in agreement.items():
        if share < LEAST_AGREEMENT:
            raise CompileError(
                f"the {name} model answers {share:.2f} of {len(expected)} golden records as its float parent does, at "
                f"least {LEAST_AGREEMENT} must; raise `calibration_records`, or train again"
            )
    span = float(np.ptp(expected)) or float(np.abs(expected).max())
    records = tuple(
        GoldenRecord(
            golden_input(spec, test.input_of(position)),
            tuple(float(number) for number in row.ravel()),
            _label(spec, classes, test.y[position] if spec.kind != "noise" else None),
        )
        for position, row in zip(picked, expected, strict=True)
    )
    least = max(LEAST_AGREEMENT, min(agreement.values(), default=1.0) - 1 / len(records))
    return GoldenSet(
        records,
        max_abs_diff=max(MARGIN * worst_diff, LEAST_SHARE_OF_RANGE * span),
        min_agreement=least if task.spec.answer == "class" else 1.0,
    )


def _label(spec: InputSpec, classes: Sequence[str], y: Any) -> str:
    """What is true of a record: its class, or the number's text; "" of noise."""
    if spec.kind == "noise":
        return ""
    return classes[int(y)] if classes else repr(float(y))
