"""Golden records: what a device proves itself on before it serves."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from assets.errors import CompileError
from assets.records import Records
from edge.contracts import GoldenRecord, GoldenSet, InputSpec

GOLDEN_RECORDS = 16
MAX_INPUT_BYTES = 1024 * 1024
"""Pictures up to this size are preferred, so that the set stays small enough to send to every device."""
MARGIN = 2.0
"""Times the largest difference measured here between a dialect and its float parent: another runtime, another
rounding, but not another model."""
LEAST_AGREEMENT = 0.8
"""Least share of golden records that a dialect, and later a device, answers as the float parent does. One that agrees
on fewer is another model, and no tolerance may be stated from it: a tolerance of nothing would pass anything. Sound
INT8 differs on close calls only, for which 3 of 16 records are left."""
LEAST_SHARE_OF_RANGE = 0.01
"""A tolerance is at least this share of the outputs' range, so that a dialect without any loss is not held to zero."""


def pick_records(test: Records, labels: Sequence[str], count: int = GOLDEN_RECORDS) -> list[int]:
    """Positions of `count` test records (all, where there are fewer), the same for the same records in any order.

    Classes take turns, in the order of their labels; within a class, records go by their id, oversized ones last.
    """
    queues: list[list[int]] = [[] for _ in labels]
    for position in sorted(range(len(test.ids)), key=lambda at: (len(test.inputs[at]) > MAX_INPUT_BYTES, test.ids[at])):
        queues[int(test.y[position])].append(position)
    turns = ((turn, label) for turn in range(len(test.ids)) for label in range(len(labels)))
    picked = (queues[label][turn] for turn, label in turns if turn < len(queues[label]))
    return [position for position, _ in zip(picked, range(count), strict=False)]


def golden_input(spec: InputSpec, data: bytes) -> str:
    """A stored record's `input` bytes as a golden record carries them: base64 of a picture, or a row as JSON."""
    if spec.kind == "image":
        return base64.b64encode(data).decode()
    row: dict[str, float | str] = dict(zip(spec.columns, struct.unpack(f"<{spec.shape[0]}d", data), strict=True))
    return json.dumps(row | {name: words[int(float(row[name]))] for name, words in spec.categories.items()})


def make_golden(
    spec: InputSpec,
    labels: Sequence[str],
    test: Records,
    picked: Sequence[int],
    expected: NDArray[np.float32],
    dialects: Mapping[str, NDArray[np.float32]],
) -> GoldenSet:
    """The golden set with tolerances stated from what was measured on these very records.

    Args:
        picked: positions of the golden records in `test`.
        expected: (records, labels) outputs of the float parent in ONNX Runtime.
        dialects: name to outputs of each quantized dialect, same shape.

    Returns:
        `max_abs_diff` is `MARGIN` times the worst dialect's largest difference, and at least `LEAST_SHARE_OF_RANGE` of
        the outputs' range. `min_agreement` is the worst dialect's agreement less one record, and at least
        `LEAST_AGREEMENT`.

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
    answers = expected.argmax(axis=1)
    agreement = {name: float((outputs.argmax(axis=1) == answers).mean()) for name, outputs in dialects.items()}
    for name, share in agreement.items():
        if share < LEAST_AGREEMENT:
            raise CompileError(
                f"the {name} model answers {share:.2f} of {len(answers)} golden records as its float parent does, at "
                f"least {LEAST_AGREEMENT} must; raise `calibration_records`, or train again"
            )
    span = float(expected.max() - expected.min())
    records = tuple(
        GoldenRecord(
            golden_input(spec, test.inputs[position]),
            tuple(float(number) for number in row),
            labels[int(test.y[position])],
        )
        for position, row in zip(picked, expected, strict=True)
    )
    return GoldenSet(
        records,
        max_abs_diff=max(MARGIN * worst_diff, LEAST_SHARE_OF_RANGE * span),
        min_agreement=max(LEAST_AGREEMENT, min(agreement.values(), default=1.0) - 1 / len(records)),
    )
