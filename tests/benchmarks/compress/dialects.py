"""The same model in both dialects: how fast, whether TensorRT-RTX builds it without a warning, and what each lost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tests.benchmarks.compress.contract import Judgement
from tests.benchmarks.compress.judge import ratio
from tests.benchmarks.compress.ours import TOOL

MODEL = "teacher-int8"


def rows_of(data: str, judged: Sequence[Judgement]) -> Iterator[dict[str, Any]]:
    """The teacher in FP32 and in each INT8 dialect."""
    mine = [one for one in judged if one.made.tool == TOOL]
    plain = next((one for one in mine if one.made.variant == "teacher-float" and one.target == "cpu-x86"), None)
    for one in mine:
        if one.made.variant not in {MODEL, "teacher-float"}:
            continue
        row: dict[str, Any] = {
            "data": data,
            "model": one.made.variant,
            "target": one.target,
            "accuracy": one.accuracy.value,
            "drop_points": one.drop.value,
            "drop_low": one.drop.low,
            "drop_high": one.drop.high,
            "onnx_kb": one.onnx_kb,
            "engine_kb": one.engine_kb,
            "builds": "" if one.engine_kb is None else one.why_not or "without a warning",
        }
        if one.ms is not None and plain is not None and plain.ms is not None:
            found = ratio(plain.ms, one.ms)
            row |= {"times_as_fast": found.value, "times_low": found.low, "times_high": found.high}
        yield row
