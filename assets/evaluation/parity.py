"""Does a converted model still answer as its parent did? One verdict for every conversion.

What is NaN or infinite, be it an answer, the metric, or the answers' difference, never passes, whatever else is said.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge.contracts import ParityVerdict
from edge.contracts.evidence import VerdictKind

Outputs = NDArray[np.float32]
Drop = Callable[[Outputs, Outputs], float]
"""From the answers before and after to what was lost of the metric, see `assets.tasks.task.Task.drop`."""
Stage = Literal["export", "prune", "distill", "quantize", "compile"]
ALL_LOST = 1.0
LARGEST = float(np.finfo(np.float32).max)
"""Stands for a difference that is not finite; documents hold finite numbers only."""


@dataclass(frozen=True)
class Parity:
    """How a conversion's answers compare with its parent's on the same held-out records.

    Attributes:
        drop: what was lost of the metric; `ALL_LOST` where something is not finite.
        difference: the largest of any output number.
        flaw: what is not finite; "" where everything is.
    """

    drop: float
    difference: float
    records: int
    flaw: str = ""

    def verdict(
        self, stage: Stage, kind: VerdictKind, parent: str, child: str, *, passed: bool, note: str
    ) -> ParityVerdict:
        """The verdict on `child`, a digest as `parent` is: whether it `passed`, unless there is a flaw."""
        note = f"{self.flaw}; {note}" if self.flaw else note
        sound = bool(passed and not self.flaw)
        return ParityVerdict(stage, kind, parent, child, sound, self.drop, self.difference, self.records, note)


def compare_answers(before: Outputs, after: Outputs, drop: Drop) -> Parity:
    """What a conversion did to the answers, (records, …) of parent and child; `drop` is asked of finite ones only."""
    records = len(after)
    if not (np.isfinite(before).all() and np.isfinite(after).all()):
        return Parity(ALL_LOST, LARGEST, records, "an answer is NaN or infinite")
    with np.errstate(over="ignore"):
        difference = float(np.abs(before - after).max())
    if not np.isfinite(difference):
        return Parity(ALL_LOST, LARGEST, records, "the answers' difference is NaN or infinite")
    lost = drop(before, after)
    if not np.isfinite(lost):
        return Parity(ALL_LOST, difference, records, "the metric is NaN or infinite")
    return Parity(lost, difference, records)
