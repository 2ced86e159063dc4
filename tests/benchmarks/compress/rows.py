"""From judged files to flat rows: which model each tool would ship for each budget."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tests.benchmarks.compress.contract import Judgement
from tests.benchmarks.compress.judge import ratio
from tests.benchmarks.compress.ours import TOOL

_ROUNDING = 1e-9


def rows_of(data: str, judged: Sequence[Judgement], budgets: Sequence[float]) -> Iterator[dict[str, Any]]:
    """One row per target, budget and tool; ours also says how it compares with the best of the others."""
    tools = list(dict.fromkeys(one.made.tool for one in judged))
    for target in dict.fromkeys(one.target for one in judged):
        for budget in budgets:
            chosen = {tool: pick(judged, tool, target, budget) for tool in tools}
            for tool, one in chosen.items():
                row = _row(data, tool, target, budget, one, judged)
                if tool == TOOL and one is not None:
                    row |= _against(one, [other for name, other in chosen.items() if name != TOOL and other])
                yield row


def pick(judged: Sequence[Judgement], tool: str, target: str, budget: float) -> Judgement | None:
    """What keeps to the budget on validation records: of a CPU's files the fastest, of plans the smallest."""
    found = [
        one
        for one in judged
        if one.made.tool == tool and one.target == target and not one.why_not
        if one.validation_drop <= budget + _ROUNDING and cost(one) is not None
    ]
    return min(found, key=lambda one: (cost(one), one.onnx_kb), default=None)


def cost(one: Judgement) -> float | None:
    """Milliseconds of a CPU's file, kilobytes of a plan; None where it has none."""
    return one.engine_kb if one.ms is None else float(np.median(one.ms))


def _row(
    data: str, tool: str, target: str, budget: float, one: Judgement | None, judged: Sequence[Judgement]
) -> dict[str, Any]:
    row: dict[str, Any] = {"data": data, "tool": tool, "target": target, "budget_points": budget}
    if one is None:
        blank = dict.fromkeys(("variant", "accuracy", "ms_b1", "onnx_kb", "engine_kb"))
        return row | blank | {"why_not": _why_none(tool, target, budget, judged)}
    return row | {
        "variant": one.made.variant,
        "accuracy": one.accuracy.value,
        "accuracy_low": one.accuracy.low,
        "accuracy_high": one.accuracy.high,
        "drop_points": one.drop.value,
        "drop_low": one.drop.low,
        "drop_high": one.drop.high,
        "validation_drop_points": one.validation_drop,
        "ms_b1": None if one.ms is None else float(np.median(one.ms)),
        "onnx_kb": one.onnx_kb,
        "engine_kb": one.engine_kb,
        "seconds": one.made.seconds,
        "train_seconds": one.made.train_seconds,
        "why_not": "",
    }


def _against(one: Judgement, others: Sequence[Judgement]) -> dict[str, Any]:
    """How many times as fast, or as small, ours is as the best of the others."""
    best = min(others, key=lambda other: (cost(other), other.onnx_kb), default=None)
    if best is None:
        return {}
    row: dict[str, Any] = {"best_other": f"{best.made.tool}: {best.made.variant}"}
    if one.ms is not None and best.ms is not None:
        found = ratio(best.ms, one.ms)
        return row | {"times_as_fast": found.value, "times_low": found.low, "times_high": found.high}
    assert one.engine_kb is not None, "what has no time is a plan"
    assert best.engine_kb is not None, "what has no time is a plan"
    return row | {"times_as_small": best.engine_kb / one.engine_kb}


def _why_none(tool: str, target: str, budget: float, judged: Sequence[Judgement]) -> str:
    mine = [one for one in judged if one.made.tool == tool and one.target == target]
    drops = [one.validation_drop for one in mine if not one.why_not]
    if drops:
        return f"nothing loses {budget:g} points or less; the nearest loses {min(drops):.2f}"
    reasons = list(dict.fromkeys(one.why_not for one in mine if one.why_not))
    return reasons[0] if reasons else "it made nothing"
